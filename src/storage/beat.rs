//! Heartbeats: what is stored of objects whose sightings say nothing new.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::FromRow;

use super::driver::json;
use super::error::StoreError;
use super::sql;
use super::write::{WriteTx, index, read_digest};
use crate::domain::digest::Digest;
use crate::domain::identity::NaturalKey;

/// A sighting that may be a heartbeat.
#[derive(Debug, Clone, Copy)]
pub struct AskedBeat<'a> {
    /// Its natural key.
    pub key: &'a NaturalKey,
    /// Its uid.
    pub uid: &'a str,
    /// Its resourceVersion.
    pub resource_version: &'a str,
}

/// The observation that a heartbeat moves, with the live values of its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// The object.
    pub object: i64,
    /// Its uid.
    pub uid: String,
    /// Its latest stamped sighting.
    pub sighted_at: Option<i64>,
    /// When it was last seen in any way.
    pub last_seen_at: i64,
    /// The observation.
    pub observation: i64,
    /// Its stamp.
    pub stamped_at: i64,
    /// The digest of its content.
    pub content: Digest,
}

impl WriteTx {
    /// What sightings move if they are heartbeats, by their place in `asked`: only of objects that live, whose next
    /// heartbeat is known to move an observation, and that have none with the resourceVersion yet.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn beats(&mut self, asked: &[AskedBeat<'_>]) -> Result<HashMap<usize, Beat>, StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            i: usize,
            kind: &'a str,
            cluster: &'a str,
            namespace: &'a str,
            name: &'a str,
            uid: &'a str,
            resource_version: &'a str,
        }
        #[derive(FromRow)]
        struct Found {
            i: i64,
            object: i64,
            uid: String,
            sighted_at: Option<i64>,
            last_seen_at: i64,
            observation: i64,
            stamped_at: Option<i64>,
            digest: Vec<u8>,
        }
        if asked.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<Row> = asked
            .iter()
            .enumerate()
            .map(|(i, AskedBeat { key, uid, resource_version })| Row {
                i,
                kind: &key.kind,
                cluster: &key.cluster,
                namespace: &key.namespace,
                name: &key.name,
                uid,
                resource_version,
            })
            .collect();
        let args = [self.tenant.into(), self.source.into(), json(&rows)];
        let found: Vec<Found> = self.tx.rows(&sql::BEATS_FIND, &args).await?;
        let mut beats = HashMap::with_capacity(found.len());
        for row in found {
            let Some(stamped_at) = row.stamped_at else { continue };
            let beat = Beat {
                object: row.object,
                uid: row.uid,
                sighted_at: row.sighted_at,
                last_seen_at: row.last_seen_at,
                observation: row.observation,
                stamped_at,
                content: read_digest(&row.digest)?,
            };
            beats.insert(index(row.i)?, beat);
        }
        Ok(beats)
    }
}
