//! The reader holds one item, however large the body is. Counted in bytes held, not in time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use packtrail::service::reader::{Format, ItemReader, ReaderLimits};
use tokio::io::{AsyncRead, BufReader, ReadBuf};

use super::wait;

const MIB: usize = 1024 * 1024;

/// A body that is nowhere whole: a head, a part many times over, a tail.
struct Repeated {
    pieces: Vec<(Vec<u8>, usize)>,
    at: usize,
}

impl AsyncRead for Repeated {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while let Some((piece, left)) = self.pieces.first() {
            if *left == 0 {
                self.pieces.remove(0);
                continue;
            }
            let end = piece.len().min(self.at + buffer.remaining());
            buffer.put_slice(&piece[self.at..end]);
            self.at = end % piece.len();
            if self.at == 0 {
                self.pieces[0].1 -= 1;
            }
            break;
        }
        Poll::Ready(Ok(()))
    }
}

/// How many items a body has, how many are refused, and the most bytes the reader held.
fn read(format: Format, pieces: &[(&str, usize)]) -> (usize, usize, usize) {
    let pieces = pieces.iter().map(|(piece, times)| (piece.as_bytes().to_vec(), *times)).collect();
    let body = BufReader::new(Repeated { pieces, at: 0 });
    let mut reader = ItemReader::new(body, format, ReaderLimits::default());
    wait(async {
        let (mut good, mut refused) = (0, 0);
        while let Some(found) = reader.next().await {
            match found {
                Ok(_) => good += 1,
                Err(error) => {
                    assert!(!error.fatal, "{error:?}");
                    refused += 1;
                }
            }
        }
        (good, refused, reader.peak_buffered())
    })
}

/// An element of a KiB, with the comma or line's end behind it.
fn element(end: &str) -> String {
    format!("{{\"kind\":\"X\",\"a\":\"{}\"}}{end}", "x".repeat(1_000))
}

#[test]
fn a_large_body_of_small_items_needs_the_memory_of_a_small_item() {
    let (item, line) = (element(","), element("\n"));
    let last = element("");
    let end = last.clone() + "],\"kind\":\"List\"}";
    for (format, pieces) in [
        (Format::Ndjson, vec![(line.as_str(), 32_768), (&last, 1)]),
        (Format::Json, vec![("[", 1), (&item, 32_768), (&last, 1), ("]", 1)]),
        (Format::Json, vec![("{\"items\":[", 1), (&item, 32_768), (&end, 1)]),
        (Format::Json, vec![(&line, 32_768), (&last, 1)]),
    ] {
        let (good, refused, peak) = read(format, &pieces);
        assert_eq!((good, refused), (32_769, 0));
        assert!(peak <= 4 * 1024, "{format:?}: {peak}");
    }
}

#[test]
fn an_item_beyond_the_limit_is_passed_over_in_the_memory_of_the_limit() {
    let filler = "x".repeat(1_024);
    let large = 32 * 1024;
    for (format, pieces) in [
        (Format::Ndjson, vec![("{}\n{\"a\":\"", 1), (&*filler, large), ("\"}\n{}", 1)]),
        (Format::Json, vec![("[{},{\"a\":\"", 1), (&filler, large), ("\"},{}]", 1)]),
        (Format::Json, vec![("{}{\"a\":\"", 1), (&filler, large), ("\"}{}", 1)]),
        (Format::Json, vec![("{\"items\":[{},[", 1), ("[],", large * 256), ("1],{}]}", 1)]),
        (Format::Json, vec![("{} 1", 1), ("0", large * 64), (" {}", 1)]),
        (Format::Json, vec![("{}{\"a", 1), (&filler, large), ("\":1}{}", 1)]),
    ] {
        let (good, refused, peak) = read(format, &pieces);
        assert_eq!((good, refused), (2, 1), "{format:?} {}", pieces[0].0);
        assert!(peak <= 3 * MIB + 4 * 1024, "{format:?}: {peak}");
    }
}

#[test]
fn the_head_and_tail_of_a_list_are_not_kept() {
    let filler = "x".repeat(1_024);
    let pieces = [
        ("{\"metadata\":\"", 1),
        (&*filler, 8 * 1024),
        ("\",\"items\":[{}],\"more\":\"", 1),
        (&filler, 32 * 1024),
        ("\",\"kind\":\"List\"}", 1),
    ];
    let (good, refused, peak) = read(Format::Json, &pieces);
    assert_eq!((good, refused), (1, 0));
    assert!(peak <= 3 * MIB + 4 * 1024, "{peak}");
}
