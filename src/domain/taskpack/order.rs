//! Which step has ended when another one starts.

use std::collections::HashMap;

use super::errors::Errors;
use super::step::{KindDecl, StepDecl};

/// What one step is to another one that refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Relation<'m> {
    /// It has ended, or was skipped.
    Known,
    /// There is no such step.
    Unknown,
    Itself,
    Around,
    Inside,
    /// It runs once for each item of this map or loop.
    Iterated(&'m str),
    Parallel,
    OtherBranch,
    Later,
}

/// How the steps directly inside a step run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inner {
    InOrder,
    AtOnce,
    Iterated,
}

#[derive(Debug)]
struct Info<'m> {
    id: &'m str,
    parent: Option<usize>,
    /// Which of the parent's lists it is in.
    block: usize,
    inner: Inner,
}

/// All steps of a manifest, in order.
#[derive(Debug, Default)]
pub(super) struct StepTable<'m> {
    steps: Vec<Info<'m>>,
    by_id: HashMap<&'m str, usize>,
    /// Whether the id of some step could not be read, so that no id is certainly unknown.
    is_incomplete: bool,
}

impl<'m> StepTable<'m> {
    /// The table; ids that come twice are noted.
    pub(super) fn of(steps: &'m [StepDecl], errors: &mut Errors) -> Self {
        let mut table = Self::default();
        table.add(steps, None, 0, errors);
        table.is_incomplete |= table.steps.is_empty();
        table
    }

    fn add(&mut self, steps: &'m [StepDecl], parent: Option<usize>, block: usize, errors: &mut Errors) {
        for step in steps {
            let position = self.steps.len();
            let inner = match step.kind {
                KindDecl::Parallel { .. } => Inner::AtOnce,
                KindDecl::Map { .. } | KindDecl::Loop(_) => Inner::Iterated,
                _ => Inner::InOrder,
            };
            self.steps.push(Info { id: &step.id, parent, block, inner });
            self.is_incomplete |= step.id.is_empty();
            if !step.id.is_empty() && *self.by_id.entry(&step.id).or_insert(position) != position {
                errors.add(format!("{}.id", step.path), format!("duplicate step '{}'", step.id));
            }
            for (block, inside) in step.blocks().into_iter().enumerate() {
                self.add(inside, Some(position), block, errors);
            }
        }
    }

    /// What a step is to another, or to the outputs of the pack.
    pub(super) fn relation(&self, from: Option<&str>, to: &str) -> Relation<'m> {
        let Some(&to) = self.by_id.get(to) else {
            return if self.is_incomplete { Relation::Known } else { Relation::Unknown };
        };
        let from = from.and_then(|id| self.by_id.get(id)).copied();
        if from == Some(to) {
            return Relation::Itself;
        }
        let (ours, theirs) = (self.line(from), self.line(Some(to)));
        let shared = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
        let (Some(&reached), Some(&beside)) = (theirs.get(shared), ours.get(shared)) else {
            return match (from, theirs.get(shared)) {
                // A step around has nothing beside what is shared.
                (Some(_), None) => Relation::Around,
                (Some(_), Some(_)) => Relation::Inside,
                (None, _) => self.iterated(&theirs).unwrap_or(Relation::Known),
            };
        };
        if let Some(iterated) = self.iterated(&theirs[shared..]) {
            return iterated;
        }
        let container = self.steps[reached].parent.map(|parent| &self.steps[parent]);
        if container.is_some_and(|container| container.inner == Inner::AtOnce) {
            Relation::Parallel
        } else if self.steps[reached].block != self.steps[beside].block {
            Relation::OtherBranch
        } else if reached > beside {
            Relation::Later
        } else {
            Relation::Known
        }
    }

    /// The steps around a step, outermost first, and itself.
    fn line(&self, step: Option<usize>) -> Vec<usize> {
        let mut line: Vec<usize> = std::iter::successors(step, |step| self.steps[*step].parent).collect();
        line.reverse();
        line
    }

    /// The outermost map or loop around the last step of a line.
    fn iterated(&self, line: &[usize]) -> Option<Relation<'m>> {
        let around = line.split_last()?.1;
        let container = around.iter().find(|step| self.steps[**step].inner == Inner::Iterated)?;
        Some(Relation::Iterated(self.steps[*container].id))
    }
}
