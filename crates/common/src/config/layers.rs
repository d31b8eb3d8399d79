//! What the configuration is made of, the weakest first: the site file, `conf.d/*.toml`,
//! `POSTHORN_…` variables, `--set`.

use std::path::{Path, PathBuf};

use figment::providers::{Env, Format, Toml};
use figment::value::{Dict, Map, Tag, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};

use super::file::{Aim, File};
use super::load::{Mistake, Source};

/// All layers, read and merged.
pub(super) struct Layers {
    figment: Figment,
    site_file: PathBuf,
    files: Vec<File>,
    /// What could not be read at all.
    pub(super) unread: Vec<Mistake>,
}

const ENVIRONMENT: &str = "environment";
const FLAG: &str = "--set";

impl Layers {
    pub(super) fn read(source: &Source) -> Self {
        let mut layers = Self {
            figment: Figment::new(),
            site_file: source.file.clone(),
            files: Vec::new(),
            unread: Vec::new(),
        };
        layers.read_file(&source.file);
        for file in pieces(&source.file) {
            layers.read_file(&file);
        }
        let environment = Env::prefixed("POSTHORN_")
            .map(|key| key.as_str().replace("LMTP_DELIVERD", "lmtp-deliverd").into())
            // The tests tell each other things this way, and the daemons that they start inherit it.
            .filter(|key| !key.starts_with("test_"))
            .split("__");
        layers.merge(&environment, Metadata::named(ENVIRONMENT));
        for flag in &source.flags {
            layers.read_flag(flag);
        }
        layers
    }

    /// Everything that was written, later layers over earlier ones.
    pub(super) fn merged(&self) -> Value {
        self.figment.find_value("").unwrap_or_else(|_| Value::from(Dict::new()))
    }

    /// A mistake at a key path, of a value of this tag.
    pub(super) fn mistake(&self, path: &[String], tag: Tag, aim: Aim, message: String) -> Mistake {
        let origin = self.figment.get_metadata(tag);
        let file = origin.and_then(|origin| origin.source.as_ref()?.file_path());
        let file = file.and_then(|path| self.files.iter().find(|file| file.path == path));
        match (file, origin) {
            (Some(file), _) => Mistake {
                place: file.path.display().to_string(),
                at: file.position(path, aim),
                message,
            },
            (None, Some(origin)) if origin.name == ENVIRONMENT => {
                let variable = path.join("__").to_uppercase().replace('-', "_");
                Mistake { place: format!("POSTHORN_{variable}"), at: None, message }
            }
            _ => Mistake { place: format!("{FLAG} {}", path.join(".")), at: None, message },
        }
    }

    /// A mistake in a table, or at the top: in the first file that has it.
    pub(super) fn mistake_in_table(&self, table: &[String], message: String) -> Mistake {
        let file = self.files.iter().find(|file| !table.is_empty() && file.holds(table));
        match file {
            Some(file) => Mistake {
                place: file.path.display().to_string(),
                at: file.position(table, Aim::Value),
                message,
            },
            None => Mistake { place: self.site_file.display().to_string(), at: None, message },
        }
    }

    /// Whether all files could be read: if not, what is missing may stand in the others.
    pub(super) fn are_sound(&self) -> bool {
        self.unread.is_empty() && self.files.iter().all(File::is_sound)
    }

    /// As an operator goes through them: file after file from the top, then the rest.
    pub(super) fn in_order(&self, mut mistakes: Vec<Mistake>) -> Vec<Mistake> {
        mistakes.extend(self.unread.iter().cloned());
        let place = |mistake: &Mistake| {
            let names = self.files.iter().map(|file| file.path.display().to_string());
            names.into_iter().position(|name| name == mistake.place).unwrap_or(usize::MAX)
        };
        mistakes.sort_by_cached_key(|m| (place(m), m.at, m.place.clone(), m.message.clone()));
        mistakes
    }

    fn read_file(&mut self, path: &Path) {
        let (file, mistake) = File::read(path);
        self.unread.extend(mistake);
        let Some(file) = file else {
            return;
        };
        if file.is_sound() {
            self.merge(&Toml::string(&file.text), Metadata::from("file", path));
        }
        self.files.push(file);
    }

    fn read_flag(&mut self, flag: &str) {
        let Some((key, value)) = flag.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            let message = format!("{flag:?}: write KEY=VALUE, such as limits.drain=5s");
            self.unread.push(Mistake { place: FLAG.into(), at: None, message });
            return;
        };
        let layer =
            Layer { data: flag_data(key.trim(), value.trim()), origin: Metadata::named(FLAG) };
        self.figment = self.figment.clone().merge(layer);
    }

    fn merge(&mut self, provider: &impl Provider, origin: Metadata) {
        match provider.data() {
            Ok(data) => {
                let data = data.into_values().next().unwrap_or_default();
                self.figment = self.figment.clone().merge(Layer { data, origin });
            }
            Err(error) => {
                let place = origin.source.map_or(origin.name.into(), |source| source.to_string());
                self.unread.push(Mistake { place, at: None, message: error.to_string() });
            }
        }
    }
}

/// `conf.d/*.toml` beside the site file, in order of name.
fn pieces(site_file: &Path) -> Vec<PathBuf> {
    let directory = site_file.parent().unwrap_or(Path::new(".")).join("conf.d");
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

/// What is no TOML value is a string: `--set limits.drain=5s` needs no quotes.
fn flag_data(key: &str, value: &str) -> Dict {
    let parsed = toml::from_str::<Map<String, Value>>(&format!("value = {value}"));
    let parsed = parsed.ok().filter(|map| map.len() == 1).and_then(|mut map| map.remove("value"));
    let value = parsed.unwrap_or_else(|| Value::from(value));
    let mut keys = key.rsplit('.');
    let last = keys.next().unwrap_or_default();
    let innermost = Dict::from([(last.to_owned(), value)]);
    keys.fold(innermost, |inside, key| Dict::from([(key.to_owned(), Value::from(inside))]))
}

/// Values under the name of where they came from.
struct Layer {
    data: Dict,
    origin: Metadata,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        self.origin.clone()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Map::from([(Profile::Default, self.data.clone())]))
    }
}
