//! Logs written by hand, and a real index with its log (`sample.txt`: Dovecot 2.3.19, in
//! hexadecimal) in all states of damage.

use proptest::prelude::*;

use super::dovecot_log as log;
use super::*;

const EXTERNAL: u32 = 0x1000_0000;
/// Dovecot's bits.
const ANSWERED: u8 = 1;
const SEEN: u8 = 8;
const DIRTY: u8 = 0x80;

fn record(kind: u32, body: &[u8]) -> Vec<u8> {
    let quarter = (body.len() + 8) / 4;
    let mut bytes = Vec::new();
    for shift in [21, 14, 7, 0] {
        bytes.push(0x80 | u8::try_from(quarter >> shift & 0x7f).unwrap());
    }
    bytes.extend(kind.to_le_bytes());
    bytes.extend(body);
    bytes
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn append(uid: u32, flags: u8) -> Vec<u8> {
    record(log::APPEND | EXTERNAL, &numbers(&[uid, flags.into()]))
}

fn flags(origin: u32, uids: (u32, u32), add: u8, remove: u8) -> Vec<u8> {
    let change = u32::from_le_bytes([add, remove, 0, 0]);
    record(log::FLAG_UPDATE | origin, &numbers(&[uids.0, uids.1, change]))
}

fn keyword(kind: u8, name: &str, uids: (u32, u32)) -> Vec<u8> {
    let mut body = vec![kind, 0, u8::try_from(name.len()).unwrap(), 0];
    body.extend(name.bytes());
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend(numbers(&[uids.0, uids.1]));
    record(log::KEYWORD_UPDATE | EXTERNAL, &body)
}

fn header(at: u16, value: u32) -> Vec<u8> {
    let mut body = at.to_le_bytes().to_vec();
    body.extend(4_u16.to_le_bytes());
    body.extend(value.to_le_bytes());
    record(log::HEADER_UPDATE | EXTERNAL, &body)
}

fn intro(id: u32, reset_id: u32, name: &str) -> Vec<u8> {
    let length = u32::try_from(name.len()).unwrap() << 16;
    let mut body = numbers(&[id, reset_id, 16, 8 << 16 | 8, length]);
    body.extend(name.bytes());
    body.resize(body.len().next_multiple_of(4), 0);
    record(log::EXT_INTRO | EXTERNAL, &body)
}

fn extension_header(highest: u64) -> Vec<u8> {
    let mut body = vec![0, 0, 16, 0];
    body.extend(highest.to_le_bytes());
    body.extend([0; 8]);
    record(log::EXT_HDR_UPDATE | EXTERNAL, &body)
}

/// A log with a number, that of the one before it, and its records.
fn log_of(number: u32, previous: u32, records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![1, 3, 40, 0];
    bytes.extend(numbers(&[77, number, previous, 0, 0, 1, 0]));
    bytes.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(records.concat());
    bytes
}

/// Three messages under UIDVALIDITY 5, and then this.
fn three_and(records: &[Vec<u8>]) -> Vec<u8> {
    let mut all = vec![header(24, 5), append(1, 0), append(2, SEEN), append(4, 0)];
    all.extend_from_slice(records);
    log_of(1, 0, &all)
}

/// Each message in short: `2:S,word*9` is seen, has a keyword, is dirty, and has modseq 9.
fn short(imported: &Imported) -> String {
    use mail_proto::mailbox::Flags;
    let message = |(position, message): (usize, &Message)| {
        let letter = |bit, letter| if message.system & bit == 0 { "" } else { letter };
        let keywords = imported.keywords_of(position).map(|k| format!(",{}", imported.keywords[k]));
        format!(
            "{}:{}{}{}{}{}",
            message.uid,
            letter(Flags::ANSWERED, "R"),
            letter(Flags::SEEN, "S"),
            keywords.collect::<String>(),
            if message.dirty { "*" } else { "" },
            message.modseq
        )
    };
    let messages: Vec<String> = imported.messages.iter().enumerate().map(message).collect();
    messages.join(" ")
}

fn read_alone(log: &[u8]) -> Result<String, String> {
    let imported = imported(None, log, None);
    imported.map(|imported| short(&imported)).map_err(|error| error.to_string())
}

#[test]
fn a_log_says_what_happened() {
    let files = EXTERNAL;
    let gone = |uids: [u32; 2]| numbers(&uids);
    let guid = [numbers(&[4]), vec![0; 16]].concat();
    let tail = 40 + 16 + 3 * 16 + 20;
    let table: [(&[Vec<u8>], &str); 17] = [
        (&[], "1:0 2:S0 4:0"),
        (&[flags(files, (1, 3), ANSWERED, SEEN)], "1:R0 2:R0 4:0"),
        (&[flags(files, (2, 9), DIRTY, 0)], "1:0 2:S*0 4:*0"),
        (&[flags(files, (1, 9), DIRTY, 0), flags(files, (2, 9), 0, DIRTY)], "1:*0 2:S0 4:0"),
        (&[flags(0, (1, 1), SEEN, 0)], "1:S*0 2:S0 4:0"),
        (&[flags(0, (1, 1), SEEN, 0), header(64, tail)], "1:S0 2:S0 4:0"),
        (&[keyword(0, "one", (1, 2)), keyword(0, "TWO", (2, 4))], "1:,one0 2:S,one,TWO0 4:,TWO0"),
        (&[keyword(0, "one", (1, 4)), keyword(1, "ONE", (2, 4))], "1:,one0 2:S0 4:0"),
        (
            &[keyword(0, "one", (1, 4)), record(log::KEYWORD_RESET | files, &numbers(&[1, 2]))],
            "1:0 2:S0 4:,one0",
        ),
        (&[record(log::EXPUNGE | files, &gone([1, 2]))], "4:0"),
        (&[record(log::EXPUNGE, &gone([1, 2]))], "1:0 2:S0 4:0"),
        (&[record(log::EXPUNGE_GUID | files, &guid)], "1:0 2:S0"),
        (&[intro(u32::MAX, 0, "modseq"), extension_header(9)], "1:9 2:S9 4:9"),
        (
            &[
                intro(u32::MAX, 0, "modseq"),
                extension_header(4),
                flags(files, (1, 1), SEEN, 0),
                flags(files, (2, 2), DIRTY, 0),
                append(5, 0),
                record(log::MODSEQ_UPDATE | files, &numbers(&[4, 99, 0])),
            ],
            "1:S5 2:S*4 4:99 5:6",
        ),
        // The modseqs that an extension had before a reset count no more.
        (
            &[
                intro(u32::MAX, 0, "modseq"),
                record(log::EXT_RESET | files, &numbers(&[7, 0])),
                intro(0, 0, ""),
                extension_header(50),
            ],
            "1:0 2:S0 4:0",
        ),
        (&[record(log::BOUNDARY | files, &numbers(&[400])), append(5, 0)], "1:0 2:S0 4:0"),
        (&[vec![0; 4], append(5, 0)], "1:0 2:S0 4:0"),
    ];
    for (number, (records, expected)) in table.iter().enumerate() {
        assert_eq!(read_alone(&three_and(records)).as_deref(), Ok(*expected), "{number}");
    }
}

#[test]
fn what_cannot_be_says_where() {
    let at = 40 + 16 + 3 * 16;
    let table: [(Vec<u8>, &str); 12] = [
        (append(4, 0), "a UID that was given before"),
        (append(0, 0), "a UID that was given before"),
        (record(log::APPEND, &[9, 0, 0, 0]), "half a message"),
        (record(0x1 | EXTERNAL, &numbers(&[1, 1])), "a record of a type that we do not know"),
        (record(0x4000, &numbers(&[1, 1])), "a record of a type that we do not know"),
        (flags(0, (2, 1), 0, 0), "a wrong range of UIDs"),
        (flags(0, (0, 1), 0, 0), "a wrong range of UIDs"),
        (keyword(0, "", (1, 1)), "a keyword without a name"),
        (keyword(2, "one", (1, 1)), "a change of keywords of a kind that we do not know"),
        (intro(3, 0, ""), "an extension that nobody introduced"),
        (extension_header(1), "an extension that nobody introduced"),
        (record(log::APPEND, &[]), "a record too short to be any"),
    ];
    for (record, what) in table {
        let expected = format!("dovecot.index.log, octet {at}: {what}");
        assert_eq!(read_alone(&three_and(&[record])), Err(expected));
    }
    let deleted = record(log::INDEX_DELETED | EXTERNAL, &[0; 4]);
    let again = record(log::INDEX_UNDELETED | EXTERNAL, &[0; 4]);
    assert!(read_alone(&three_and(std::slice::from_ref(&deleted))).is_err());
    assert!(read_alone(&three_and(&[deleted, again])).is_ok());
}

#[test]
fn logs_follow_each_other() {
    let first = three_and(&[flags(0, (1, 1), SEEN, 0)]);
    let second = log_of(2, 1, &[flags(EXTERNAL, (4, 4), SEEN, 0)]);
    let both = imported(None, &second, Some(&first)).unwrap();
    assert_eq!(short(&both), "1:S0 2:S0 4:S0");
    assert_eq!((both.uid_validity, both.next_uid), (5, 5));
    assert!(imported(None, &second, None).is_err(), "the first is gone");
    let other = log_of(1, 0, &[]).iter().enumerate().map(|(at, b)| b ^ u8::from(at == 4)).collect();
    let other: Vec<u8> = other;
    assert!(imported(None, &second, Some(&other)).is_err(), "the first is another's");
    let anew = log_of(3, 0, &[header(24, 6), append(1, 0)]);
    assert_eq!(short(&imported(None, &anew, Some(&first)).unwrap()), "1:0");
}

#[test]
fn keywords_may_be_many() {
    let names: Vec<String> = (0..200).map(|number| format!("k{number}")).collect();
    let records: Vec<Vec<u8>> = names.iter().map(|name| keyword(0, name, (2, 2))).collect();
    let read = imported(None, &three_and(&records), None).unwrap();
    assert_eq!(read.keywords, names);
    assert_eq!((read.keywords_of(0).count(), read.keywords_of(1).count()), (0, 200));
    let names = (0..1025).map(|number| keyword(0, &format!("k{number}"), (1, 1)));
    assert!(imported(None, &three_and(&names.collect::<Vec<_>>()), None).is_err());
}

#[test]
fn a_real_index_is_read() {
    let [index, log] = sample();
    let read = imported(Some(&index), &log, None).unwrap();
    assert_eq!((read.messages.len(), read.keywords.len()), (21, 29));
    let elsewhere = |at: usize, octet: u8| {
        let mut index = index.clone();
        index[at] = octet;
        imported(Some(&index), &log, None).unwrap_err().to_string()
    };
    assert_eq!(elsewhere(0, 8), "dovecot.index, octet 0: not a version that we know");
    assert!(elsewhere(12, 0).starts_with("dovecot.index, octet 12"));
    assert!(elsewhere(20, 1).starts_with("dovecot.index, octet 20"));
    assert!(elsewhere(16, 0).contains("not of the same mailbox"));
    assert!(elsewhere(32, 255).contains("fewer messages than the header says"));
    assert!(elsewhere(60, 99).contains("is gone"));
    assert!(elsewhere(68, 255).contains("the index ends within a record"));
}

#[test]
fn a_directory_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let dir = Dir::open(directory.path()).unwrap();
    let nothing = |uid_validity| assert_eq!(known(&dir, Some(&dir), uid_validity).unwrap(), None);
    nothing(5);
    dir.create_dir(courier::DIRECTORY).unwrap();
    let list = dir.subdir(courier::DIRECTORY).unwrap();
    list.replace(":list", b"one\n\na:0\n").unwrap();
    assert!(matches!(known(&dir, Some(&dir), 5), Ok(Some(Known::Courier(_)))));
    assert_eq!(known(&dir, None, 5).unwrap(), None);
    let [index, log] = sample();
    dir.replace(INDEX, &index).unwrap();
    assert!(matches!(dovecot(&dir), Err(ImportError::Apart(_))));
    nothing(5);
    dir.replace(LOG, &log).unwrap();
    let read = dovecot(&dir).unwrap().unwrap();
    let uid_validity = read.uid_validity;
    assert_eq!(known(&dir, Some(&dir), uid_validity).unwrap(), Some(Known::Dovecot(read)));
    nothing(uid_validity + 1);
    dir.replace(LOG, &log[..60]).unwrap();
    nothing(uid_validity);
}

#[test]
fn flags_are_joined() {
    let log = three_and(&[
        keyword(0, "letter", (1, 4)),
        keyword(0, "unused", (1, 4)),
        keyword(1, "unused", (1, 4)),
        keyword(0, "more", (1, 4)),
        keyword(0, "no-room", (1, 4)),
        flags(EXTERNAL, (2, 2), DIRTY | ANSWERED, 0),
    ]);
    let dovecot = Known::Dovecot(imported(None, &log, None).unwrap());
    assert_eq!(dovecot.keywords(), [(0, "letter"), (2, "more"), (3, "no-room")]);
    let bits = [1 << 4, 0, 1 << 30, 0];
    let named = Flags { system: Flags::DRAFT, keywords: 1 << 5 };
    let of = |uid| dovecot.flags(uid, "", named, &bits);
    assert_eq!(of(1), Flags { system: Flags::DRAFT, keywords: 1 << 5 | 1 << 30 });
    let system = Flags::SEEN | Flags::ANSWERED;
    assert_eq!(of(2), Flags { system, keywords: 1 << 4 | 1 << 30 });
    assert_eq!(of(3), named, "it came when the index was not there");

    let courier = Known::Courier(courier::Keywords::parse(b"one\ntwo\n\na:1\nb:1\n").unwrap());
    assert_eq!(courier.keywords(), [(1, "two")]);
    let of = |base| courier.flags(1, base, named, &[0, 1 << 4]);
    assert_eq!(of("a"), Flags { keywords: 1 << 5 | 1 << 4, ..named });
    assert_eq!(of("c"), named);
}

/// The index and its log.
fn sample() -> [Vec<u8>; 2] {
    let file = |text: &str| {
        let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        let octet = |pair: &[u32]| u8::try_from(pair[0] << 4 | pair[1]).unwrap();
        digits.chunks(2).map(octet).collect()
    };
    let (index, log) = include_str!("sample.txt").split_once("\n\n").unwrap();
    [file(index), file(log)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_octets_are_too_wrong(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cuts in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        cut in 0..4_u8,
        alone in any::<bool>(),
    ) {
        let [mut index, mut log] = sample();
        for (at, octet) in &changes {
            let at = at.index(index.len() + log.len());
            match at.checked_sub(index.len()) {
                None => index[at] = *octet,
                Some(at) => log[at] = *octet,
            }
        }
        if cut == 0 {
            index.truncate(cuts.0.index(index.len()));
        }
        if cut == 1 {
            log.truncate(cuts.1.index(log.len()));
        }
        if let (true, Some(previous)) = (alone, log.get_mut(12..16)) {
            // As if it were the first one.
            previous.fill(0);
        }
        let read = imported((!alone).then_some(&index), &log, None);
        if let Ok(read) = read {
            prop_assert!(read.messages.is_sorted_by(|a, b| a.uid < b.uid));
            prop_assert!(read.messages.last().is_none_or(|last| last.uid < read.next_uid));
            for position in 0..read.messages.len() {
                prop_assert!(read.keywords_of(position).count() <= read.keywords.len());
            }
        }
    }

    #[test]
    fn no_noise_is_too_loud(index: Vec<u8>, log: Vec<u8>, older: Vec<u8>) {
        let _ = imported(Some(&index), &log, Some(&older));
        let _ = courier::Keywords::parse(&log);
    }
}
