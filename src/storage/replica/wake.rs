//! What servers tell each other, and its text in a notification.
//!
//! A payload is `p1 <origin> <item>…`: the version, who tells it (16 hexadecimal digits), and items
//! apart by a space: `l<tenant>:<number>` for a ledger, `s<tenant>:<run>:<number>` for a run,
//! `r<tenant>:<run>:<number>` for its log, `*` for everything. All numbers are decimal row ids and sequence numbers, so no text of users travels.

use std::fmt::Write as _;

use crate::storage::Topic;

/// Postgres refuses payloads of 8,000 bytes and more.
pub(super) const LONGEST_PAYLOAD: usize = 7_900;

/// The version of the text. A server that meets another one looks at everything instead.
const VERSION: &str = "p1";

/// There is something new to read. Numbers only rise: of several wakes for a topic the highest is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wake {
    /// What moved.
    pub topic: Topic,
    /// How far.
    pub number: i64,
}

/// What a server heard of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Heard {
    /// There is something new at one place.
    Wake(Wake),
    /// Something may have been missed: every reader must look after its cursor.
    Everything,
}

/// Who tells: a number drawn anew whenever a server starts, by which it knows its own notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin(pub(super) u64);

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The payloads that say these things, each as long as may be.
pub(super) fn encode(origin: Origin, told: impl IntoIterator<Item = Heard>) -> Vec<String> {
    let head = format!("{VERSION} {origin}");
    let mut payloads = Vec::new();
    let mut payload = head.clone();
    let mut item = String::new();
    for heard in told {
        item.clear();
        write_item(&mut item, heard);
        if payload.len() + item.len() > LONGEST_PAYLOAD {
            payloads.push(std::mem::replace(&mut payload, head.clone()));
        }
        payload.push_str(&item);
    }
    if payload.len() > head.len() {
        payloads.push(payload);
    }
    payloads
}

fn write_item(item: &mut String, heard: Heard) {
    let written = match heard {
        Heard::Everything => write!(item, " *"),
        Heard::Wake(Wake { topic, number }) => match topic {
            Topic::Ledger { tenant } => write!(item, " l{tenant}:{number}"),
            Topic::Run { tenant, run } => write!(item, " s{tenant}:{run}:{number}"),
            Topic::Log { tenant, run } => write!(item, " r{tenant}:{run}:{number}"),
        },
    };
    debug_assert!(written.is_ok(), "writing to a string does not fail");
}

/// What a payload says: nothing if this server told it, and everything if it cannot be read, since
/// any program may notify, and a newer server may say what this one does not know.
pub(super) fn decode(own: Origin, payload: &str) -> Vec<Heard> {
    match parse(payload) {
        Some((origin, _)) if origin == own => Vec::new(),
        Some((_, heard)) => heard,
        None => vec![Heard::Everything],
    }
}

fn parse(payload: &str) -> Option<(Origin, Vec<Heard>)> {
    let mut words = payload.split(' ');
    if words.next()? != VERSION {
        return None;
    }
    let origin = words.next().filter(|digits| digits.len() == 16)?;
    let origin = Origin(u64::from_str_radix(origin, 16).ok()?);
    let heard = words.map(parse_item).collect::<Option<Vec<_>>>()?;
    (!heard.is_empty()).then_some((origin, heard))
}

fn parse_item(item: &str) -> Option<Heard> {
    if item == "*" {
        return Some(Heard::Everything);
    }
    let (kind, numbers) = item.split_at_checked(1)?;
    let numbers = numbers.split(':').map(|digits| digits.parse().ok()).collect::<Option<Vec<i64>>>()?;
    let (topic, number) = match (kind, numbers.as_slice()) {
        ("l", &[tenant, number]) => (Topic::Ledger { tenant }, number),
        ("s", &[tenant, run, number]) => (Topic::Run { tenant, run }, number),
        ("r", &[tenant, run, number]) => (Topic::Log { tenant, run }, number),
        _ => return None,
    };
    Some(Heard::Wake(Wake { topic, number }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Origin = Origin(1);
    const OTHER: Origin = Origin(u64::MAX);

    fn ledger(tenant: i64, head: i64) -> Heard {
        Heard::Wake(Wake { topic: Topic::Ledger { tenant }, number: head })
    }

    fn log(tenant: i64, run: i64, logged: i64) -> Heard {
        Heard::Wake(Wake { topic: Topic::Log { tenant, run }, number: logged })
    }

    fn run(tenant: i64, run: i64, seq: i64) -> Heard {
        Heard::Wake(Wake { topic: Topic::Run { tenant, run }, number: seq })
    }

    #[test]
    fn what_is_told_reads_back() {
        let told = vec![
            ledger(7, 120),
            log(7, 55, 1200),
            run(7, 55, 3),
            Heard::Everything,
            ledger(i64::MIN, i64::MAX),
            log(-1, 0, -2),
        ];
        let payloads = encode(OTHER, told.clone());
        assert_eq!(payloads.len(), 1, "it fits into one");
        assert_eq!(decode(ME, &payloads[0]), told);
    }

    #[test]
    fn nobody_hears_itself() {
        let payloads = encode(ME, [ledger(1, 2)]);
        assert_eq!(payloads, ["p1 0000000000000001 l1:2"]);
        assert_eq!(decode(ME, &payloads[0]), []);
    }

    #[test]
    fn long_news_are_told_in_as_few_payloads_as_fit() {
        let told: Vec<_> = (0..5_000).map(|run| log(i64::MAX, run, i64::MAX)).collect();
        let payloads = encode(OTHER, told.clone());
        assert!(payloads.iter().all(|payload| payload.len() <= LONGEST_PAYLOAD));
        let bytes: usize = payloads.iter().map(String::len).sum();
        assert_eq!(payloads.len(), bytes.div_ceil(LONGEST_PAYLOAD), "all but the last are full");
        let heard: Vec<_> = payloads.iter().flat_map(|payload| decode(ME, payload)).collect();
        assert_eq!(heard, told);
        assert_eq!(encode(OTHER, []), Vec::<String>::new(), "nothing to say is not said");
    }

    #[test]
    fn what_cannot_be_read_counts_as_everything() {
        let own = "p1 0000000000000001";
        let other = "p1 00000000000000ff";
        for payload in [
            "",
            " ",
            "p1",
            "p2 00000000000000ff l1:2",
            "p1 xyz l1:2",
            "p1 ff l1:2",
            "p1 +0000000000000ff",
            own,
            other,
            &format!("{other} "),
            &format!("{other} l1"),
            &format!("{other} l1:2:3"),
            &format!("{other} r1:2"),
            &format!("{other} l1:99999999999999999999"),
            &format!("{other} é1:2"),
            &format!("{other} l1:2 what"),
            &format!("{other} l1:2\n"),
            &"x".repeat(7_999),
        ] {
            assert_eq!(decode(ME, payload), [Heard::Everything], "{payload:?}");
        }
    }
}
