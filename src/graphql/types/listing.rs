//! Lists that several types have.

use serde::Serialize;

use super::record::Recorded;
use crate::graphql::connection::{Connection, List, Listed, PageArgs, Total};
use crate::graphql::error::ApiError;
use crate::graphql::view::View;
use crate::storage::Page;

/// A page of a list that is part of something at hand. The places are numbers, so `narrowed_by` has to
/// tell one content of the list from another.
///
/// # Errors
/// If the page cannot be had.
pub fn part<N: Listed>(
    view: &View,
    field: &str,
    narrowed_by: &impl Serialize,
    items: Vec<N>,
    page: &PageArgs,
) -> Result<Connection<N>, ApiError> {
    let listed = List::new(view, field, narrowed_by);
    let page: Page<usize> = page.page(&listed)?;
    let total = Total::Known(i64::try_from(items.len()).unwrap_or(i64::MAX));
    let rows = page.of(items.into_iter().enumerate().collect(), |(place, _)| *place, |place| *place);
    Ok(Connection::new(&listed, &page, rows, total, |(place, _)| *place, |(_, item)| item))
}

/// A page of a list of a record's own object.
///
/// # Errors
/// If the store fails, or the page cannot be had.
pub async fn part_of_record<N: Listed>(
    recorded: &Recorded,
    field: &str,
    items: Vec<N>,
    page: &PageArgs,
) -> Result<Connection<N>, ApiError> {
    // Another version has another list.
    let narrowed_by = (recorded.id().to_string(), recorded.provenance().await?.digest);
    part(&recorded.view, field, &narrowed_by, items, page)
}
