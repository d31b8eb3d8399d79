//! What a load found: one line of JSON, one line for people.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::meter::Spent;

/// The outcome of a load.
#[derive(Debug)]
pub(crate) struct Report {
    name: String,
    fields: Map<String, Value>,
}

impl Report {
    /// `operations` were done in all; `times` says how long each, or each group of them, took.
    pub(crate) fn new(name: &str, operations: u64, spent: Spent, mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let each = |total: Duration| milliseconds(total) / operations.max(1) as f64;
        let report = Self { name: name.to_owned(), fields: Map::new() };
        report
            .with("operations", operations as f64)
            .with("seconds", spent.time.as_secs_f64())
            .with("rate", operations as f64 / spent.time.as_secs_f64().max(1e-9))
            .with("p50_ms", milliseconds(percentile(&times, 50)))
            .with("p99_ms", milliseconds(percentile(&times, 99)))
            .with("server_cpu_ms", each(spent.server))
            .with("client_cpu_ms", each(spent.client))
    }

    /// One that has nothing but what [`with`](Self::with) adds.
    pub(crate) fn bare(name: &str) -> Self {
        Self { name: name.to_owned(), fields: Map::new() }
    }

    /// Adds a figure.
    pub(crate) fn with(mut self, name: &str, value: f64) -> Self {
        self.fields.insert(name.to_owned(), json!(value));
        self
    }

    /// Prints both lines.
    pub(crate) fn print(mut self) {
        let figures: Vec<String> =
            self.fields.iter().map(|(name, value)| format!("{name} {}", short(value))).collect();
        eprintln!("{}: {}", self.name, figures.join(", "));
        self.fields.insert("load".to_owned(), json!(self.name));
        println!("{}", Value::Object(self.fields));
    }
}

/// Of sorted times; none is zero.
fn percentile(times: &[Duration], of_hundred: usize) -> Duration {
    let at = (times.len() * of_hundred / 100).min(times.len().saturating_sub(1));
    times.get(at).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Three digits and more where it is large.
fn short(value: &Value) -> String {
    let value = value.as_f64().unwrap_or_default();
    let decimals = match value.abs() {
        large if large >= 100.0 => 0,
        middling if middling >= 1.0 => 2,
        _ => 4,
    };
    format!("{value:.decimals$}")
}
