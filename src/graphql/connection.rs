//! The one pager: every list that can grow is a connection, and every connection is made here.

use std::borrow::Cow;

use async_graphql::{ContainerType, Object, SimpleObject, TypeName};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::rows::{Edges, LateField, Nodes, PlainField};
use super::scalar::Int53;
use super::view::View;
use crate::storage::{Page, Rows, hash63};

/// The page size where none is asked for.
const DEFAULT_SIZE: usize = 20;
/// The version of the cursors' form.
const VERSION: u8 = 1;

/// The paging arguments of a field.
#[derive(Debug, Clone, Default)]
pub struct PageArgs {
    /// How many from the start.
    pub first: Option<i32>,
    /// The cursor that the page follows.
    pub after: Option<String>,
    /// How many from the end.
    pub last: Option<i32>,
    /// The cursor that the page precedes.
    pub before: Option<String>,
}

impl PageArgs {
    /// The arguments as resolvers get them.
    #[must_use]
    pub fn new(first: Option<i32>, after: Option<String>, last: Option<i32>, before: Option<String>) -> Self {
        Self { first, after, last, before }
    }

    /// The page of a list that is asked for.
    ///
    /// # Errors
    /// If the arguments exclude each other, a size is out of bounds, or a cursor is not of this list.
    pub fn page<K: DeserializeOwned>(&self, list: &List) -> Result<Page<K>, ApiError> {
        let has_forward = self.first.is_some() || self.after.is_some();
        let has_backward = self.last.is_some() || self.before.is_some();
        if has_forward && has_backward {
            return Err(ApiError::bad_input("Page with first and after, or with last and before, not with both."));
        }
        let (size, cursor) = if has_backward { (self.last, &self.before) } else { (self.first, &self.after) };
        let limit = match size {
            None => DEFAULT_SIZE.min(list.largest_page),
            Some(size) => usize::try_from(size)
                .ok()
                .filter(|size| *size <= list.largest_page)
                .ok_or_else(|| ApiError::bad_input(format!("A page has 0 to {} elements.", list.largest_page)))?,
        };
        let from = cursor.as_deref().map(|cursor| list.decode(cursor)).transpose()?;
        Ok(Page { limit, backward: has_backward, from })
    }
}

/// One list: what its cursors are bound to.
#[derive(Debug, Clone)]
pub struct List {
    query: String,
    tenant: String,
    /// See [`View::largest_page`].
    largest_page: usize,
}

impl List {
    /// The list of a field of a tenant, with all that narrows it.
    #[must_use]
    pub fn new(view: &View, field: &str, narrowed_by: &impl Serialize) -> Self {
        let narrowed_by = serde_json::to_vec(narrowed_by).unwrap_or_default();
        Self {
            query: format!("{:x}", hash63(&[field.as_bytes(), &narrowed_by])),
            tenant: format!("{:x}", hash63(&[view.scope().tenant().as_bytes()])),
            largest_page: view.largest_page(),
        }
    }

    /// The cursor of a place in the list.
    pub fn encode(&self, key: &impl Serialize) -> String {
        let cursor = (VERSION, &self.query, &self.tenant, key);
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).unwrap_or_default())
    }

    /// The place of a cursor.
    ///
    /// # Errors
    /// If it is none of this list.
    pub fn decode<K: DeserializeOwned>(&self, cursor: &str) -> Result<K, ApiError> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
        // The key has another form in another list, so it is read only after the rest was compared.
        let read: Option<(u8, String, String, serde_json::Value)> =
            bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        read.filter(|(version, query, tenant, _)| *version == VERSION && *query == self.query && *tenant == self.tenant)
            .and_then(|(_, _, _, key)| serde_json::from_value(key).ok())
            .ok_or_else(|| ApiError::bad_input("This is no cursor of this list: take one from its own edges."))
    }
}

/// How many elements a list has.
pub enum Total {
    /// It is known.
    Known(i64),
    /// It has to be counted, which is done only if a client asks.
    Count(Box<dyn Fn() -> BoxFuture<'static, Result<i64, ApiError>> + Send + Sync>),
}

impl Total {
    /// A count that is made if a client asks.
    pub fn count<F>(count: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<i64, ApiError>> + Send + 'static,
    {
        Self::Count(Box::new(move || Box::pin(count())))
    }
}

/// What can be the node of a connection.
pub trait Listed: ContainerType + Sized + 'static {
    /// The name before `Connection` and `Edge`.
    const NAME: &'static str;
    /// The fields whose values are in memory, in any grouping: lists are filled with them at once (see
    /// [`super::rows`]). None for an interface, whose rows are of several types.
    const PLAIN: &'static [&'static [PlainField<Self>]] = &[];
    /// Those of the others that are asked for most, as far as they take no arguments.
    const LATE: &'static [LateField<Self>] = &[];
}

/// Where a page stands in its list.
#[derive(Debug, Clone, SimpleObject)]
pub struct PageInfo {
    /// Whether more elements follow this page. Backwards, whether the page was asked for before a cursor.
    has_next_page: bool,
    /// Whether elements precede this page. Forwards, whether the page was asked for after a cursor.
    has_previous_page: bool,
    /// The cursor of the first element.
    start_cursor: Option<String>,
    /// The cursor of the last element.
    end_cursor: Option<String>,
}

/// The cursors of a page, by place: encoded when they are asked for.
type Cursors = Box<dyn Fn(usize) -> Option<String> + Send + Sync>;

/// An element of a page.
pub struct Edge<'a, N> {
    page: &'a Connection<N>,
    place: usize,
    node: &'a N,
}

impl<'a, N> Edge<'a, N> {
    /// Its cursor.
    pub(super) fn place(&self) -> String {
        (self.page.cursors)(self.place).unwrap_or_default()
    }

    /// The element.
    pub(super) fn element(&self) -> &'a N {
        self.node
    }
}

/// A page of a list.
pub struct Connection<N> {
    nodes: Vec<N>,
    cursors: Cursors,
    has_next_page: bool,
    has_previous_page: bool,
    total: Total,
}

impl<N> Connection<N> {
    /// The page `rows` of `list`; `key` is a row's place in it.
    pub fn new<R, K: Serialize + Send + Sync + 'static>(
        list: &List,
        page: &Page<K>,
        rows: Rows<R>,
        total: Total,
        key: impl Fn(&R) -> K,
        node: impl Fn(R) -> N,
    ) -> Self {
        let keys: Vec<K> = rows.rows.iter().map(key).collect();
        let list = list.clone();
        Self {
            nodes: rows.rows.into_iter().map(node).collect(),
            cursors: Box::new(move |place| keys.get(place).map(|key| list.encode(key))),
            has_next_page: if page.backward { page.from.is_some() } else { rows.more },
            has_previous_page: if page.backward { rows.more } else { page.from.is_some() },
            total,
        }
    }

    /// The elements with their places.
    pub(super) fn all_edges(&self) -> Vec<Edge<'_, N>> {
        self.nodes.iter().enumerate().map(|(place, node)| Edge { page: self, place, node }).collect()
    }
}

impl<N: Listed> TypeName for Edge<'_, N> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Edge", N::NAME).into()
    }
}

impl<N: Listed> TypeName for Connection<N> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Connection", N::NAME).into()
    }
}

/// An element of a page, with its place in the list.
#[Object(name_type)]
impl<N: Listed> Edge<'_, N> {
    /// The place of the element in its list, for `after` and `before`. Opaque; good for this list only.
    async fn cursor(&self) -> String {
        self.place()
    }

    /// The element.
    async fn node(&self) -> &N {
        self.node
    }
}

/// A page of a list.
#[Object(name_type)]
impl<N: Listed> Connection<N> {
    /// The elements with their places.
    async fn edges(&self) -> Edges<'_, N> {
        Edges(self)
    }

    /// The elements.
    async fn nodes(&self) -> Nodes<'_, N> {
        Nodes(&self.nodes)
    }

    /// Where the page stands in its list.
    async fn page_info(&self) -> PageInfo {
        PageInfo {
            has_next_page: self.has_next_page,
            has_previous_page: self.has_previous_page,
            start_cursor: (self.cursors)(0),
            end_cursor: self.nodes.len().checked_sub(1).and_then(|last| (self.cursors)(last)),
        }
    }

    /// How many elements the whole list has. Counted only when it is selected; null where it is not known.
    async fn total_count(&self) -> Result<Option<Int53>, ApiError> {
        match &self.total {
            Total::Known(total) => Ok(Some(Int53(*total))),
            Total::Count(count) => count().await.map(|count| Some(Int53(count))),
        }
    }
}
