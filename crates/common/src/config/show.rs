//! The configuration that holds, defaults and all, for a reader.

use std::fmt;

use super::Site;

/// Every key with its value, one a line, in the form that `--set` takes.
pub(crate) struct Shown<'a>(pub(crate) &'a Site);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let site = toml::Value::try_from(self.0).map_err(|_| fmt::Error)?;
        let mut lines = Vec::new();
        flatten(String::new(), &site, &mut lines);
        let width = lines.iter().map(|(key, _)| key.len()).max().unwrap_or_default();
        lines.iter().try_for_each(|(key, value)| writeln!(f, "{key:width$} = {value}"))
    }
}

fn flatten(key: String, value: &toml::Value, lines: &mut Vec<(String, String)>) {
    match value {
        // With names that `--set` would take for several keys.
        toml::Value::Table(table) if table.keys().any(|name| name.contains('.')) => {
            lines.push((key, value.to_string()));
        }
        toml::Value::Table(table) => {
            for (name, value) in table {
                let dot = if key.is_empty() { "" } else { "." };
                flatten(format!("{key}{dot}{name}"), value, lines);
            }
        }
        toml::Value::Array(array) if array.iter().any(toml::Value::is_table) => {
            for (index, value) in array.iter().enumerate() {
                flatten(format!("{key}[{index}]"), value, lines);
            }
        }
        value => lines.push((key, value.to_string())),
    }
}
