//! Reading what records name without being it, and the packs that belong to it.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::FromRow;

use super::driver::json;
use super::error::StoreError;
use super::page::{Page, Rows};
use super::read::AsOf;
use super::sql;
use crate::domain::mention::Named;

/// A cluster or a pack family, as records name it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StoredMention {
    /// The source's row.
    #[sqlx(rename = "source_id")]
    pub source: i64,
    /// The name.
    pub name: String,
    /// The commit that named it first.
    pub from_seq: i64,
    /// When that was, microseconds.
    pub committed_at: i64,
}

#[derive(FromRow)]
struct Found {
    i: i64,
    #[sqlx(flatten)]
    mention: StoredMention,
}

/// The place of a mention in a list: source, name.
pub type MentionPlace = (i64, String);

impl AsOf {
    /// What is named, by source and name.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_mentions(
        &self,
        named: Named,
        source: Option<i64>,
        page: &Page<MentionPlace>,
    ) -> Result<Rows<StoredMention>, StoreError> {
        let end = if page.backward { i64::MAX } else { i64::MIN };
        let (from, name) = page.from.clone().unwrap_or((end, String::new()));
        let (lowest, highest) = source.map_or((i64::MIN, i64::MAX), |source| (source, source));
        let args = [
            self.tenant.into(),
            named.word().into(),
            self.seq.into(),
            from.into(),
            name.into(),
            page.fetch().into(),
            lowest.into(),
            highest.into(),
        ];
        let statement = if page.backward { &sql::MENTIONS_PAGE_BACK } else { &sql::MENTIONS_PAGE };
        Ok(page.rows(self.pool.rows(statement, &args).await?))
    }

    /// How many of them there are.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_mentions(&self, named: Named, source: Option<i64>) -> Result<i64, StoreError> {
        let (lowest, highest) = source.map_or((i64::MIN, i64::MAX), |source| (source, source));
        let args = [self.tenant.into(), named.word().into(), self.seq.into(), lowest.into(), highest.into()];
        self.count(&sql::MENTIONS_COUNT, &args).await
    }

    /// What is named, by its place in `asked` (source, kind, name); what is not is left out.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_mentions(
        &self,
        asked: &[(i64, Named, String)],
    ) -> Result<HashMap<usize, StoredMention>, StoreError> {
        #[derive(Serialize)]
        struct Key<'a> {
            i: usize,
            source_id: i64,
            kind: &'a str,
            name: &'a str,
        }
        if asked.is_empty() {
            return Ok(HashMap::new());
        }
        let keys: Vec<Key> = asked
            .iter()
            .enumerate()
            .map(|(i, (source_id, named, name))| Key { i, source_id: *source_id, kind: named.word(), name })
            .collect();
        let args = [self.tenant.into(), json(&keys), self.seq.into()];
        let found: Vec<Found> = self.pool.rows(&sql::MENTIONS_LOOKUP, &args).await?;
        let place = |found: Found| Some((usize::try_from(found.i).ok()?, found.mention));
        Ok(found.into_iter().filter_map(place).collect())
    }
}
