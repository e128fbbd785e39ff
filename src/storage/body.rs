//! Raw objects in the store: compressed, and most of them as the difference to one that is alike.
//!
//! A result differs from the one before it in a few names, times and its uid, and a deletion from what it
//! deletes in its resourceVersion. So a body is compressed with another one as its dictionary: the *base* of its
//! likeness. A base is itself whole, so that a body takes two rows to read at most. Where the difference is not
//! worth it, the body is stored whole and is the base of those that follow.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use sqlx::FromRow;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::get_frame_content_size;

use super::driver::json;
use super::error::StoreError;
use super::hash63;
use super::sql;
use super::write::{NewObservation, WriteTx, index};
use crate::domain::digest::Digest;
use crate::domain::facts::Detail;

/// The largest body that is unpacked, in bytes: beyond it a stored body is damaged, since records end
/// far below.
const MAX_BODY: usize = 16 * 1024 * 1024;
/// How hard bodies are compressed: beyond, a tenth more time saves less than a hundredth.
const LEVEL: i32 = 3;
/// A difference of less than this part of the text is kept without a look at what the whole would take.
const SURELY_SMALL: usize = 12;

/// A stored body, with the bytes of its base if it has one.
#[derive(FromRow)]
pub(super) struct BodyRow {
    pub(super) id: i64,
    location: String,
    bytes: Option<Vec<u8>>,
    base: Option<Vec<u8>>,
}

/// A stored body as text.
///
/// # Errors
/// If its bytes are not in its row, or do not unpack.
pub(super) fn unpack(row: &BodyRow) -> Result<Vec<u8>, StoreError> {
    let corrupt = |what: &str| StoreError::Corrupt(format!("body {}: {what}", row.id));
    let bytes = row.bytes.as_deref().filter(|_| row.location == "inline");
    let bytes = bytes.ok_or_else(|| corrupt("it is not inline"))?;
    let base = row.base.as_deref().map(|base| decompress(base, &[])).transpose();
    let base = base.map_err(|_| corrupt("its base does not unpack"))?.unwrap_or_default();
    decompress(bytes, &base).map_err(|_| corrupt("it does not unpack"))
}

fn decompress(bytes: &[u8], base: &[u8]) -> std::io::Result<Vec<u8>> {
    let size = get_frame_content_size(bytes).ok().flatten().and_then(|size| usize::try_from(size).ok());
    Decompressor::with_dictionary(base)?.decompress(bytes, size.unwrap_or(MAX_BODY).min(MAX_BODY))
}

/// What a body has in common with others that are nearly like it: for the kinds that speak of a pack their kind and
/// the pack, since a pack is delivered to many clusters; else the object that it is of.
fn likeness(source: &str, new: &NewObservation) -> i64 {
    let (kind, pack) = match &new.content.facts.detail {
        Detail::Result(facts) => ("result", facts.pack.as_deref()),
        Detail::Execution(facts) => ("execution", facts.pack.name.as_deref()),
        Detail::Receipt(facts) => ("receipt", facts.pack.name.as_deref()),
        Detail::Pack(_) | Detail::Instance(_) | Detail::None => ("", None),
    };
    match pack {
        Some(pack) => hash63(&[source.as_bytes(), kind.as_bytes(), pack.as_bytes()]),
        None => hash63(&[source.as_bytes(), &new.object_id.to_be_bytes()]),
    }
}

/// A whole body that others are compressed with.
struct Base {
    id: i64,
    text: Vec<u8>,
}

/// Compresses the bodies of a batch. Making a compressor costs more than compressing a body.
struct Packer {
    compressor: Compressor<'static>,
    /// The base that the compressor has as its dictionary now.
    with: Option<i64>,
}

impl Packer {
    fn new() -> Result<Self, StoreError> {
        Ok(Self { compressor: Compressor::new(LEVEL).map_err(|e| failed(&e))?, with: None })
    }

    fn compress(&mut self, text: &[u8], base: Option<&Base>) -> Result<Vec<u8>, StoreError> {
        let id = base.map(|base| base.id);
        if self.with != id {
            let dictionary = base.map(|base| base.text.as_slice()).unwrap_or_default();
            self.compressor.set_dictionary(LEVEL, dictionary).map_err(|e| failed(&e))?;
            self.with = id;
        }
        self.compressor.compress(text).map_err(|e| failed(&e))
    }

    /// The bytes of a body, and whether they are the difference to the base.
    fn pack(&mut self, text: &[u8], base: Option<&Base>) -> Result<(Vec<u8>, bool), StoreError> {
        if base.is_none() {
            return Ok((self.compress(text, None)?, false));
        }
        let difference = self.compress(text, base)?;
        if difference.len() * SURELY_SMALL < text.len() {
            return Ok((difference, true));
        }
        let whole = self.compress(text, None)?;
        // A third less is worth a second row to read.
        let is_worth_it = difference.len() * 3 < whole.len() * 2;
        Ok(if is_worth_it { (difference, true) } else { (whole, false) })
    }
}

fn failed(error: &std::io::Error) -> StoreError {
    StoreError::Corrupt(format!("compression: {error}"))
}

impl WriteTx {
    /// The rows of the bodies of observations, in their order; those that are new are written.
    pub(super) async fn ensure_bodies(&mut self, new: &[NewObservation]) -> Result<Vec<i64>, StoreError> {
        #[derive(Serialize)]
        struct Row {
            id: i64,
            digest: String,
            base_id: Option<i64>,
            bytes: String,
        }
        let digests: Vec<Digest> = new.iter().map(|o| Digest::of_bytes(&o.body)).collect();
        let mut ids: HashMap<Digest, i64> =
            self.find_digests(&sql::BODIES_FIND, &digests).await?.into_iter().map(|(i, id)| (digests[i], id)).collect();
        let missing: Vec<(Digest, &NewObservation, i64)> = digests
            .iter()
            .zip(new)
            .filter(|(digest, _)| !ids.contains_key(digest))
            .map(|(digest, new)| (*digest, new, likeness(&self.source_name, new)))
            .collect();
        let mut bases = self.find_bases(missing.iter().map(|(.., likeness)| *likeness).collect()).await?;
        let mut packer = Packer::new()?;
        let (mut rows, mut new_bases) = (Vec::new(), BTreeMap::new());
        for (digest, observation, likeness) in missing {
            if ids.contains_key(&digest) {
                continue;
            }
            let id = self.id().await?;
            ids.insert(digest, id);
            let (bytes, is_difference) = packer.pack(&observation.body, bases.get(&likeness))?;
            let base_id = bases.get(&likeness).filter(|_| is_difference).map(|base| base.id);
            if !is_difference {
                bases.insert(likeness, Base { id, text: observation.body.to_vec() });
                new_bases.insert(likeness, id);
            }
            rows.push(Row { id, digest: digest.hex(), base_id, bytes: hex::encode(bytes) });
        }
        self.write_rows(&sql::BODIES_INSERT, &[self.tenant.into()], &rows, &[]).await?;
        self.put_bases(new_bases).await?;
        Ok(digests.iter().map(|digest| ids[digest]).collect())
    }

    async fn find_bases(&mut self, likenesses: BTreeSet<i64>) -> Result<HashMap<i64, Base>, StoreError> {
        #[derive(Serialize)]
        struct Asked {
            i: usize,
            likeness: i64,
        }
        #[derive(FromRow)]
        struct Found {
            i: i64,
            #[sqlx(flatten)]
            body: BodyRow,
        }
        let likenesses: Vec<i64> = likenesses.into_iter().collect();
        if likenesses.is_empty() {
            return Ok(HashMap::new());
        }
        let asked: Vec<Asked> =
            likenesses.iter().enumerate().map(|(i, likeness)| Asked { i, likeness: *likeness }).collect();
        let found: Vec<Found> = self.tx.rows(&sql::BASES_FIND, &[self.tenant.into(), json(&asked)]).await?;
        found
            .into_iter()
            .map(|Found { i, body }| Ok((likenesses[index(i)?], Base { id: body.id, text: unpack(&body)? })))
            .collect()
    }

    async fn put_bases(&mut self, bases: BTreeMap<i64, i64>) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row {
            likeness: i64,
            body_id: i64,
        }
        let rows: Vec<Row> = bases.into_iter().map(|(likeness, body_id)| Row { likeness, body_id }).collect();
        self.write_rows(&sql::BASES_PUT, &[self.tenant.into()], &rows, &[]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bytes: Vec<u8>, base: Option<Vec<u8>>) -> BodyRow {
        BodyRow { id: 1, location: "inline".to_owned(), bytes: Some(bytes), base }
    }

    #[test]
    fn a_body_that_is_alike_is_small_and_comes_back_with_its_base() {
        let text = |uid: u64| format!("{{\"uid\":\"{uid}\",\"spec\":\"{:?}\"}}", (0..500).collect::<Vec<u32>>());
        let (first, second) = (text(1), text(2));
        let mut packer = Packer::new().unwrap();
        let (whole, is_difference) = packer.pack(first.as_bytes(), None).unwrap();
        assert!(!is_difference);
        let base = Base { id: 7, text: first.clone().into_bytes() };
        let (bytes, is_difference) = packer.pack(second.as_bytes(), Some(&base)).unwrap();
        assert!(is_difference && bytes.len() < 50, "{} bytes", bytes.len());
        assert_eq!(unpack(&row(bytes.clone(), Some(whole.clone()))).unwrap(), second.as_bytes());
        assert_eq!(unpack(&row(whole.clone(), None)).unwrap(), first.as_bytes());
        // After a base, the compressor is as new.
        assert_eq!(packer.pack(first.as_bytes(), None).unwrap().0, whole);
        assert!(unpack(&row(bytes, None)).is_err(), "without its base it is nothing");
    }

    #[test]
    fn a_body_that_is_not_alike_is_whole() {
        let base = Base { id: 7, text: b"{\"a\":\"one thing\"}".to_vec() };
        let text: String = (0..100_u8).map(|i| Digest::of_bytes(&[i]).hex()).collect();
        let (bytes, is_difference) = Packer::new().unwrap().pack(text.as_bytes(), Some(&base)).unwrap();
        assert!(!is_difference);
        assert_eq!(unpack(&row(bytes, None)).unwrap(), text.as_bytes());
    }
}
