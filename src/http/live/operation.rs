//! One operation: its beginning, then its events.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

use axum::extract::ws::Utf8Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};

use super::protocol::Id;
use super::{Begun, Event, errors};

/// What the next of an operation is.
#[derive(Debug, PartialEq, Eq)]
pub enum Polled {
    /// An event, and more to come.
    Next(Utf8Bytes),
    /// Errors, and no more.
    Error(Utf8Bytes),
    /// No more.
    Over,
}

/// Events, whatever their stream does.
pub struct Source {
    /// None when it is over.
    events: Option<BoxStream<'static, Event>>,
    event_bytes: usize,
}

impl Source {
    /// The events of `events`, none larger than `event_bytes`.
    pub fn new(events: BoxStream<'static, Event>, event_bytes: usize) -> Self {
        Self { events: Some(events), event_bytes }
    }

    fn of(begun: Begun, event_bytes: usize) -> Self {
        match begun {
            Begun::Events(events) => Self::new(events, event_bytes),
            Begun::Refused(errors) => Self::failed(errors, event_bytes),
        }
    }

    fn failed(errors: Utf8Bytes, event_bytes: usize) -> Self {
        Self::new(stream::iter([Event::Error(errors)]).boxed(), event_bytes)
    }

    /// The next of it; a panic is an error of this operation alone.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Polled> {
        let Some(events) = &mut self.events else { return Poll::Ready(Polled::Over) };
        let Some(polled) = unless_panicked(|| events.poll_next_unpin(cx)) else {
            return Poll::Ready(self.end(Polled::Error(internal())));
        };
        polled.map(|event| match event {
            Some(Event::Next(payload)) if payload.len() > self.event_bytes => {
                self.end(Polled::Error(errors("PAYLOAD_TOO_LARGE", "An event was too large; select less.").into()))
            }
            Some(Event::Next(payload)) => Polled::Next(payload),
            Some(Event::Error(errors)) => self.end(Polled::Error(errors)),
            None => self.end(Polled::Over),
        })
    }

    /// The next of it.
    pub async fn next(&mut self) -> Polled {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn end(&mut self, last: Polled) -> Polled {
        let events = self.events.take();
        // What has panicked may do so again when dropped.
        unless_panicked(move || drop(events));
        last
    }
}

enum State {
    Beginning(BoxFuture<'static, Begun>),
    Begun(Source),
}

/// A live operation of a connection.
pub struct Operation {
    /// Its id.
    pub id: Id,
    /// Whether it may have more events in this turn.
    pub is_ready: bool,
    state: State,
}

impl Operation {
    /// An operation that begins.
    pub fn new(id: &str, beginning: BoxFuture<'static, Begun>) -> Self {
        Self { id: Id::new(id), is_ready: true, state: State::Beginning(beginning) }
    }

    /// Moves on with the beginning, if that is not done.
    pub fn poll_begin(&mut self, cx: &mut Context<'_>, event_bytes: usize) {
        let State::Beginning(beginning) = &mut self.state else { return };
        let source = match unless_panicked(|| beginning.poll_unpin(cx)) {
            Some(Poll::Pending) => return,
            Some(Poll::Ready(begun)) => Source::of(begun, event_bytes),
            None => Source::failed(internal(), event_bytes),
        };
        let begun = std::mem::replace(&mut self.state, State::Begun(source));
        unless_panicked(move || drop(begun));
    }

    /// The next of it, once it has begun.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Polled> {
        match &mut self.state {
            State::Beginning(_) => Poll::Pending,
            State::Begun(source) => source.poll_next(cx),
        }
    }
}

fn internal() -> Utf8Bytes {
    errors("INTERNAL", "The server failed.").into()
}

/// Nothing, if `act` panics; the panic hook has told the log why.
fn unless_panicked<T>(act: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(act));
    if done.is_err() {
        tracing::error!("an operation panicked");
    }
    done.ok()
}
