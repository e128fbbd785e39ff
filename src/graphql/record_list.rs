//! Lists of records as connections.

use async_graphql::Context;
use serde::{Deserialize, Serialize};

use super::breadth::of_list;
use super::connection::{Connection, List, Listed, PageArgs, Total};
use super::context::Seat;
use super::error::ApiError;
use super::types::record::Recorded;
use super::view::View;
use crate::service::query::RecordsAsked;
use crate::storage::{Breadth, Page, RecordOrder, RecordPlace};

/// The place of a record in a cursor: by what is the same in every store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Place {
    Born(i64, i64),
    /// With the commit that the list is read as of.
    Changed(i64, i64, i64),
    /// Source, namespace, name, cluster of residence.
    Name(String, String, String, String, i64),
}

impl Place {
    fn of(view: &View, order: RecordOrder, place: RecordPlace) -> Self {
        match (place, order) {
            (RecordPlace::Time(at, hash), RecordOrder::Changed) => Self::Changed(at, hash, view.scope().seq()),
            (RecordPlace::Time(at, hash), _) => Self::Born(at, hash),
            (RecordPlace::Name(source, namespace, name, cluster, hash), _) => {
                Self::Name(view.scope().source_name(source).to_owned(), namespace, name, cluster, hash)
            }
        }
    }

    fn stored(self, view: &View) -> RecordPlace {
        match self {
            Self::Born(at, hash) | Self::Changed(at, hash, _) => RecordPlace::Time(at, hash),
            Self::Name(source, namespace, name, cluster, hash) => {
                let source = view.scope().source(&source).map_or(0, |source| source.id);
                RecordPlace::Name(source, namespace, name, cluster, hash)
            }
        }
    }
}

/// A page of the records of a kind; `field` names the list for its cursors.
///
/// # Errors
/// If the store fails, or the page cannot be had.
pub async fn records<N: Listed>(
    seat: &Seat,
    ctx: &Context<'_>,
    field: &str,
    kind: &str,
    asked: RecordsAsked,
    args: PageArgs,
    node: impl Fn(Recorded) -> N,
) -> Result<Connection<N>, ApiError> {
    let mut view = seat.view(ctx).await?;
    let page: Page<Place> = args.page(&list(&view, field, &asked))?;
    if let Some(Place::Changed(_, _, seq)) = page.from
        && seq != view.scope().seq()
    {
        let then = view.pinned(ctx, seq).await?;
        view = then.ok_or_else(|| ApiError::bad_input("This cursor is of a commit that is not there."))?;
    }
    records_of((&view, of_list(ctx)), field, kind, asked, args, node).await
}

fn list(view: &View, field: &str, asked: &RecordsAsked) -> List {
    List::new(view, field, &(&asked.source, &asked.list))
}

/// A page of the records of a kind in a view, as much of them as is needed.
///
/// # Errors
/// If the store fails, or the page cannot be had.
pub async fn records_of<N: Listed>(
    (view, breadth): (&View, Breadth),
    field: &str,
    kind: &str,
    asked: RecordsAsked,
    args: PageArgs,
    node: impl Fn(Recorded) -> N,
) -> Result<Connection<N>, ApiError> {
    let listed = list(view, field, &asked);
    let page: Page<Place> = args.page(&listed)?;
    let order = asked.list.order;
    let stored = page.clone().map(|place| place.stored(view));
    let rows = view.scope().list_records(kind, &asked, &stored, breadth).await?;
    let (scope, kind) = (view.scope().clone(), kind.to_owned());
    let total = Total::count(move || {
        let (scope, kind, asked) = (scope.clone(), kind.clone(), asked.clone());
        async move { Ok(scope.count_records(&kind, &asked).await?) }
    });
    let place = |(place, _): &(RecordPlace, _)| Place::of(view, order, place.clone());
    Ok(Connection::new(&listed, &page, rows, total, place, |(_, record)| node(Recorded::new(view, record))))
}
