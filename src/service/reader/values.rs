//! JSON: a single object, the elements of arrays, the items of Kubernetes lists, or several such
//! values one after the other.
//!
//! An object with an `items` array is read as a list while it arrives, since it may be far larger
//! than memory and `kubectl` writes `items` before `kind`. A record that has an `items` member of
//! its own is told by what came before it: a `spec`, an `object`, or a kind that is no list's.

use super::scan::{Scan, Step};
use super::{Found, ItemCode, ItemError, Partial, newlines};
use crate::domain::json::JsonErrorKind;
use crate::domain::path::JsonPath;

/// How much of a list's keys and of its kind is looked at; none that matters is longer.
const NAME_BYTES: usize = 256;

/// Where in the text the next byte stands.
#[derive(Clone, Copy, Debug)]
struct Position {
    line: u64,
    column: u64,
}

impl Position {
    fn advance(&mut self, bytes: &[u8]) {
        match bytes.iter().rposition(|b| *b == b'\n') {
            None => self.column += bytes.len() as u64,
            Some(last) => {
                self.line += newlines(bytes);
                self.column = (bytes.len() - last) as u64;
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between top-level values.
    Top,
    /// In a top-level number, word or string.
    Scalar,
    /// In a top-level array.
    Array(Slot),
    /// In a top-level object.
    Object(Member),
    /// In the `items` of a list.
    Items(Slot),
    /// After a fatal error.
    Failed,
}

/// Where in an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    FirstOrEnd,
    Next,
    Inside,
    CommaOrEnd,
}

/// Where in an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    FirstOrEnd,
    NextKey,
    Key,
    Colon,
    Value,
    Inside,
    CommaOrEnd,
}

/// What is known of the top-level object at hand.
#[derive(Debug, Default)]
struct Head {
    /// The key at hand and its value, both as JSON and both cut.
    key: Vec<u8>,
    value: Vec<u8>,
    kind: Option<String>,
    is_list: bool,
    is_record: bool,
    has_null_items: bool,
}

impl Head {
    fn key_is(&self, name: &str) -> bool {
        serde_json::from_slice::<String>(&self.key).is_ok_and(|key| key == name)
    }

    fn kind_is_list(&self) -> Option<bool> {
        self.kind.as_ref().map(|kind| kind.ends_with("List"))
    }

    /// Takes note of the member that just ended.
    fn note_member(&mut self) {
        if self.key_is("kind") {
            self.kind = serde_json::from_slice(&self.value).ok();
        } else if self.key_is("spec") || self.key_is("object") {
            self.is_record = true;
        } else if self.key_is("items") {
            self.has_null_items = self.value == b"null";
        }
    }

    /// Whether an `items` array that begins here holds the items of a list.
    fn begins_list(&self) -> bool {
        self.key_is("items") && !self.is_record && self.kind_is_list() != Some(false)
    }
}

/// Splits a text into the items that it holds.
#[derive(Debug)]
pub(super) struct ValueSplitter {
    place: Place,
    position: Position,
    scan: Option<Scan>,
    head: Head,
    item: Partial,
    item_line: u64,
    /// Where a translated text and its item at hand come from.
    offset: usize,
    item_offset: usize,
    /// What is wrong with the item at hand, though its text may look well.
    fault: Option<ItemError>,
}

impl ValueSplitter {
    /// A splitter whose items have at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            place: Place::Top,
            position: Position { line: 1, column: 1 },
            scan: None,
            head: Head::default(),
            item: Partial::new(limit),
            item_line: 1,
            offset: 0,
            item_offset: 0,
            fault: None,
        }
    }

    /// Says where the next byte comes from, for a text that was translated.
    pub(super) fn set_place(&mut self, line: u64, offset: usize) {
        self.position.line = line;
        self.offset = offset;
    }

    /// Where the last item began, as [`set_place`](Self::set_place) said.
    pub(super) fn item_offset(&self) -> usize {
        self.item_offset
    }

    /// Refuses the item at hand, when it ends; the error comes back if there is none.
    pub(super) fn refuse(&mut self, error: ItemError) -> Option<ItemError> {
        let inside = match self.place {
            Place::Scalar | Place::Array(Slot::Inside) | Place::Items(Slot::Inside) => true,
            Place::Object(_) => !self.head.is_list,
            _ => false,
        };
        if !inside {
            return Some(error);
        }
        self.fault.get_or_insert(error);
        None
    }

    /// Takes in the chunk up to the end of the first item in it.
    pub(super) fn push(&mut self, chunk: &[u8]) -> (usize, Option<Found>) {
        let mut used = 0;
        while used < chunk.len() {
            let (taken, found) = self.take(&chunk[used..]);
            used += taken;
            if found.is_some() {
                return (used, found);
            }
        }
        (used, None)
    }

    /// Gives out what the end of the text completes.
    pub(super) fn finish(&mut self) -> Option<Found> {
        match self.place {
            Place::Top | Place::Failed => None,
            Place::Scalar if self.scan.is_some_and(|scan| scan.may_end()) => {
                self.place = Place::Top;
                Some(self.end_item())
            }
            _ => {
                let message = "the text ends inside a value";
                Some(self.fail(ItemCode::Json(JsonErrorKind::Truncated), message))
            }
        }
    }

    pub(super) fn buffered(&self) -> usize {
        self.item.bytes.capacity() + self.head.key.capacity() + self.head.value.capacity()
    }

    /// Takes in one token, or a part of one.
    fn take(&mut self, rest: &[u8]) -> (usize, Option<Found>) {
        match self.place {
            Place::Failed => (rest.len(), None),
            Place::Scalar | Place::Array(Slot::Inside) | Place::Items(Slot::Inside) => self.take_item(rest),
            Place::Object(Member::Key | Member::Inside) => self.take_member_part(rest),
            _ => self.take_between(rest),
        }
    }

    /// Goes on with an item that is no top-level object.
    fn take_item(&mut self, rest: &[u8]) -> (usize, Option<Found>) {
        let (taken, ended) = match self.run(rest) {
            Step::More => (rest.len(), false),
            Step::End(end) => (end, true),
            Step::Bad(at) => return self.bad(rest, at),
        };
        self.item.extend(&rest[..taken]);
        self.position.advance(&rest[..taken]);
        if !ended {
            return (taken, None);
        }
        self.place = match self.place {
            Place::Array(_) => Place::Array(Slot::CommaOrEnd),
            Place::Items(_) => Place::Items(Slot::CommaOrEnd),
            _ => Place::Top,
        };
        (taken, Some(self.end_item()))
    }

    /// Goes on with a key or a value of a top-level object.
    fn take_member_part(&mut self, rest: &[u8]) -> (usize, Option<Found>) {
        let (taken, ended) = match self.run(rest) {
            Step::More => (rest.len(), false),
            Step::End(end) => (end, true),
            Step::Bad(at) => return self.bad(rest, at),
        };
        let in_key = self.place == Place::Object(Member::Key);
        let name = if in_key { &mut self.head.key } else { &mut self.head.value };
        let room = NAME_BYTES.saturating_sub(name.len()).min(taken);
        name.extend_from_slice(&rest[..room]);
        self.pass(&rest[..taken]);
        if ended && in_key {
            self.place = Place::Object(Member::Colon);
        } else if ended {
            self.head.note_member();
            self.place = Place::Object(Member::CommaOrEnd);
        }
        (taken, None)
    }

    /// Takes in white space, or one byte between two values.
    fn take_between(&mut self, rest: &[u8]) -> (usize, Option<Found>) {
        let is_space = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
        let spaces = rest.iter().take_while(|b| is_space(b)).count();
        if spaces > 0 {
            self.pass(&rest[..spaces]);
            return (spaces, None);
        }
        match self.place {
            Place::Top => self.begin_value(rest[0]),
            Place::Array(slot) | Place::Items(slot) => self.begin_element(slot, rest[0]),
            Place::Object(member) => self.begin_member_part(member, rest[0]),
            Place::Scalar | Place::Failed => (rest.len(), None),
        }
    }

    fn begin_item(&mut self) {
        self.item_line = self.position.line;
        self.item_offset = self.offset;
    }

    /// Begins a top-level value.
    fn begin_value(&mut self, byte: u8) -> (usize, Option<Found>) {
        self.begin_item();
        match byte {
            b'{' => {
                self.head = Head::default();
                self.place = Place::Object(Member::FirstOrEnd);
                self.pass(b"{");
                (1, None)
            }
            b'[' => {
                self.place = Place::Array(Slot::FirstOrEnd);
                self.position.advance(b"[");
                (1, None)
            }
            _ => self.begin_scan(byte, Place::Scalar),
        }
    }

    /// Takes in the byte before, between or after the elements of an array.
    fn begin_element(&mut self, slot: Slot, byte: u8) -> (usize, Option<Found>) {
        let in_list = matches!(self.place, Place::Items(_));
        let place = |slot| {
            if in_list { Place::Items(slot) } else { Place::Array(slot) }
        };
        match (slot, byte) {
            (Slot::FirstOrEnd | Slot::CommaOrEnd, b']') => {
                self.place = if in_list { Place::Object(Member::CommaOrEnd) } else { Place::Top };
            }
            (Slot::CommaOrEnd, b',') => self.place = place(Slot::Next),
            (Slot::FirstOrEnd | Slot::Next, _) => {
                self.begin_item();
                return self.begin_scan(byte, place(Slot::Inside));
            }
            _ => return self.unexpected(),
        }
        self.position.advance(&[byte]);
        (1, None)
    }

    /// Takes in the byte before, between or after the members of a top-level object.
    fn begin_member_part(&mut self, member: Member, byte: u8) -> (usize, Option<Found>) {
        match (member, byte) {
            (Member::FirstOrEnd | Member::CommaOrEnd, b'}') => {
                self.pass(b"}");
                self.place = Place::Top;
                return (1, self.end_object());
            }
            (Member::CommaOrEnd, b',') => self.place = Place::Object(Member::NextKey),
            (Member::Colon, b':') => self.place = Place::Object(Member::Value),
            (Member::FirstOrEnd | Member::NextKey, b'"') => {
                self.head.key.clear();
                return self.begin_scan(byte, Place::Object(Member::Key));
            }
            (Member::Value, b'[') if self.head.begins_list() => return (1, self.begin_list()),
            (Member::Value, _) => {
                self.head.value.clear();
                return self.begin_scan(byte, Place::Object(Member::Inside));
            }
            _ => return self.unexpected(),
        }
        self.pass(&[byte]);
        (1, None)
    }

    /// The top-level object turns out to be a list: its head is dropped, its items follow.
    fn begin_list(&mut self) -> Option<Found> {
        self.position.advance(b"[");
        self.item = Partial::new(self.item.limit);
        if self.head.is_list {
            let kind = JsonErrorKind::DuplicateKey;
            let found = self.fail(ItemCode::Json(kind), "the list has items twice");
            return Some(found.map_err(|error| ItemError { path: JsonPath::key("items"), ..error }));
        }
        self.head.is_list = true;
        self.place = Place::Items(Slot::FirstOrEnd);
        self.fault.take().map(Err)
    }

    /// Ends a top-level object: an item, unless it was a list.
    fn end_object(&mut self) -> Option<Found> {
        let kind_is_list = self.head.kind_is_list();
        if self.head.is_list {
            let error = ItemError::new(
                ItemCode::InvalidList,
                "an object with items is of a kind that is no list's; its items were read",
            );
            let mut error = error.at(self.position.line, self.position.column);
            error.path = JsonPath::key("kind");
            return (kind_is_list == Some(false)).then_some(Err(error));
        }
        if kind_is_list == Some(true) && self.head.has_null_items {
            self.item = Partial::new(self.item.limit);
            return self.fault.take().map(Err);
        }
        Some(self.end_item())
    }

    /// Begins a value whose end is to be found; its first byte is taken in there.
    fn begin_scan(&mut self, byte: u8, place: Place) -> (usize, Option<Found>) {
        self.scan = Scan::start(byte);
        if self.scan.is_none() {
            return self.unexpected();
        }
        self.place = place;
        (0, None)
    }

    fn run(&mut self, rest: &[u8]) -> Step {
        self.scan.as_mut().map_or(Step::Bad(0), |scan| scan.run(rest))
    }

    /// Passes over bytes of a top-level object, which may yet be an item.
    fn pass(&mut self, bytes: &[u8]) {
        if matches!(self.place, Place::Object(_)) && !self.head.is_list {
            self.item.extend(bytes);
        }
        self.position.advance(bytes);
    }

    fn end_item(&mut self) -> Found {
        let found = self.item.take(self.item_line);
        match self.fault.take() {
            None => found,
            Some(error) => Err(error),
        }
    }

    /// The byte at `at` cannot be where it is.
    fn bad(&mut self, rest: &[u8], at: usize) -> (usize, Option<Found>) {
        self.position.advance(&rest[..at]);
        self.item.extend(&rest[..at]);
        let (_, found) = self.unexpected();
        (rest.len(), found)
    }

    fn unexpected(&mut self) -> (usize, Option<Found>) {
        let message = "the text is not JSON: unexpected character";
        (1, Some(self.fail(ItemCode::Json(JsonErrorKind::Syntax), message)))
    }

    fn fail(&mut self, code: ItemCode, message: &str) -> Found {
        self.place = Place::Failed;
        let mut error = ItemError::new(code, message).at(self.position.line, self.position.column).fatal();
        error.raw = self.item.take_raw();
        Err(error)
    }
}
