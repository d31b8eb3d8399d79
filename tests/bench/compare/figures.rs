//! What a load said in its line of JSON.

use serde_json::Value;

/// The figures of one load.
#[derive(Debug, Clone)]
pub(crate) struct Figures(Value);

impl Figures {
    pub(crate) fn new(line: Value) -> Self {
        Self(line)
    }

    /// Each figure is the one in the middle of those of repeated runs.
    pub(crate) fn median(runs: &[Self]) -> Self {
        let names = runs.first().and_then(|run| run.0.as_object()).into_iter().flatten();
        let middle = |name: &String| {
            let value = middle(runs.iter().map(|run| run.of(name)).collect());
            (name.clone(), Value::from(value))
        };
        Self(names.map(|(name, _)| middle(name)).collect())
    }

    /// A figure by its name.
    pub(crate) fn of(&self, name: &str) -> f64 {
        self.0.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN)
    }

    /// CPU of the server for one operation, in milliseconds.
    pub(crate) fn cpu(&self) -> f64 {
        self.of("server_cpu_ms")
    }

    /// CPU of the load generator for one operation, in milliseconds.
    pub(crate) fn client_cpu(&self) -> f64 {
        self.of("client_cpu_ms")
    }

    /// Operations in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.of("rate")
    }

    /// How long an operation takes, in milliseconds.
    pub(crate) fn time(&self) -> f64 {
        self.of("p50_ms")
    }
}

/// The one in the middle.
fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
