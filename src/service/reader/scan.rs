//! Finds the end of one JSON value without reading it, in constant memory and without recursion.

/// How many levels of brackets are told apart. Deeper ones are only counted: such a value is
/// refused for its depth anyway, and only its end is still of interest.
const TOLD_APART: u32 = 128;

/// A value of which the beginning was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    state: State,
    depth: u64,
    /// One bit a level, innermost lowest: set for an object.
    objects: u128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A number or a word, which ends before the next delimiter.
    Word,
    /// Between the tokens of an object or array.
    Between,
    Text,
    Escape,
}

/// What a piece of text did to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The value goes on.
    More,
    /// The value ends before this byte of the piece.
    End(usize),
    /// This byte of the piece cannot be there.
    Bad(usize),
}

impl Scan {
    /// The value that begins with this byte; `None` if none does.
    pub(super) fn start(first: u8) -> Option<Self> {
        let state = match first {
            b'{' | b'[' | b'"' => State::Between,
            b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => State::Word,
            _ => return None,
        };
        Some(Self { state, depth: 0, objects: 0 })
    }

    /// Whether the value may end where the input does.
    pub(super) fn may_end(&self) -> bool {
        self.state == State::Word
    }

    /// Goes on with the next piece of text, which at first begins with the value's first byte.
    pub(super) fn run(&mut self, piece: &[u8]) -> Step {
        for (at, byte) in piece.iter().enumerate() {
            match self.step(*byte) {
                Next::On => {}
                Next::Last => return Step::End(at + 1),
                Next::Beyond => return Step::End(at),
                Next::Bad => return Step::Bad(at),
            }
        }
        Step::More
    }

    #[inline]
    fn step(&mut self, byte: u8) -> Next {
        match self.state {
            State::Text => match byte {
                b'"' => {
                    self.state = State::Between;
                    self.after_close()
                }
                b'\\' => self.to(State::Escape),
                // JSON forbids them, and a line's end here mostly is a lost quotation mark:
                // better to stop there than to swallow the rest of the body as one string.
                0..=0x1f => Next::Bad,
                _ => Next::On,
            },
            State::Escape => self.to(State::Text),
            State::Between => match byte {
                b'"' => self.to(State::Text),
                b'{' => self.open(1),
                b'[' => self.open(0),
                b'}' => self.close(1),
                b']' => self.close(0),
                _ => Next::On,
            },
            State::Word => match byte {
                b',' | b']' | b'}' | b'[' | b'{' | b'"' | b':' => Next::Beyond,
                byte if byte.is_ascii_whitespace() => Next::Beyond,
                _ => Next::On,
            },
        }
    }

    fn to(&mut self, state: State) -> Next {
        self.state = state;
        Next::On
    }

    fn open(&mut self, object: u128) -> Next {
        self.depth += 1;
        if self.depth <= u64::from(TOLD_APART) {
            self.objects = self.objects << 1 | object;
        }
        Next::On
    }

    fn close(&mut self, object: u128) -> Next {
        if self.depth == 0 {
            return Next::Bad;
        }
        if self.depth <= u64::from(TOLD_APART) {
            if self.objects & 1 != object {
                return Next::Bad;
            }
            self.objects >>= 1;
        }
        self.depth -= 1;
        self.after_close()
    }

    fn after_close(&self) -> Next {
        if self.depth == 0 { Next::Last } else { Next::On }
    }
}

/// What one byte did to a value.
enum Next {
    On,
    Last,
    Beyond,
    Bad,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> Step {
        Scan::start(text.as_bytes()[0]).unwrap().run(text.as_bytes())
    }

    #[test]
    fn a_value_ends_where_it_ends() {
        assert_eq!(end(r#"{"a": ["}", "\"]"]} x"#), Step::End(19));
        assert_eq!(end(r#""a\\" x"#), Step::End(5));
        assert_eq!(end("-1.5e3, 2"), Step::End(6));
        assert_eq!(end("true]"), Step::End(4));
        assert_eq!(end("12"), Step::More);
        assert_eq!(end("[1"), Step::More);
    }

    #[test]
    fn brackets_must_match() {
        assert_eq!(end("[1}"), Step::Bad(2));
        assert_eq!(end("{\"a\": [1}}"), Step::Bad(8));
        assert_eq!(end("\"a\nb\""), Step::Bad(2));
    }

    #[test]
    fn depth_costs_no_memory() {
        let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        assert_eq!(end(&deep), Step::End(2_000_000));
        assert_eq!(end(&"{\"a\":[".repeat(100_000)), Step::More);
    }
}
