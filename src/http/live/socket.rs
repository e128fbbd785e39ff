//! One WebSocket connection, as a future that is polled in turns.
//!
//! A turn does a bounded amount of everything: signals and timers, the client's messages, the
//! operations' events, one flush. A turn that stopped at a bound lets other tasks go first and then
//! has another one, so neither a flood of messages nor one of events starves anybody.
//!
//! It is written as a plain future and not as an `async` function, whose state would hold some of
//! its parts twice: there are thousands of connections, and most of them are idle.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use axum::http::request::Parts;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::time::{Instant, Sleep, sleep_until};

use super::operation::{Operation, Polled};
use super::protocol::{self, ClientMessage, Close, Id};
use super::wakeup::Wakeup;
use super::{Admitted, Denied, Live, Place, Subscriptions, errors};

/// Messages of the client read in one turn.
const MESSAGES_PER_TURN: usize = 16;

/// Events written in one turn.
const EVENTS_PER_TURN: usize = 128;

/// Messages thrown away in one turn while saying goodbye.
const DISCARDED_PER_TURN: usize = 64;

type Admitting<C> = BoxFuture<'static, Result<Admitted<C>, Denied>>;

/// How far the client has come in telling who it is.
enum Stage<S: Subscriptions> {
    /// It has until then; the headers may have told already.
    Waiting { until: Instant, parts: Box<Parts>, known: Option<Box<Admitted<S::Caller>>> },
    /// It has told, and is looked up.
    Admitting(Admitting<S::Caller>),
    /// It may subscribe.
    Open(Arc<S::Caller>),
}

/// How a connection ends.
enum Ending {
    /// There is nobody any more.
    Gone,
    /// The client has said goodbye.
    Left,
    /// We say goodbye, and hear what the client says to that.
    Close(Close),
    /// We say goodbye to a client whose messages cannot be read any more.
    Broken(Close),
    /// The client does not take what is written.
    Slow,
}

/// What is left to do at the end.
enum Farewell {
    /// Write what is written, and read until the client has left.
    Reading,
    /// Write what is written, and stay: leaving with unread bytes would break the connection, and
    /// the client might lose what was written last.
    Lingering,
}

/// Whether a turn left work behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    Work,
}

impl Left {
    fn and(self, other: Self) -> Self {
        if self == Self::Work { self } else { other }
    }
}

/// One WebSocket connection; completes when it is over.
pub struct Connection<S: Subscriptions> {
    live: Arc<Live<S>>,
    socket: WebSocket,
    place: Place,
    stage: Stage<S>,
    operations: Vec<Operation>,
    /// Whose event comes first in the next turn.
    first: usize,
    /// A message that cannot be answered before what is written has been taken.
    held: Option<Box<ClientMessage>>,
    /// Whether anything was written since the last flush.
    is_dirty: bool,
    /// Since when a flush waits for the peer.
    blocked: Option<Instant>,
    /// The last sign of the peer.
    seen: Instant,
    ping_at: Instant,
    expires: Option<Instant>,
    /// Fires at the earliest of the times above, or before.
    timer: Pin<Box<Sleep>>,
    draining: BoxFuture<'static, ()>,
    /// Woken by the client, by time and by the drain: by all but events and writes.
    wakeup: Arc<Wakeup>,
    farewell: Option<Farewell>,
}

impl<S: Subscriptions> Future for Connection<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.farewell.is_none() {
            match this.turn(cx) {
                Ok(Left::Nothing) => return Poll::Pending,
                Ok(Left::Work) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(Ending::Gone) => return Poll::Ready(()),
                Err(ending) => this.end(ending),
            }
        }
        this.say_goodbye(cx)
    }
}

impl<S: Subscriptions> Connection<S> {
    /// A connection of a client that the headers may have told of.
    #[must_use]
    pub fn new(
        live: Arc<Live<S>>,
        socket: WebSocket,
        parts: Box<Parts>,
        place: Place,
        known: Option<Admitted<S::Caller>>,
    ) -> Self {
        let now = Instant::now();
        let until = now + live.limits.init_timeout;
        let ping_at = now + live.limits.ping_every;
        let expires = known.as_ref().and_then(|known| known.expires);
        Self {
            draining: live.draining.begun(),
            socket,
            place,
            stage: Stage::Waiting { until, parts, known: known.map(Box::new) },
            operations: Vec::new(),
            first: 0,
            held: None,
            is_dirty: false,
            blocked: None,
            seen: now,
            ping_at,
            expires,
            timer: Box::pin(sleep_until(until.min(ping_at))),
            wakeup: Wakeup::new(),
            farewell: None,
            live,
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Result<Left, Ending> {
        self.wakeup.wakes(cx.waker());
        if self.blocked.is_some() {
            self.flush(cx)?;
        }
        let read = if self.wakeup.take() || self.held.is_some() { self.listen(cx)? } else { Left::Nothing };
        self.admit(cx)?;
        let delivered = self.deliver(cx)?;
        let unblocked = self.unblock(cx)?;
        if self.next_due() < self.timer.deadline() {
            self.set_timer();
            self.heed_time(cx)?;
        }
        Ok(read.and(delivered).and(unblocked))
    }

    /// Asks after all that wakes [`Self::wakeup`].
    fn listen(&mut self, cx: &mut Context<'_>) -> Result<Left, Ending> {
        let waker = Waker::from(Arc::clone(&self.wakeup));
        let listening = &mut Context::from_waker(&waker);
        if self.draining.poll_unpin(listening).is_ready() {
            return Err(Ending::Close(Close::new(1001, "Going away")));
        }
        let read = self.read(cx, listening)?;
        if read == Left::Work {
            self.wakeup.set();
        }
        self.heed_time(cx)?;
        Ok(read)
    }

    // Time

    /// Does what is due, and sees to being woken for what is due next.
    fn heed_time(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        let waker = Waker::from(Arc::clone(&self.wakeup));
        while self.timer.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            self.do_due(Instant::now(), cx)?;
            self.set_timer();
        }
        Ok(())
    }

    fn set_timer(&mut self) {
        let due = self.next_due();
        self.timer.as_mut().reset(due);
    }

    fn next_due(&self) -> Instant {
        let limits = &self.live.limits;
        let init = match &self.stage {
            Stage::Waiting { until, .. } => Some(*until),
            Stage::Admitting(_) | Stage::Open(_) => None,
        };
        let stalled = self.blocked.map(|since| since + limits.flush_timeout);
        let silent = self.seen + limits.dead_after;
        let always = self.ping_at.min(silent);
        [init, stalled, self.expires].into_iter().flatten().fold(always, Instant::min)
    }

    fn do_due(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), Ending> {
        let limits = &self.live.limits;
        if matches!(&self.stage, Stage::Waiting { until, .. } if *until <= now) {
            return Err(Ending::Close(Close::new(4408, "Connection initialisation timeout")));
        }
        if self.expires.is_some_and(|expires| expires <= now) {
            return Err(Ending::Close(Close::new(4401, "Unauthorized: the token has expired")));
        }
        if self.blocked.is_some_and(|since| since + limits.flush_timeout <= now) {
            return Err(Ending::Slow);
        }
        if self.seen + limits.dead_after <= now {
            return Err(Ending::Close(Close::new(1001, "No sign of the peer")));
        }
        if self.ping_at <= now {
            self.ping_at = now + limits.ping_every;
            if self.may_write(cx)? {
                self.write(Message::Ping(Bytes::new()))?;
                self.flush(cx)?;
            }
        }
        Ok(())
    }

    // Writing

    /// Whether the peer has taken enough of what was written that more may be.
    fn may_write(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        if self.blocked.is_some() {
            return Ok(false);
        }
        match self.socket.poll_ready_unpin(cx) {
            Poll::Ready(ready) => ready.map(|()| true).map_err(|_| Ending::Gone),
            Poll::Pending => {
                self.blocked = Some(Instant::now());
                Ok(false)
            }
        }
    }

    fn write(&mut self, message: Message) -> Result<(), Ending> {
        self.is_dirty = true;
        self.socket.start_send_unpin(message).map_err(|_| Ending::Gone)
    }

    fn write_text(&mut self, text: Utf8Bytes) -> Result<(), Ending> {
        self.write(Message::Text(text))
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        if !self.is_dirty && self.blocked.is_none() {
            return Ok(());
        }
        match self.socket.poll_flush_unpin(cx) {
            Poll::Ready(flushed) => {
                flushed.map_err(|_| Ending::Gone)?;
                self.is_dirty = false;
                if self.blocked.take().is_some() {
                    // Who takes what we write is alive, even with no time to answer pings.
                    self.seen = Instant::now();
                }
            }
            Poll::Pending => {
                self.blocked.get_or_insert_with(Instant::now);
            }
        }
        Ok(())
    }

    /// Flushes. What waited for the peer during this turn has not been asked to wake us, so if the
    /// peer has just taken everything there is work left.
    fn unblock(&mut self, cx: &mut Context<'_>) -> Result<Left, Ending> {
        let was_blocked = self.blocked.is_some();
        self.flush(cx)?;
        Ok(if was_blocked && self.blocked.is_none() { Left::Work } else { Left::Nothing })
    }

    // Reading

    fn read(&mut self, cx: &mut Context<'_>, listening: &mut Context<'_>) -> Result<Left, Ending> {
        if let Some(held) = self.held.take() {
            self.heed(*held, cx)?;
        }
        for _ in 0..MESSAGES_PER_TURN {
            if self.held.is_some() {
                return Ok(Left::Nothing);
            }
            let Poll::Ready(received) = self.socket.poll_next_unpin(listening) else { return Ok(Left::Nothing) };
            self.receive(received, cx)?;
        }
        Ok(Left::Work)
    }

    fn receive(&mut self, received: Option<Result<Message, axum::Error>>, cx: &mut Context<'_>) -> Result<(), Ending> {
        let message = match received {
            None => return Err(Ending::Gone),
            Some(received) => received.map_err(|error| unreadable(&error))?,
        };
        self.seen = Instant::now();
        match message {
            Message::Text(text) => self.heed(protocol::parse(&text).map_err(Ending::Close)?, cx),
            Message::Binary(_) => Err(Ending::Close(Close::new(4400, "Invalid message: binary"))),
            // Pings are answered by the layer below, which keeps no more than one answer.
            Message::Ping(_) | Message::Pong(_) => Ok(()),
            Message::Close(_) => Err(Ending::Left),
        }
    }

    /// Does what the client says, or keeps it for later.
    fn heed(&mut self, message: ClientMessage, cx: &mut Context<'_>) -> Result<(), Ending> {
        if self.wants_answer(&message) && !self.may_write(cx)? {
            self.held = Some(Box::new(message));
            return Ok(());
        }
        match message {
            ClientMessage::Pong => Ok(()),
            ClientMessage::Ping(payload) => self.write_text(protocol::pong(payload.as_deref())),
            ClientMessage::Init(init) => self.init(init),
            ClientMessage::Subscribe { id, payload } => self.subscribe(&id, payload),
            ClientMessage::Complete { id } => {
                self.operations.retain(|operation| operation.id.as_str() != &*id);
                Ok(())
            }
        }
    }

    fn wants_answer(&self, message: &ClientMessage) -> bool {
        match message {
            ClientMessage::Init(_) | ClientMessage::Ping(_) => true,
            ClientMessage::Subscribe { .. } => self.is_full(),
            ClientMessage::Pong | ClientMessage::Complete { .. } => false,
        }
    }

    fn is_full(&self) -> bool {
        self.operations.len() >= self.live.limits.subscriptions
    }

    // Who it is

    fn init(&mut self, init: Map<String, Value>) -> Result<(), Ending> {
        let Stage::Waiting { parts, known, .. } = &mut self.stage else {
            return Err(Ending::Close(Close::new(4429, "Too many initialisation requests")));
        };
        if let Some(known) = known.take() {
            return self.open(*known);
        }
        let parts = std::mem::replace(parts, Box::new(axum::http::Request::new(()).into_parts().0));
        let live = Arc::clone(&self.live);
        self.stage = Stage::Admitting(async move { live.subscriptions.admit(&parts, Some(&init)).await }.boxed());
        Ok(())
    }

    fn admit(&mut self, cx: &mut Context<'_>) -> Result<(), Ending> {
        let Stage::Admitting(admitting) = &mut self.stage else { return Ok(()) };
        let Poll::Ready(admitted) = admitting.poll_unpin(cx) else { return Ok(()) };
        let admitted = admitted.map_err(|denied| Ending::Close(goodbye(denied)))?;
        // Places get free, so clients may try again, as they do after a refused upgrade: 1013 says
        // so to them, while 4429 would be final and means something else.
        let full = |_full| Ending::Close(Close::new(1013, "Too many connections"));
        self.place.assign(&admitted.principal).map_err(full)?;
        self.open(admitted)
    }

    fn open(&mut self, admitted: Admitted<S::Caller>) -> Result<(), Ending> {
        self.expires = admitted.expires;
        self.stage = Stage::Open(admitted.caller);
        self.write_text(Utf8Bytes::from_static(protocol::ACK))
    }

    // Operations

    fn subscribe(&mut self, id: &str, payload: Box<RawValue>) -> Result<(), Ending> {
        let Stage::Open(caller) = &self.stage else {
            return Err(Ending::Close(Close::new(4401, "Unauthorized")));
        };
        if self.operations.iter().any(|operation| operation.id.as_str() == id) {
            return Err(Ending::Close(Close::because(4409, format!("Subscriber for {id} already exists"))));
        }
        if self.is_full() {
            let limit = self.live.limits.subscriptions;
            let message = format!("A connection may have {limit} subscriptions.");
            return self.write_text(Id::new(id).error(&errors("TOO_MANY_SUBSCRIPTIONS", &message)));
        }
        let (live, caller) = (Arc::clone(&self.live), Arc::clone(caller));
        let beginning = async move { live.subscriptions.begin(&caller, payload).await };
        self.operations.push(Operation::new(id, beginning.boxed()));
        Ok(())
    }

    /// Writes what is ready, an event of each operation in turn.
    fn deliver(&mut self, cx: &mut Context<'_>) -> Result<Left, Ending> {
        for operation in &mut self.operations {
            operation.poll_begin(cx, self.live.limits.event_bytes);
            operation.is_ready = true;
        }
        let mut rest = EVENTS_PER_TURN;
        let mut is_idle = false;
        while !is_idle {
            is_idle = true;
            for _ in 0..self.operations.len() {
                if rest == 0 {
                    return Ok(Left::Work);
                }
                if !self.may_write(cx)? {
                    return Ok(Left::Nothing);
                }
                if self.deliver_one(cx)? {
                    is_idle = false;
                    rest -= 1;
                }
            }
        }
        Ok(Left::Nothing)
    }

    /// Writes the next event of the operation whose turn it is, if there is one.
    fn deliver_one(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        if self.first >= self.operations.len() {
            self.first = 0;
        }
        let Some(operation) = self.operations.get_mut(self.first) else { return Ok(false) };
        if !operation.is_ready {
            self.first += 1;
            return Ok(false);
        }
        let (frame, is_last) = match operation.poll_next(cx) {
            Poll::Pending => {
                operation.is_ready = false;
                self.first += 1;
                return Ok(false);
            }
            Poll::Ready(Polled::Next(payload)) => (operation.id.next(&payload), false),
            Poll::Ready(Polled::Error(errors)) => (operation.id.error(&errors), true),
            Poll::Ready(Polled::Over) => (operation.id.complete(), true),
        };
        if is_last {
            self.operations.remove(self.first);
        } else {
            self.first += 1;
        }
        self.write_text(frame)?;
        Ok(true)
    }

    // The end

    /// Lets go of all that the connection held, and writes the last words behind what was written
    /// before: there is room for them, whether or not the peer takes anything.
    fn end(&mut self, ending: Ending) {
        let (close, farewell) = match ending {
            Ending::Gone | Ending::Left => (None, Farewell::Reading),
            Ending::Close(close) => (Some(close), Farewell::Reading),
            Ending::Broken(close) => (Some(close), Farewell::Lingering),
            Ending::Slow => {
                self.end_operations("SLOW_CONSUMER", "Events were not taken in time; go on from the last cursor.");
                (Some(Close::new(1013, "SLOW_CONSUMER")), Farewell::Reading)
            }
        };
        self.operations = Vec::new();
        self.held = None;
        if let Some(Close { code, reason }) = close {
            tracing::debug!(code, %reason, "a connection is closed");
            let reason = Utf8Bytes::from(reason.into_owned());
            // Who is gone already needs no goodbye.
            let _ = self.write(Message::Close(Some(CloseFrame { code, reason })));
        }
        self.farewell = Some(farewell);
        self.timer.as_mut().reset(Instant::now() + self.live.limits.farewell);
    }

    fn end_operations(&mut self, code: &str, message: &str) {
        let errors = errors(code, message);
        for operation in std::mem::take(&mut self.operations) {
            if self.write_text(operation.id.error(&errors)).is_err() {
                return;
            }
        }
    }

    fn say_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let is_late = self.timer.as_mut().poll(cx).is_ready();
        if is_late || matches!(self.socket.poll_flush_unpin(cx), Poll::Ready(Err(_))) {
            return Poll::Ready(());
        }
        match self.farewell {
            Some(Farewell::Lingering) => Poll::Pending,
            _ => self.discard(cx),
        }
    }

    /// Reads on until the client has left.
    fn discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..DISCARDED_PER_TURN {
            match self.socket.poll_next_unpin(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(None | Some(Err(_))) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The close that a message deserves which the layer below cannot read. Its errors have no public
/// type here, but stable texts.
fn unreadable(error: &axum::Error) -> Ending {
    let text = error.to_string();
    let begins = |beginning: &str| text.starts_with(beginning);
    if begins("Space limit exceeded") {
        Ending::Broken(Close::new(1009, "Message too big"))
    } else if begins("UTF-8 encoding error") {
        Ending::Broken(Close::new(1007, "Invalid UTF-8"))
    } else if begins("WebSocket protocol error") && !text.contains("without closing handshake") {
        Ending::Broken(Close::new(1002, "Protocol error"))
    } else {
        Ending::Gone
    }
}

fn goodbye(denied: Denied) -> Close {
    match denied {
        Denied::Missing(message) | Denied::Unauthenticated(message) => {
            Close::because(4401, format!("Unauthorized: {message}"))
        }
        Denied::Forbidden(message) => Close::because(4403, format!("Forbidden: {message}")),
        Denied::Invalid(message) => Close::because(4400, message),
        Denied::Unavailable(message) => Close::because(1013, message),
    }
}
