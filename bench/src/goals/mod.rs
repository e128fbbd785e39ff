//! The goals, in groups that share their preparation.

mod ingest;
mod lineage;
mod live;
mod peer;
mod read;
mod scale;
mod size;
mod work;

use anyhow::Result;

use crate::Bench;
use crate::measure::{Line, figure};

/// Goals that are measured together.
pub struct Group {
    /// Their names.
    pub goals: &'static [&'static str],
    which: Which,
}

enum Which {
    Size,
    Ingest,
    Heartbeats,
    Read,
    Peer,
    Lineage,
    Scale,
    Interactive,
    Runs,
    FanOut,
    Idle,
    Replicas,
}

/// All groups, in the order of a whole run.
pub const GROUPS: &[Group] = &[
    Group { goals: &["G16"], which: Which::Size },
    Group { goals: &["G1", "G2", "G3"], which: Which::Ingest },
    Group { goals: &["G17"], which: Which::Heartbeats },
    Group { goals: &["G4", "G5", "G6", "G7"], which: Which::Read },
    Group { goals: &["G13"], which: Which::Peer },
    Group { goals: &["G8"], which: Which::Lineage },
    Group { goals: &["G14"], which: Which::Scale },
    Group { goals: &["G15"], which: Which::Interactive },
    Group { goals: &["RUNS"], which: Which::Runs },
    Group { goals: &["G9", "G10"], which: Which::FanOut },
    Group { goals: &["G11"], which: Which::Idle },
    Group { goals: &["G12"], which: Which::Replicas },
];

/// All goals.
pub const ALL: &[&str] = &[
    "G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8", "G9", "G10", "G11", "G12", "G13", "G14", "G15", "G16", "G17",
    "RUNS",
];

/// Measures some goals of a group.
pub async fn run(group: &Group, bench: &Bench, asked: &[&str]) -> Result<Vec<Line>> {
    match group.which {
        Which::Size => size::run(bench).await,
        Which::Ingest => ingest::run(bench, asked).await,
        Which::Heartbeats => ingest::heartbeats(bench).await,
        Which::Read => read::run(bench, asked).await,
        Which::Peer => peer::run(bench).await,
        Which::Lineage => lineage::run(bench).await,
        Which::Scale => scale::run(bench).await,
        Which::Interactive => work::interactive(bench).await,
        Which::Runs => work::runs(bench).await,
        Which::FanOut => live::fan_out(bench, asked).await,
        Which::Idle => live::idle(bench).await,
        Which::Replicas => live::replicas(bench).await,
    }
}

/// The results as a Markdown table, and what belongs to single lines below it.
pub fn markdown(lines: &[Line]) -> String {
    let mut text =
        "| goal | what | figure (min–max) | target | verdict | detail |\n|---|---|---|---|---|---|\n".to_owned();
    for line in lines {
        let (low, high) = line.range;
        let range = if low < high { format!(" ({}–{})", figure(low), figure(high)) } else { String::new() };
        let target = line.target.map(|target| target.to_string()).unwrap_or_default();
        let words = [Some(&line.detail), line.noisy.as_ref()];
        let detail: Vec<&str> =
            words.into_iter().flatten().map(String::as_str).filter(|text| !text.is_empty()).collect();
        text += &format!(
            "| {} | {} | {}{range} {} | {target} | {} | {} |\n",
            line.goal,
            line.what,
            figure(line.value),
            line.unit,
            line.verdict(),
            detail.join("; ")
        );
    }
    for line in lines {
        if let Some(breakdown) = line.data["markdown"].as_str() {
            text += &format!("\n### {}: {}\n\n{breakdown}", line.goal, line.what);
        }
    }
    text
}
