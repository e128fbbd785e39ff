//! What a pack aims at, and how its runs did.

use crate::domain::findings::{Finding, Severity, Subject};
use crate::domain::lineage::thing;
use crate::domain::taskpack::{Plan, Slo};

/// The code of the findings.
pub const MISSED: &str = "OBJECTIVE_MISSED";
/// How many of the newest runs of a pack are looked at.
pub const WINDOW: usize = 100;

/// Something that a pack aims at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Objective {
    /// In how many seconds 95 of 100 runs end.
    RunP95,
    /// In how many seconds 95 of 100 approvals are decided.
    ApprovalP95,
    /// How many runs wait at most.
    QueueDepth,
}

impl Objective {
    /// The name of its field in the manifest.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::RunP95 => "runP95Seconds",
            Self::ApprovalP95 => "approvalP95Seconds",
            Self::QueueDepth => "maxQueueDepth",
        }
    }
}

/// How the newest runs of a pack did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measured {
    /// How many of them ended and were not cancelled.
    pub runs: usize,
    /// How long 95 of 100 of these took, from their creation to their end, microseconds.
    pub run_p95: Option<i64>,
    /// How many of their approvals were decided.
    pub approvals: usize,
    /// How long 95 of 100 of these waited, from when a gate asked, microseconds.
    pub approval_p95: Option<i64>,
    /// How many runs of the pack have not begun.
    pub waiting: i64,
}

impl Measured {
    /// Of how long each took, in any order, microseconds.
    #[must_use]
    pub fn of(mut runs: Vec<i64>, mut approvals: Vec<i64>, waiting: i64) -> Self {
        Self {
            runs: runs.len(),
            run_p95: p95(&mut runs),
            approvals: approvals.len(),
            approval_p95: p95(&mut approvals),
            waiting,
        }
    }

    /// What is missed of what a pack aims at: the aim and what was measured, in seconds or runs.
    #[must_use]
    pub fn missed(&self, slo: &Slo) -> Vec<(Objective, i64, i64)> {
        let seconds = |micros: Option<i64>| micros.map(|micros| micros.saturating_add(999_999) / 1_000_000);
        let all = [
            (Objective::RunP95, slo.run_p95_seconds, seconds(self.run_p95)),
            (Objective::ApprovalP95, slo.approval_p95_seconds, seconds(self.approval_p95)),
            (Objective::QueueDepth, slo.max_queue_depth, Some(self.waiting)),
        ];
        let missed = |(objective, aim, measured): (Objective, Option<u32>, Option<i64>)| {
            let (aim, measured) = (i64::from(aim?), measured?);
            (measured > aim).then_some((objective, aim, measured))
        };
        all.into_iter().filter_map(missed).collect()
    }
}

/// The findings about what a pack aims at.
#[must_use]
pub fn findings(plan: &Plan, measured: &Measured) -> Vec<Finding> {
    let pack = thing::task_pack(&plan.name, &plan.version);
    let missed = plan.slo.iter().flat_map(|slo| measured.missed(slo));
    let finding = |(objective, aim, found): (Objective, i64, i64)| {
        Finding::new("OBJECTIVE_MISSED", Severity::Warning, Subject::Objective(pack.clone(), objective.field()))
            .with("pack", &plan.name)
            .with("version", &plan.version)
            .with("objective", objective.field())
            .with("aim", aim)
            .with("measured", found)
            .with("runs", measured.runs)
    };
    missed.map(finding).collect()
}

/// The 95th percentile by the nearest rank: 95 of 100 are no greater.
fn p95(values: &mut [i64]) -> Option<i64> {
    values.sort_unstable();
    let rank = (values.len() * 95).div_ceil(100);
    values.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ninety_five_of_a_hundred_are_no_greater() {
        assert_eq!(p95(&mut []), None);
        assert_eq!(p95(&mut [7]), Some(7));
        assert_eq!(p95(&mut (1..=100).rev().collect::<Vec<_>>()), Some(95));
        assert_eq!(p95(&mut (1..=20).collect::<Vec<_>>()), Some(19));
        assert_eq!(p95(&mut (1..=19).collect::<Vec<_>>()), Some(19));
        for count in 1..200 {
            let mut values: Vec<i64> = (0..count).map(|n| n * 7919 % 101).collect();
            let found = p95(&mut values).unwrap();
            let within = values.iter().filter(|value| **value <= found).count();
            let below = values.iter().filter(|value| **value < found).count();
            assert!(within * 100 >= values.len() * 95 && below * 100 < values.len() * 95, "{count}");
        }
    }

    #[test]
    fn an_aim_is_missed_by_more_than_it_allows() {
        let slo = Slo { run_p95_seconds: Some(10), approval_p95_seconds: None, max_queue_depth: Some(2) };
        let second = 1_000_000;
        assert_eq!(Measured::of(vec![10 * second], vec![99 * second], 2).missed(&slo), []);
        let missed = Measured::of(vec![10 * second + 1], Vec::new(), 3).missed(&slo);
        assert_eq!(missed, [(Objective::RunP95, 10, 11), (Objective::QueueDepth, 2, 3)]);
        assert_eq!(Measured::of(Vec::new(), Vec::new(), 0).missed(&slo), [], "nothing ended yet");
    }
}
