//! Repetitions, pairs and their ratios, and what is reported of them.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Beyond this spread, (max − min) / median, of the limit's own repetitions a run proves nothing.
const NOISY: f64 = 0.25;

/// One repetition.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Operations.
    pub operations: f64,
    /// Wall time, seconds.
    pub wall: f64,
    /// CPU time of the process under test, seconds.
    pub cpu: f64,
    /// CPU time of the database's own processes, seconds.
    pub database_cpu: f64,
    /// Latency, microseconds; 0 where it was not measured.
    pub p50: u64,
    /// Likewise.
    pub p99: u64,
}

impl Sample {
    /// A repetition without latencies.
    pub fn new(operations: usize, wall: Duration, cpu: f64) -> Self {
        Self { operations: operations as f64, wall: wall.as_secs_f64(), cpu, database_cpu: 0.0, p50: 0, p99: 0 }
    }

    /// The same with latencies.
    pub fn with_latency(self, latency: &Histogram<u64>) -> Self {
        Self { p50: latency.value_at_quantile(0.5), p99: latency.value_at_quantile(0.99), ..self }
    }

    /// The same with the CPU time of the database.
    pub fn with_database(self, database_cpu: f64) -> Self {
        Self { database_cpu, ..self }
    }

    /// Operations a second.
    pub fn rate(&self) -> f64 {
        self.operations / self.wall
    }

    /// CPU microseconds an operation, of process and database.
    pub fn cpu_each(&self) -> f64 {
        (self.cpu + self.database_cpu) * 1e6 / self.operations
    }
}

/// The repetitions of one side.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// In the order of time.
    pub samples: Vec<Sample>,
}

impl Side {
    /// The median of what is read off each repetition.
    pub fn median(&self, read: impl Fn(&Sample) -> f64) -> f64 {
        median(&self.samples.iter().map(read).collect::<Vec<_>>())
    }

    /// (max − min) / median of the rates.
    pub fn spread(&self) -> f64 {
        let (low, high) = bounds(&self.samples.iter().map(Sample::rate).collect::<Vec<_>>());
        (high - low) / self.median(Sample::rate)
    }

    fn json(&self) -> Value {
        json!({
            "rate": self.median(Sample::rate), "spread": self.spread(),
            "cpuMicros": self.median(|s| s.cpu * 1e6 / s.operations),
            "databaseCpuMicros": self.median(|s| s.database_cpu * 1e6 / s.operations),
            "p50Micros": self.median(|s| s.p50 as f64), "p99Micros": self.median(|s| s.p99 as f64),
            "rates": self.samples.iter().map(Sample::rate).collect::<Vec<_>>(),
        })
    }
}

/// Limit (or peer) and system, repetition by repetition.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    /// What it is compared with.
    pub limit: Side,
    /// The product.
    pub system: Side,
}

/// What a ratio must be.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// At least.
    AtLeast(f64),
    /// At most.
    AtMost(f64),
}

impl Target {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "≥ {}", figure(*bound)),
            Self::AtMost(bound) => write!(f, "≤ {}", figure(*bound)),
        }
    }
}

/// One line of the results.
#[derive(Clone, Debug)]
pub struct Line {
    /// The goal, such as `G1`.
    pub goal: &'static str,
    /// What was measured.
    pub what: String,
    /// The figure's unit, such as `× limit`.
    pub unit: &'static str,
    /// What the figure must be; `None` where the line only informs.
    pub target: Option<Target>,
    /// The median.
    pub value: f64,
    /// The least and the greatest.
    pub range: (f64, f64),
    /// Why it proves nothing, if so.
    pub noisy: Option<String>,
    /// Rates, CPU and latencies, in words.
    pub detail: String,
    /// The same and more, for programs.
    pub data: Value,
}

impl Line {
    /// A line of a single figure.
    pub fn figure(
        goal: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        target: Option<Target>,
        value: f64,
    ) -> Self {
        Self {
            goal,
            what: what.into(),
            unit,
            target,
            value,
            range: (value, value),
            noisy: None,
            detail: String::new(),
            data: Value::Null,
        }
    }

    /// `met`, `missed`, `noisy` or nothing.
    pub fn verdict(&self) -> &'static str {
        match (self.target, &self.noisy) {
            (None, _) => "",
            (Some(_), Some(_)) => "too noisy",
            (Some(target), None) if target.holds(self.value) => "met",
            _ => "missed",
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "goal": self.goal, "what": self.what, "unit": self.unit, "value": self.value, "min": self.range.0,
            "max": self.range.1, "target": self.target.map(|target| target.to_string()), "verdict": self.verdict(),
            "noisy": self.noisy, "detail": self.detail, "data": self.data,
        })
    }
}

impl Pairs {
    /// Runs limit, system, limit, system, …
    pub async fn run(
        pairs: usize,
        mut limit: impl AsyncFnMut() -> Result<Sample>,
        mut system: impl AsyncFnMut() -> Result<Sample>,
    ) -> Result<Self> {
        let mut run = Self::default();
        for _ in 0..pairs {
            run.limit.samples.push(limit().await?);
            run.system.samples.push(system().await?);
        }
        Ok(run)
    }

    /// The line of a ratio system / limit of what is read off each repetition.
    pub fn line(
        &self,
        goal: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        target: Target,
        read: impl Fn(&Sample) -> f64,
    ) -> Line {
        let ratios: Vec<f64> = self
            .system
            .samples
            .iter()
            .zip(&self.limit.samples)
            .map(|(system, limit)| read(system) / read(limit))
            .collect();
        let spread = self.limit.spread();
        let few = (self.limit.samples.len() < 5).then(|| format!("only {} pairs", self.limit.samples.len()));
        let wide = (spread > NOISY).then(|| format!("the limit's own repetitions spread by {:.0} %", spread * 100.0));
        let what = what.into();
        // At once, since a run takes long and may be cut off.
        eprintln!("  {goal} {what}: {} {unit}", figure(median(&ratios)));
        Line {
            goal,
            what,
            unit,
            target: Some(target),
            value: median(&ratios),
            range: bounds(&ratios),
            noisy: wide.or(few),
            detail: format!("limit {}; system {}", words(&self.limit), words(&self.system)),
            data: json!({"limit": self.limit.json(), "system": self.system.json(), "ratios": ratios}),
        }
    }

    /// The line of a ratio of rates.
    pub fn rate_line(&self, goal: &'static str, what: impl Into<String>, target: f64) -> Line {
        self.line(goal, what, "× rate", Target::AtLeast(target), Sample::rate)
    }
}

/// Rate, CPU and latencies of one side.
pub fn words(side: &Side) -> String {
    let mut text = format!(
        "{}/s, CPU {} µs",
        figure(side.median(Sample::rate)),
        figure(side.median(|s| s.cpu * 1e6 / s.operations))
    );
    let database = side.median(|s| s.database_cpu * 1e6 / s.operations);
    if database > 0.0 {
        text += &format!(" + {} µs database", figure(database));
    }
    let p99 = side.median(|s| s.p99 as f64);
    if p99 > 0.0 {
        text += &format!(", p50 {} ms, p99 {} ms", figure(side.median(|s| s.p50 as f64) / 1e3), figure(p99 / 1e3));
    }
    text
}

/// The median; the mean of the middle two of an even number.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// The least and the greatest.
pub fn bounds(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)))
}

/// A number with three figures, or as an integer.
pub fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
