//! YAML: one document, translated to JSON event by event.
//!
//! Only the parser's events tell a plain scalar from a quoted one, and let nodes, aliases and depth be
//! counted while they come. What an alias stands for is counted as if it were written out. Duplicate
//! keys, merge keys (`<<`), tags, keys that are no strings and scalars that readers understand
//! differently are refused; see [`super::scalar`].

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};
use serde_json::{Map, Value};

use super::errors::Errors;
use super::{MAX_MANIFEST, scalar};
use crate::domain::path::bounded;

/// How many values a manifest may have, those behind aliases counted wherever they are used.
pub const MAX_YAML_NODES: usize = 20_000;
/// How many mappings and sequences may be open at once.
pub const MAX_YAML_DEPTH: usize = 32;
/// How many aliases a manifest may have.
pub const MAX_ALIASES: usize = 20;
/// How many bytes of text a manifest may have with its aliases written out.
const MAX_YAML_TEXT: usize = 4 * MAX_MANIFEST;

/// The longest quotation of the parser's own words, in characters.
const MESSAGE_CHARS: usize = 160;
/// Where the errors of this file are.
const PATH: &str = "manifest";

/// Reads a manifest; `None` where it cannot be read, with the reasons among the errors.
pub(super) fn read(text: &str, errors: &mut Errors) -> Option<Value> {
    if text.len() > MAX_MANIFEST {
        errors.add(PATH, format!("the manifest has more than {MAX_MANIFEST} bytes"));
        return None;
    }
    let before = errors.len();
    let mut reader = Reader::new(text, errors);
    let outcome = reader.run();
    let value = reader.root.take();
    if outcome.is_none() || errors.len() > before {
        return None;
    }
    if value.is_none() {
        errors.add(PATH, "the manifest is empty".to_owned());
    }
    value
}

/// A mapping or sequence that is open.
struct Frame {
    value: Value,
    /// In a mapping: the key whose value is next.
    key: Option<String>,
    anchor: usize,
    /// The nodes and the text of it so far.
    nodes: usize,
    text: usize,
}

/// What an anchor stands for, and what it counts.
#[derive(Clone)]
struct Anchored {
    value: Value,
    nodes: usize,
    text: usize,
    depth: usize,
}

struct Reader<'t> {
    text: &'t str,
    errors: &'t mut Errors,
    frames: Vec<Frame>,
    root: Option<Value>,
    anchors: HashMap<usize, Anchored>,
    documents: usize,
    aliases: usize,
    nodes: usize,
    bytes: usize,
    span: Span,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, errors: &'t mut Errors) -> Self {
        Self {
            text,
            errors,
            frames: Vec::new(),
            root: None,
            anchors: HashMap::new(),
            documents: 0,
            aliases: 0,
            nodes: 0,
            bytes: 0,
            span: Span::default(),
        }
    }

    /// Reads to the end; `None` where it must stop before.
    fn run(&mut self) -> Option<()> {
        let mut parser = Parser::<StrInput>::new_from_str(self.text);
        while let Some(event) = parser.next_event() {
            match event {
                Ok((event, span)) => {
                    self.span = span;
                    self.event(event)?;
                }
                Err(error) => return self.broken(&error),
            }
        }
        Some(())
    }

    fn event(&mut self, event: Event<'_>) -> Option<()> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return self.stop("the manifest has more than one document");
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.check_tag(tag.is_some());
                self.scalar(&text, style, anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.is_some());
                self.open(Value::Array(Vec::new()), anchor)?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.is_some());
                self.open(Value::Object(Map::new()), anchor)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Alias(anchor) => self.alias(anchor)?,
            _ => {}
        }
        Some(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize) -> Option<()> {
        if text.contains('\0') {
            self.refuse("a string holds a NUL character");
        }
        let value = scalar::resolve(text, style).unwrap_or_else(|| {
            self.refuse("a plain scalar that readers understand differently wants quotes");
            Value::from(text)
        });
        self.count(1, text.len())?;
        if self.at_key() {
            return self.key(value, text, style);
        }
        self.keep(anchor, || Anchored { value: value.clone(), nodes: 1, text: text.len(), depth: 0 });
        self.place(value);
        Some(())
    }

    fn key(&mut self, value: Value, text: &str, style: ScalarStyle) -> Option<()> {
        let Value::String(key) = value else {
            return self.stop("a key that is no string wants quotes");
        };
        if style == ScalarStyle::Plain && text == "<<" {
            self.refuse("merge keys are not accepted");
        }
        let is_duplicate = self.frames.last().is_some_and(|frame| frame.value.get(&key).is_some());
        if is_duplicate {
            self.refuse(&format!("the key '{}' comes twice", bounded(&key, 60)));
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.key = Some(key);
        }
        Some(())
    }

    fn open(&mut self, value: Value, anchor: usize) -> Option<()> {
        if self.at_key() {
            return self.stop("a key is not a string");
        }
        if self.frames.len() >= MAX_YAML_DEPTH {
            return self.stop("the manifest is nested too deeply");
        }
        self.frames.push(Frame { value, key: None, anchor, nodes: 0, text: 0 });
        self.count(1, 0)
    }

    fn close(&mut self) -> Option<()> {
        let frame = self.frames.pop()?;
        if let Some(parent) = self.frames.last_mut() {
            parent.nodes += frame.nodes;
            parent.text += frame.text;
        }
        let (nodes, text) = (frame.nodes, frame.text);
        self.keep(frame.anchor, || Anchored { depth: depth(&frame.value), value: frame.value.clone(), nodes, text });
        self.place(frame.value);
        Some(())
    }

    fn alias(&mut self, anchor: usize) -> Option<()> {
        self.aliases += 1;
        if self.aliases > MAX_ALIASES {
            return self.stop(&format!("the manifest has more than {MAX_ALIASES} aliases"));
        }
        if self.at_key() {
            return self.stop("a key is an alias");
        }
        let Some((nodes, text, depth)) = self.anchors.get(&anchor).map(|found| (found.nodes, found.text, found.depth))
        else {
            return self.stop("an alias stands inside its own anchor");
        };
        if self.frames.len() + depth > MAX_YAML_DEPTH {
            return self.stop("the manifest is nested too deeply");
        }
        // Counted before it is copied.
        self.count(nodes, text)?;
        let value = self.anchors.get(&anchor).map(|found| found.value.clone())?;
        self.place(value);
        Some(())
    }

    /// Keeps what an anchor stands for, which is counted once more since it is held once more.
    fn keep(&mut self, anchor: usize, anchored: impl FnOnce() -> Anchored) {
        if anchor != 0 {
            self.anchors.insert(anchor, anchored());
        }
    }

    fn count(&mut self, nodes: usize, text: usize) -> Option<()> {
        self.nodes += nodes;
        self.bytes += text;
        if let Some(frame) = self.frames.last_mut() {
            frame.nodes += nodes;
            frame.text += text;
        }
        if self.nodes > MAX_YAML_NODES || self.bytes > MAX_YAML_TEXT {
            return self.stop(&format!("the manifest has more than {MAX_YAML_NODES} values"));
        }
        Some(())
    }

    fn check_tag(&mut self, tagged: bool) {
        if tagged {
            self.refuse("tags are not accepted");
        }
    }

    fn at_key(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.key.is_none() && frame.value.is_object())
    }

    /// Puts a value where it belongs.
    fn place(&mut self, value: Value) {
        let Some(frame) = self.frames.last_mut() else {
            // An empty document is no value.
            self.root = (!value.is_null()).then_some(value);
            return;
        };
        match &mut frame.value {
            Value::Array(elements) => elements.push(value),
            Value::Object(members) => {
                members.insert(frame.key.take().unwrap_or_default(), value);
            }
            _ => {}
        }
    }

    /// Notes what is wrong at this place, and goes on.
    fn refuse(&mut self, message: &str) {
        let (line, column) = (self.span.start.line(), self.span.start.col() + 1);
        self.errors.add(PATH, format!("{message}, line {line}, column {column}"));
    }

    /// Notes what is wrong at this place, which cannot be read on from.
    fn stop(&mut self, message: &str) -> Option<()> {
        let offset = self.span.start.byte_offset().unwrap_or_default();
        if self.near_template(offset) {
            self.refuse("a template wants quotes: \"{{ … }}\"");
        } else {
            self.refuse(message);
        }
        None
    }

    /// Whether a template without quotes begins at this place or one byte before.
    fn near_template(&self, offset: usize) -> bool {
        let bytes = self.text.as_bytes();
        [offset.saturating_sub(1), offset].iter().any(|at| bytes.get(*at..).is_some_and(|rest| rest.starts_with(b"{{")))
    }

    /// Notes the parser's own error.
    fn broken(&mut self, error: &ScanError) -> Option<()> {
        let (line, column) = (error.marker().line(), error.marker().col() + 1);
        let source = self.text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let is_bare = source.split_once("{{").is_some_and(|(before, _)| !before.contains(['"', '\'']));
        let message = if is_bare {
            "a template wants quotes: \"{{ … }}\"".to_owned()
        } else {
            bounded(error.info().as_str(), MESSAGE_CHARS)
        };
        self.errors.add(PATH, format!("{message}, line {line}, column {column}"));
        None
    }
}

/// How many mappings and sequences are inside each other in a value.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
