//! A whole daemon, as its operator and its clients see it.
//!
//! This program is the daemon too: with `ECHOD` in the environment its `main` is the skeleton's,
//! so there are real processes, signals, sockets and exit codes.

mod echo;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use mail_common::config::{Endpoint, Site, TlsMode};
use mail_common::daemon::{self, Daemon, Listener, StartError};
use mail_common::serve::{Stream, Surroundings, converse};
use mail_common::tls::Connector;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use echo::{Echo, Mirror};

fn main() -> ExitCode {
    if std::env::var_os("ECHOD").is_some() {
        return daemon::run::<EchoDaemon>();
    }
    let wanted: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    for (name, test) in TESTS {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())) {
            print!("test {name} ... ");
            io::stdout().flush().expect("stdout is open");
            test();
            println!("ok");
        }
    }
    ExitCode::SUCCESS
}

const TESTS: &[(&str, fn())] = &[
    ("it_serves_in_clear_and_over_tls", it_serves_in_clear_and_over_tls),
    ("a_panic_ends_one_session", a_panic_ends_one_session),
    ("a_stop_says_goodbye", a_stop_says_goodbye),
    ("what_does_not_end_is_cut_off", what_does_not_end_is_cut_off),
    ("over_the_limit_connections_wait", over_the_limit_connections_wait),
    ("hangup_reads_the_configuration_again", hangup_reads_the_configuration_again),
    ("a_dead_daemons_socket_is_taken_over", a_dead_daemons_socket_is_taken_over),
    ("sockets_come_from_systemd_by_name", sockets_come_from_systemd_by_name),
    ("exit_codes_and_words", exit_codes_and_words),
];

#[derive(Debug)]
struct EchoDaemon;

#[derive(Debug, Clone, Copy)]
enum Role {
    Plain,
    Local,
}

impl Daemon for EchoDaemon {
    const NAME: &'static str = "echod";
    type Role = Role;

    fn listeners(site: &Site) -> Vec<Listener<Role>> {
        let listen = site.imapd.listen.iter().map(|listen| Listener {
            endpoint: listen.address.clone(),
            role: if matches!(listen.address, Endpoint::Tcp(_)) {
                Role::Plain
            } else {
                Role::Local
            },
            tls: listen.tls,
        });
        listen.collect()
    }

    fn role(socket_name: &str) -> Option<(Role, TlsMode)> {
        match socket_name {
            "echo" => Some((Role::Plain, TlsMode::Starttls)),
            "local" => Some((Role::Local, TlsMode::Starttls)),
            _ => None,
        }
    }

    fn start(_site: Arc<Site>) -> Result<Self, StartError> {
        Ok(Self)
    }

    fn reload(&self, _site: Arc<Site>) -> Result<(), StartError> {
        Ok(())
    }

    async fn connection(
        self: Arc<Self>,
        mut stream: Stream,
        _role: Role,
        surroundings: Surroundings,
    ) -> io::Result<()> {
        let mut session = Echo::new();
        converse(&mut session, &mut stream, &mut Mirror, &surroundings).await?;
        Ok(())
    }
}

/// A directory with a configuration, and what was started with it.
struct Place {
    directory: tempfile::TempDir,
}

struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
    /// Where it listens, in order.
    addresses: Vec<String>,
}

impl Place {
    fn new(text: &str) -> Self {
        let place = Self { directory: tempfile::tempdir().expect("there is room for tests") };
        place.write(text);
        place
    }

    /// Writes the configuration; `DIR` in it is the directory.
    fn write(&self, text: &str) {
        let directory = self.directory.path().display().to_string();
        let head = "config_version = 1\nhostname = 'mx.example.org'\n";
        let text = format!("{head}{}", text.replace("DIR", &directory));
        std::fs::write(self.file(), text).expect("the directory is ours");
    }

    fn certificate(&self) {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("is a name");
        let directory = self.directory.path();
        std::fs::write(directory.join("cert.pem"), pair.cert.pem()).expect("the directory is ours");
        let key = pair.signing_key.serialize_pem();
        std::fs::write(directory.join("key.pem"), key).expect("the directory is ours");
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("posthorn.toml")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("we run"));
        command.arg("--config").arg(self.file()).env("ECHOD", "1").env_remove("JOURNAL_STREAM");
        command.stderr(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    fn start(&self) -> Running {
        Running::of(self.command())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Running {
    fn of(mut command: Command) -> Self {
        let mut child = command.spawn().expect("this very program");
        let log = BufReader::new(child.stderr.take().expect("is piped"));
        let mut running = Self { child, log, addresses: Vec::new() };
        let started = running.log_until(": ready");
        let listening = started.iter().filter_map(|line| line.split_once("listening on "));
        running.addresses =
            listening.filter_map(|(_, rest)| Some(rest.split_once(' ')?.1.to_owned())).collect();
        running
    }

    /// All lines up to one that holds this.
    fn log_until(&mut self, words: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let count = self.log.read_line(&mut line).expect("the log is text");
            assert!(count > 0, "{words:?} did not come: {lines:#?}");
            lines.push(line.trim_end().to_owned());
            if line.contains(words) {
                return lines;
            }
        }
    }

    fn connect(&self) -> Peer<TcpStream> {
        let stream = TcpStream::connect(&self.addresses[0]).expect("it listens");
        Peer::new(stream)
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child");
        kill_process(id, signal).expect("the child is ours");
    }

    /// How it ends, and the rest of its log.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).expect("the log is text");
        (self.child.wait().expect("the child is ours").code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Peer<S>(BufReader<S>);

impl<S: Read + Write> Peer<S> {
    fn new(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("the peer says lines");
        line.trim_end().to_owned()
    }

    fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).expect("the peer listens");
    }

    fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.hear()
    }
}

const CLEAR: &str = "[[imapd.listen]]\naddress = '127.0.0.1:0'\n";

fn it_serves_in_clear_and_over_tls() {
    let place = Place::new(&format!(
        "[tls]\ncertificate = 'DIR/cert.pem'\nkey = 'DIR/key.pem'\n{CLEAR}\
         [[imapd.listen]]\naddress = '[::1]:0'\ntls = 'implicit'\n\
         [[imapd.listen]]\naddress = 'DIR/echo.sock'\n"
    ));
    place.certificate();
    let running = place.start();
    let mut peer = running.connect();
    assert_eq!(peer.hear(), "hello");
    assert_eq!(peer.ask("ask abc"), "cba");

    let mut peer = Peer::new(UnixStream::connect(place.path("echo.sock")).expect("it listens"));
    assert_eq!((peer.hear().as_str(), peer.ask("quit").as_str()), ("hello", "bye"));
    assert_eq!(peer.hear(), "", "closed");

    let runtime = tokio::runtime::Runtime::new().expect("there is room for tests");
    let talk = runtime.block_on(async {
        let (host, port) = running.addresses[1].rsplit_once(':').expect("is an address");
        let host = host.trim_matches(['[', ']']);
        let port = port.parse().expect("is a port");
        let patience = Duration::from_secs(10);
        let mut stream = Stream::connect_tcp(host, port, patience).await.expect("it listens");
        stream.connect_tls(&Connector::opportunistic()).await.expect("it speaks TLS");
        stream.write_all(b"a\nquit\n").await.expect("it listens");
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.expect("it ends TLS as one should");
        heard
    });
    assert_eq!(talk, "hello\na\nbye\n");
}

fn a_panic_ends_one_session() {
    let mut running = Place::new(CLEAR).start();
    let (mut one, mut other) = (running.connect(), running.connect());
    assert_eq!((one.hear().as_str(), other.hear().as_str()), ("hello", "hello"));
    one.say("ask panic");
    assert_eq!(one.hear(), "", "closed");
    let lines = running.log_until("the session ended by a panic");
    let last = lines.last().expect("log_until gives one");
    assert!(last.contains("session=") && last.contains("peer=127.0.0.1"), "{last}");
    assert!(
        lines.iter().any(|line| line.contains("panic: as the test wants it place=")),
        "{lines:#?}"
    );
    assert_eq!(other.ask("still here"), "still here");
    assert_eq!(running.connect().hear(), "hello");
    running.signal(Signal::TERM);
    let (code, rest) = running.end();
    assert_eq!(code, Some(0));
    assert!(rest.contains("stopped panics=1"), "{rest}");
}

fn a_stop_says_goodbye() {
    for signal in [Signal::TERM, Signal::INT] {
        let running = Place::new(CLEAR).start();
        let mut peer = running.connect();
        assert_eq!(peer.hear(), "hello");
        let address = running.addresses[0].clone();
        running.signal(signal);
        assert_eq!(peer.hear(), "shutdown");
        while TcpStream::connect(&address).is_ok() {
            std::thread::yield_now();
        }
        drop(peer);
        assert_eq!(running.end().0, Some(0));
    }
}

fn what_does_not_end_is_cut_off() {
    let mut running = Place::new(&format!("{CLEAR}[limits]\ndrain = '1s'\n")).start();
    let mut peer = running.connect();
    assert_eq!(peer.hear(), "hello");
    peer.say("ask hang");
    running.log_until("hangs");
    let begin = Instant::now();
    running.signal(Signal::TERM);
    let (code, rest) = running.end();
    assert_eq!(code, Some(0));
    assert!(begin.elapsed() >= Duration::from_secs(1) && rest.contains("limits.drain was over"));
}

fn over_the_limit_connections_wait() {
    let mut running = Place::new(&format!("{CLEAR}[limits]\nconnections = 2\n")).start();
    let (mut first, mut second) = (running.connect(), running.connect());
    assert_eq!((first.hear().as_str(), second.hear().as_str()), ("hello", "hello"));
    let mut third = running.connect();
    running.log_until("limits.connections is reached");
    let socket = third.0.get_mut();
    socket.set_read_timeout(Some(Duration::from_millis(50))).expect("is no zero");
    assert!(socket.read(&mut [0; 1]).is_err(), "no greeting yet");
    socket.set_read_timeout(None).expect("is none");
    assert_eq!(first.ask("quit"), "bye");
    drop(first);
    assert_eq!(third.hear(), "hello");
}

fn hangup_reads_the_configuration_again() {
    let place = Place::new(CLEAR);
    let mut running = place.start();
    place.write("hostnmae = 'x'\n[limits]\nhops = 0\n");
    running.signal(Signal::HUP);
    let lines = running.log_until("what held before goes on");
    assert!(lines.iter().any(|line| line.contains("did you mean 'hostname'?")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("limits.hops")), "{lines:#?}");

    place.certificate();
    place.write(&format!("[tls]\ncertificate = 'DIR/cert.pem'\nkey = 'DIR/key.pem'\n{CLEAR}"));
    running.signal(Signal::HUP);
    running.log_until("configuration taken");
    let mut peer = running.connect();
    assert_eq!((peer.hear().as_str(), peer.ask("tls").as_str()), ("hello", "go"));

    place.certificate();
    running.log_until("new certificate taken");
    std::fs::write(place.path("key.pem"), "nothing").expect("the directory is ours");
    let lines = running.log_until("the old one stays");
    assert!(lines.iter().any(|line| line.contains("key.pem holds no private key")), "{lines:#?}");
}

fn a_dead_daemons_socket_is_taken_over() {
    let place = Place::new("[[imapd.listen]]\naddress = 'DIR/echo.sock'\n");
    let running = place.start();
    running.signal(Signal::KILL);
    running.end();
    assert!(place.path("echo.sock").exists());
    let _second = place.start();
    let mut peer = Peer::new(UnixStream::connect(place.path("echo.sock")).expect("it listens"));
    assert_eq!(peer.hear(), "hello");
    let third = place.command().output().expect("this very program");
    assert_eq!(third.status.code(), Some(71));
    let words = String::from_utf8_lossy(&third.stderr);
    assert!(words.contains("Another process answers there"), "{words}");
}

fn sockets_come_from_systemd_by_name() {
    let place = Place::new("[[imapd.listen]]\naddress = 'DIR/not-used.sock'\n");
    let passed = |names: &str| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let address = listener.local_addr().expect("is bound");
        let mut command = place.command();
        command.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", names).env_remove("LISTEN_PID");
        let mapping = FdMapping { parent_fd: OwnedFd::from(listener), child_fd: 3 };
        command.fd_mappings(vec![mapping]).expect("one descriptor");
        (command, address)
    };
    let (command, address) = passed("echo");
    let running = Running::of(command);
    assert_eq!(running.addresses, [address.to_string()]);
    assert_eq!(running.connect().hear(), "hello");
    assert!(!place.path("not-used.sock").exists());

    let refused = passed("smtp").0.output().expect("this very program");
    assert_eq!(refused.status.code(), Some(71));
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(words.contains("\"smtp\"") && words.contains("FileDescriptorName="), "{words}");
}

fn exit_codes_and_words() {
    let place = Place::new(CLEAR);
    let output = place.command().arg("--check").output().expect("this very program");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    for line in ["hostname ", "imapd.listen[0].address ", "limits.hops "] {
        assert!(shown.lines().any(|shown| shown.starts_with(line)), "{shown}");
    }
    let columns: Vec<_> = shown.lines().filter_map(|line| line.find(" = ")).collect();
    assert!(columns.windows(2).all(|pair| pair[0] == pair[1]), "{shown}");

    let flag = ["--check", "--set", "limits.hops=none"];
    let output = place.command().args(flag).output().expect("this very program");
    assert_eq!(output.status.code(), Some(78));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.starts_with("--set limits.hops: limits.hops: a number"), "{words}");

    let mut command = place.command();
    command.env("POSTHORN_LIMITS__HOPS", "7").env("POSTHORN_TEST_LETTERS", "5").arg("--check");
    command.env("POSTHORN_LMTP_DELIVERD__LISTEN", "[{address=\"/run/x.sock\"}]");
    let shown = command.output().expect("this very program").stdout;
    let shown = String::from_utf8_lossy(&shown);
    let value = |key: &str| shown.lines().find(|line| line.starts_with(key)).unwrap_or_default();
    assert!(value("limits.hops").ends_with("= 7"), "{shown}");
    assert!(value("lmtp-deliverd.listen[0].address").ends_with("\"/run/x.sock\""), "{shown}");
    command.env("POSTHORN_LIMITS__HOPS", "0").env("POSTHORN_LGO__LEVEL", "info");
    let words = command.output().expect("this very program").stderr;
    let words = String::from_utf8_lossy(&words);
    assert!(words.contains("POSTHORN_LIMITS__HOPS: limits.hops: write a number"), "{words}");
    assert!(words.contains("POSTHORN_LGO: unknown key 'lgo', did you mean 'log'?"), "{words}");

    let output = place.command().arg("--version").output().expect("this very program");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("echod "));

    place.write("[[imapd.listen]]\naddress = 'DIR/gone/echo.sock'\n");
    let output = place.command().output().expect("this very program");
    assert_eq!(output.status.code(), Some(71));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("Make the directory") && words.contains("/gone"), "{words}");

    std::fs::remove_file(place.file()).expect("it is ours");
    let output = place.command().output().expect("this very program");
    assert_eq!(output.status.code(), Some(78));
    let words = String::from_utf8_lossy(&output.stderr);
    let name = Path::new(&place.file()).display().to_string();
    assert!(words.starts_with(&name) && words.contains("cannot be read"), "{words}");
}
