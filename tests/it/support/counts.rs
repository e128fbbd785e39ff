//! Counts how sequences were derived, by what the derivation tells of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// How many sequences were advanced, and how many derived whole.
#[derive(Clone, Default)]
pub struct Counts(Arc<Inner>);

#[derive(Default)]
struct Inner {
    advanced: AtomicU64,
    whole: AtomicU64,
}

impl Counts {
    /// Counts what this thread does until the guard is dropped.
    pub fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let counts = Self::default();
        let guard = tracing::subscriber::set_default(counts.clone());
        (counts, guard)
    }

    pub fn advanced(&self) -> u64 {
        self.0.advanced.load(Ordering::Relaxed)
    }

    pub fn whole(&self) -> u64 {
        self.0.whole.load(Ordering::Relaxed)
    }
}

impl Visit for &Counts {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "advanced" => self.0.advanced.fetch_add(value, Ordering::Relaxed),
            "whole" => self.0.whole.fetch_add(value, Ordering::Relaxed),
            _ => 0,
        };
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Subscriber for Counts {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().ends_with("derive::advance")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut &*self);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
