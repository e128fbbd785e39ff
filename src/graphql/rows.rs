//! Lists of objects without a future for each field.
//!
//! The stock executor walks the selection set once for each row, and makes a boxed future of every
//! field of it. Here the selection set is walked once a list, into a `Plan`. A row is then filled at
//! once with what is in memory (the *plain* fields, which a type declares beside its name as
//! [`Listed::PLAIN`]); only what else is selected runs as the stock executor would run it, beside all
//! other rows, so that loaders gather as ever. Values come from the same methods and the same
//! conversions on both ways, and a test compares their answers.
//!
//! Where the request allows it ([`WriteLists`]), a list is written as text at once, without a value for
//! each field.
//!
//! Extensions of the executor would not see plain fields; the schema has none.

use std::borrow::Cow;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::registry::Registry;
use async_graphql::{Context, ContextSelectionSet, Name, OutputType, Positioned, ServerResult, Value};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, try_join_all};

use super::connection::{Connection, Edge, Listed};
use super::written::{self, WriteLists, Written, write_name, write_value};

/// In the data of a request: answer it on the stock way. For tests that compare the two.
pub struct StockOnly;

/// A field whose value is in memory.
pub struct PlainField<T> {
    /// The name of its method.
    pub name: &'static str,
    /// Its value; `None` if it is not to be had at once after all.
    pub read: fn(&T, &Context<'_>) -> Option<Value>,
    /// Writes the same value as text; whether it was to be had.
    pub write: fn(&T, &Context<'_>, &mut Vec<u8>) -> bool,
}

/// The plain fields of a type, by their methods, which must neither wait nor fail nor take arguments.
///
/// Those behind a condition are in memory where it holds.
macro_rules! plain {
    ($($name:ident),* $(,)?) => {
        plain![$($name),*; |_row| true =>]
    };
    ($($name:ident),* $(,)?; |$row:ident| $holds:expr => $($other:ident),* $(,)?) => {
        &[
            $($crate::graphql::rows::PlainField {
                name: stringify!($name),
                read: |row, ctx| {
                    let value = futures_util::FutureExt::now_or_never(row.$name(ctx));
                    $crate::graphql::rows::plain_value(value, ctx)
                },
                write: |row, ctx, out| {
                    let value = futures_util::FutureExt::now_or_never(row.$name(ctx));
                    $crate::graphql::rows::write_plain(value, out)
                },
            },)*
            $($crate::graphql::rows::PlainField {
                name: stringify!($other),
                read: |$row, ctx| {
                    if !$holds {
                        return None;
                    }
                    let value = futures_util::FutureExt::now_or_never($row.$other(ctx));
                    $crate::graphql::rows::plain_value(value, ctx)
                },
                write: |$row, ctx, out| {
                    if !$holds {
                        return false;
                    }
                    let value = futures_util::FutureExt::now_or_never($row.$other(ctx));
                    $crate::graphql::rows::write_plain(value, out)
                },
            },)*
        ]
    };
}
pub(crate) use plain;

/// A field that has to wait, and takes no arguments. One of these alone is a small future; that of the
/// stock executor has room for all fields of a type.
pub struct LateField<T> {
    /// The name of its method.
    pub name: &'static str,
    /// Its value.
    pub resolve: for<'a> fn(&'a T, &'a Context<'a>) -> BoxFuture<'a, ServerResult<Value>>,
}

/// Fields of a type that have to wait, by their methods, which must take no arguments.
macro_rules! late {
    ($($name:ident),* $(,)?) => {
        &[$($crate::graphql::rows::LateField {
            name: stringify!($name),
            resolve: |row, ctx| {
                futures_util::FutureExt::boxed(async move {
                    let value = row.$name(ctx).await;
                    $crate::graphql::rows::late_value(value, ctx).await
                })
            },
        }),*]
    };
}
pub(crate) use late;

/// The value of a late field, converted as the stock executor does.
///
/// # Errors
/// Where the field, or one below it, failed.
pub async fn late_value<T: OutputType, E: Into<async_graphql::Error>>(
    value: Result<T, E>,
    ctx: &Context<'_>,
) -> ServerResult<Value> {
    let value = value.map_err(|error| ctx.set_error_path(error.into().into_server_error(ctx.item.pos)))?;
    let set = ctx.with_selection_set(&ctx.item.node.selection_set);
    OutputType::resolve(&value, &set, ctx.item).await
}

/// The value of a plain field, converted as the stock executor does.
#[must_use]
pub fn plain_value<T: OutputType, E>(value: Option<Result<T, E>>, ctx: &Context<'_>) -> Option<Value> {
    let (value, set) = (value?.ok()?, ctx.with_selection_set(&ctx.item.node.selection_set));
    OutputType::resolve(&value, &set, ctx.item).now_or_never()?.ok()
}

/// Writes the value of a plain field; whether there is one.
#[must_use]
pub fn write_plain<T: Written, E>(value: Option<Result<T, E>>, out: &mut Vec<u8>) -> bool {
    let Some(Ok(value)) = value else { return false };
    value.write(out);
    true
}

fn plain_field<T: Listed>(name: &str) -> Option<&'static PlainField<T>> {
    T::PLAIN.iter().copied().flatten().find(|field| is_called(field.name, name))
}

/// Whether a method has a field's name: `spec_digest` that of `specDigest`.
fn is_called(method: &str, field: &str) -> bool {
    let mut field = field.chars();
    let mut upper = false;
    for letter in method.chars() {
        if letter == '_' {
            upper = true;
            continue;
        }
        let letter = if upper { letter.to_ascii_uppercase() } else { letter };
        upper = false;
        if field.next() != Some(letter) {
            return false;
        }
    }
    field.next().is_none()
}

/// An object as far as it is filled.
type Row = IndexMap<Name, Value>;

/// What is selected of each row of a list, in the order of the answer.
struct Plan<'a, T: 'static> {
    /// A row without values.
    empty: Row,
    steps: Vec<Step<'a, T>>,
}

/// One selected field.
struct Step<'a, T: 'static> {
    /// Its place in the row.
    at: usize,
    /// An earlier one has the same place: what they select belongs together.
    again: bool,
    what: What<'a, T>,
}

enum What<'a, T: 'static> {
    TypeName,
    Plain(&'static PlainField<T>, &'a Positioned<Field>),
    Other(&'a Positioned<Field>),
}

impl<T> Clone for What<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for What<'_, T> {}

/// A field that is left to the stock executor.
struct Late<'a> {
    at: usize,
    again: bool,
    field: &'a Positioned<Field>,
}

/// Calls `visit` for every field of a selection set that applies to the object type `name`, fragments
/// opened, in order. `None` if a fragment is not there, which the stock executor reports.
fn each_field<'a>(
    ctx: &ContextSelectionSet<'a>,
    set: &'a SelectionSet,
    name: &str,
    visit: &mut impl FnMut(&'a Positioned<Field>) -> Option<()>,
) -> Option<()> {
    for selection in &set.items {
        let (condition, inner) = match &selection.node {
            Selection::Field(field) => {
                visit(field)?;
                continue;
            }
            Selection::FragmentSpread(spread) => {
                let fragment = ctx.query_env.fragments.get(&spread.node.fragment_name.node)?;
                (Some(&fragment.node.type_condition), &fragment.node.selection_set)
            }
            Selection::InlineFragment(inline) => (inline.node.type_condition.as_ref(), &inline.node.selection_set),
        };
        let applies = condition.is_none_or(|condition| is_a(ctx, name, condition.node.on.node.as_str()));
        if applies {
            each_field(ctx, &inner.node, name, visit)?;
        }
    }
    Some(())
}

/// Whether the object type `name` is `condition` or implements it.
fn is_a(ctx: &ContextSelectionSet<'_>, name: &str, condition: &str) -> bool {
    name == condition
        || ctx.schema_env.registry.implements.get(name).is_some_and(|interfaces| interfaces.contains(condition))
}

impl<'a, T: Listed + 'static> Plan<'a, T> {
    fn new() -> Self {
        Self { empty: Row::new(), steps: Vec::new() }
    }

    /// Adds a selection set. `None` if it is better left to the stock executor.
    fn add(&mut self, ctx: &ContextSelectionSet<'a>, set: &'a SelectionSet) -> Option<()> {
        each_field(ctx, set, &T::type_name(), &mut |field| self.add_field(field))
    }

    fn add_field(&mut self, field: &'a Positioned<Field>) -> Option<()> {
        // What directives do beside leaving out, which was done before, is the executor's affair.
        if !field.node.directives.is_empty() {
            return None;
        }
        let what = match field.node.name.node.as_str() {
            "__typename" => What::TypeName,
            name => match plain_field(name) {
                Some(plain) if field.node.selection_set.node.items.is_empty() => What::Plain(plain, field),
                _ => What::Other(field),
            },
        };
        let key = &field.node.response_key().node;
        let Some(at) = self.empty.get_index_of(key) else {
            let at = self.empty.len();
            self.empty.insert(key.clone(), Value::Null);
            self.steps.push(Step { at, again: false, what });
            return Some(());
        };
        let first = self.steps.iter().find(|step| step.at == at)?;
        match (first.what, what) {
            (What::TypeName, What::TypeName) => {}
            (What::Plain(one, _), What::Plain(other, _)) if std::ptr::eq(one, other) => {}
            (What::Other(_), What::Other(_)) => self.steps.push(Step { at, again: true, what }),
            // Validation lets no two fields have one name in the answer.
            _ => return None,
        }
        Some(())
    }

    /// Fills a row as far as that can be done at once; notes what is left.
    fn fill(&self, ctx: &ContextSelectionSet<'_>, node: &T, late: &mut Vec<Late<'a>>) -> Row {
        let mut row = self.empty.clone();
        for step in &self.steps {
            let value = match step.what {
                What::TypeName => Some(Value::String(T::type_name().into_owned())),
                What::Plain(plain, field) => (plain.read)(node, &ctx.with_field(field)),
                What::Other(_) => None,
            };
            match (value, step.what) {
                (Some(value), _) => set(&mut row, step.at, value),
                (None, What::Plain(_, field) | What::Other(field)) => {
                    late.push(Late { at: step.at, again: step.again, field });
                }
                (None, What::TypeName) => {}
            }
        }
        row
    }
}

fn set(row: &mut Row, at: usize, value: Value) {
    if let Some((_, place)) = row.get_index_mut(at) {
        *place = value;
    }
}

/// Adds to a value what the same field gave for another selection set: members that it does not have
/// yet, in objects and in lists of objects of any depth.
fn merge(target: &mut Value, other: Value) {
    match (target, other) {
        (Value::Object(target), Value::Object(other)) => {
            for (name, value) in other {
                if let Some(known) = target.get_mut(&name) {
                    merge(known, value);
                } else {
                    target.insert(name, value);
                }
            }
        }
        (Value::List(target), Value::List(other)) => {
            for (target, other) in target.iter_mut().zip(other) {
                if matches!((&*target, &other), (Value::Object(_), Value::Object(_))) {
                    merge(target, other);
                }
            }
        }
        _ => {}
    }
}

/// Fills in what the stock executor gives.
async fn finish<T: Listed>(
    ctx: &ContextSelectionSet<'_>,
    node: &T,
    row: &mut Row,
    late: &[Late<'_>],
) -> ServerResult<()> {
    let values = try_join_all(late.iter().map(|late| resolve(ctx, node, late.field))).await?;
    for (late, value) in late.iter().zip(values) {
        match row.get_index_mut(late.at) {
            Some((_, known)) if late.again => merge(known, value),
            Some((_, place)) => *place = value,
            None => {}
        }
    }
    Ok(())
}

/// Boxed, since the resolvers of a type together are large and most are not asked.
fn resolve<'a, T: Listed>(
    ctx: &'a ContextSelectionSet<'a>,
    node: &'a T,
    field: &'a Positioned<Field>,
) -> BoxFuture<'a, ServerResult<Value>> {
    let name = field.node.name.node.as_str();
    let known = T::LATE.iter().find(|late| is_called(late.name, name));
    if let Some(late) = known.filter(|_| field.node.directives.is_empty()) {
        return async move { (late.resolve)(node, &ctx.with_field(field)).await }.boxed();
    }
    async move {
        let ctx = ctx.with_field(field);
        Ok(node.resolve_field(&ctx).await?.unwrap_or_default())
    }
    .boxed()
}

/// An object that stands alone, resolved as the rows of lists are.
pub struct One<T>(pub T);

impl<T: Listed> OutputType for One<T> {
    fn type_name() -> Cow<'static, str> {
        <T as OutputType>::type_name()
    }

    fn qualified_type_name() -> String {
        <T as OutputType>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <T as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        one(&self.0, ctx, field).await
    }
}

/// Resolves an object that stands alone.
///
/// # Errors
/// Where a field of it failed.
pub async fn one<T: Listed>(node: &T, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
    let mut plan = Plan::<T>::new();
    if !is_written(ctx) || plan.add(ctx, &ctx.item.node).is_none() || !plan.is_writable() {
        return node.resolve(ctx, field).boxed().await;
    }
    let mut sheet = Sheet::default();
    plan.write(ctx, node, (None, None), &mut sheet);
    sheet.finish(ctx, |_| node).await
}

/// A list or an object that is being written: its text, and what is still to come into it.
#[derive(Default)]
struct Sheet<'a> {
    text: Vec<u8>,
    holes: Vec<Hole<'a>>,
}

/// A place in a text for what the stock executor gives.
struct Hole<'a> {
    /// Where in the text.
    at: usize,
    /// The row of a list.
    i: Option<usize>,
    /// The field of the edge that the row is below, in a list of edges.
    below: Option<&'a Positioned<Field>>,
    field: &'a Positioned<Field>,
}

impl<'a, T: Listed + 'static> Plan<'a, T> {
    /// Writes a row, with a hole for each field that cannot be had at once.
    fn write(
        &self,
        ctx: &ContextSelectionSet<'_>,
        node: &T,
        (i, below): (Option<usize>, Option<&'a Positioned<Field>>),
        sheet: &mut Sheet<'a>,
    ) {
        for (n, step) in self.steps.iter().enumerate() {
            sheet.text.push(if n == 0 { b'{' } else { b',' });
            if let Some((name, _)) = self.empty.get_index(step.at) {
                write_name(name, &mut sheet.text);
            }
            let is_written = match step.what {
                What::TypeName => {
                    T::type_name().as_ref().write(&mut sheet.text);
                    true
                }
                What::Plain(plain, field) => (plain.write)(node, &ctx.with_field(field), &mut sheet.text),
                What::Other(_) => false,
            };
            if let (false, What::Plain(_, field) | What::Other(field)) = (is_written, step.what) {
                sheet.holes.push(Hole { at: sheet.text.len(), i, below, field });
            }
        }
        sheet.text.push(b'}');
    }

    /// Whether each step is a member of its own, as text needs it.
    fn is_writable(&self) -> bool {
        !self.steps.is_empty() && self.steps.iter().all(|step| !step.again)
    }
}

impl Sheet<'_> {
    /// Begins the next row of a list.
    fn next(&mut self, i: usize) {
        self.text.push(if i == 0 { b'[' } else { b',' });
    }

    /// Ends a list of so many rows.
    fn end(&mut self, rows: usize) {
        self.text.extend_from_slice(if rows == 0 { b"[]" } else { b"]" });
    }

    /// Fills the holes; `node` is that of a row.
    async fn finish<'n, N: Listed>(
        self,
        ctx: &ContextSelectionSet<'_>,
        node: impl Fn(usize) -> &'n N,
    ) -> ServerResult<Value> {
        if self.holes.is_empty() {
            return Ok(written::text(self.text));
        }
        let values =
            try_join_all(self.holes.iter().map(|hole| hole.resolve(ctx, node(hole.i.unwrap_or_default())))).await?;
        let size = values.iter().map(written::text_size).sum::<usize>();
        let mut out = Vec::with_capacity(self.text.len() + size + 64 * values.len());
        let mut from = 0;
        for (hole, value) in self.holes.iter().zip(&values) {
            out.extend_from_slice(&self.text[from..hole.at]);
            write_value(value, &mut out);
            from = hole.at;
        }
        out.extend_from_slice(&self.text[from..]);
        Ok(written::text(out))
    }
}

impl<'a> Hole<'a> {
    /// Boxed, since the resolvers of a type together are large and most are not asked.
    fn resolve<'n, N: Listed>(
        &'n self,
        ctx: &'n ContextSelectionSet<'n>,
        node: &'n N,
    ) -> BoxFuture<'n, ServerResult<Value>>
    where
        'a: 'n,
    {
        let Some(i) = self.i else { return resolve(ctx, node, self.field) };
        async move {
            let ctx = ctx.with_index(i);
            let value = match self.below {
                None => resolve(&ctx, node, self.field).await,
                Some(below) => {
                    let ctx = ctx.with_field(below);
                    let ctx = ctx.with_selection_set(&below.node.selection_set);
                    resolve(&ctx, node, self.field).await
                }
            };
            value.map_err(|error| ctx.set_error_path(error))
        }
        .boxed()
    }
}

fn is_written(ctx: &ContextSelectionSet<'_>) -> bool {
    ctx.data_opt::<WriteLists>().is_some()
}

fn is_stock<T: Listed>(ctx: &ContextSelectionSet<'_>) -> bool {
    T::PLAIN.is_empty() || ctx.data_opt::<StockOnly>().is_some()
}

/// The elements of a page.
pub struct Nodes<'a, N>(pub(super) &'a [N]);

impl<N: Listed> OutputType for Nodes<'_, N> {
    fn type_name() -> Cow<'static, str> {
        <Vec<N> as OutputType>::type_name()
    }

    fn qualified_type_name() -> String {
        <Vec<N> as OutputType>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <Vec<N> as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        let mut plan = Plan::<N>::new();
        if is_stock::<N>(ctx) || plan.add(ctx, &ctx.item.node).is_none() {
            return self.0.resolve(ctx, field).await;
        }
        if is_written(ctx) && plan.is_writable() {
            let mut sheet = Sheet::default();
            for (i, node) in self.0.iter().enumerate() {
                sheet.next(i);
                plan.write(ctx, node, (Some(i), None), &mut sheet);
            }
            sheet.end(self.0.len());
            return sheet.finish(ctx, |i| &self.0[i]).await;
        }
        let mut rows = Vec::with_capacity(self.0.len());
        for (i, node) in self.0.iter().enumerate() {
            let mut late = Vec::new();
            let row = plan.fill(ctx, node, &mut late);
            rows.push(NodeRow { i, node, row, late });
        }
        if rows.iter().all(|row| row.late.is_empty()) {
            return Ok(Value::List(rows.into_iter().map(|row| Value::Object(row.row)).collect()));
        }
        Ok(Value::List(try_join_all(rows.into_iter().map(|row| row.finish(ctx))).await?))
    }
}

struct NodeRow<'a, N> {
    i: usize,
    node: &'a N,
    row: Row,
    late: Vec<Late<'a>>,
}

impl<N: Listed> NodeRow<'_, N> {
    async fn finish(mut self, ctx: &ContextSelectionSet<'_>) -> ServerResult<Value> {
        let ctx = ctx.with_index(self.i);
        finish(&ctx, self.node, &mut self.row, &self.late).await.map_err(|error| ctx.set_error_path(error))?;
        Ok(Value::Object(self.row))
    }
}

/// The elements of a page with their places.
pub struct Edges<'a, N>(pub(super) &'a Connection<N>);

/// What is selected of each edge.
struct EdgePlan<'a, N: 'static> {
    empty: Row,
    steps: Vec<EdgeStep<'a, N>>,
}

enum EdgeStep<'a, N: 'static> {
    TypeName,
    Cursor,
    Node(&'a Positioned<Field>, Plan<'a, N>),
}

impl<'a, N: Listed + 'static> EdgePlan<'a, N> {
    /// The plan of a selection set; `None` if it is better left to the stock executor.
    fn of(ctx: &ContextSelectionSet<'a>) -> Option<Self> {
        let mut plan = Self { empty: Row::new(), steps: Vec::new() };
        each_field(ctx, &ctx.item.node, &Edge::<N>::type_name(), &mut |field| plan.add_field(ctx, field))?;
        Some(plan)
    }

    fn add_field(&mut self, ctx: &ContextSelectionSet<'a>, field: &'a Positioned<Field>) -> Option<()> {
        if !field.node.directives.is_empty() {
            return None;
        }
        let (name, key) = (field.node.name.node.as_str(), &field.node.response_key().node);
        if let Some(at) = self.empty.get_index_of(key) {
            return match (name, &mut self.steps[at]) {
                ("__typename", EdgeStep::TypeName) | ("cursor", EdgeStep::Cursor) => Some(()),
                ("node", EdgeStep::Node(_, plan)) => plan.add(ctx, &field.node.selection_set.node),
                _ => None,
            };
        }
        let step = match name {
            "__typename" => EdgeStep::TypeName,
            "cursor" => EdgeStep::Cursor,
            "node" => {
                let mut plan = Plan::new();
                plan.add(ctx, &field.node.selection_set.node)?;
                EdgeStep::Node(field, plan)
            }
            _ => return None,
        };
        self.empty.insert(key.clone(), Value::Null);
        self.steps.push(step);
        Some(())
    }

    fn is_writable(&self) -> bool {
        let is_writable = |step: &EdgeStep<'_, N>| match step {
            EdgeStep::TypeName | EdgeStep::Cursor => true,
            EdgeStep::Node(_, plan) => plan.is_writable(),
        };
        !self.steps.is_empty() && self.steps.iter().all(is_writable)
    }

    fn write(&self, ctx: &ContextSelectionSet<'_>, edge: &Edge<'_, N>, i: usize, sheet: &mut Sheet<'a>) {
        for (n, (name, step)) in self.empty.keys().zip(&self.steps).enumerate() {
            sheet.text.push(if n == 0 { b'{' } else { b',' });
            write_name(name, &mut sheet.text);
            match step {
                EdgeStep::TypeName => Edge::<N>::type_name().as_ref().write(&mut sheet.text),
                EdgeStep::Cursor => edge.place().write(&mut sheet.text),
                EdgeStep::Node(field, plan) => plan.write(ctx, edge.element(), (Some(i), Some(field)), sheet),
            }
        }
        sheet.text.push(b'}');
    }

    fn fill(&self, ctx: &ContextSelectionSet<'_>, edge: &Edge<'_, N>) -> (Row, Vec<LateNode<'a>>) {
        let (mut row, mut rest) = (self.empty.clone(), Vec::new());
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                EdgeStep::TypeName => set(&mut row, at, Value::String(Edge::<N>::type_name().into_owned())),
                EdgeStep::Cursor => set(&mut row, at, Value::String(edge.place())),
                EdgeStep::Node(field, plan) => {
                    let mut late = Vec::new();
                    let node = plan.fill(ctx, edge.element(), &mut late);
                    if late.is_empty() {
                        set(&mut row, at, Value::Object(node));
                    } else {
                        rest.push(LateNode { at, field, node, late });
                    }
                }
            }
        }
        (row, rest)
    }
}

/// The node of an edge as far as it is filled.
struct LateNode<'a> {
    at: usize,
    field: &'a Positioned<Field>,
    node: Row,
    late: Vec<Late<'a>>,
}

impl LateNode<'_> {
    async fn finish<N: Listed>(mut self, ctx: &ContextSelectionSet<'_>, node: &N) -> ServerResult<(usize, Value)> {
        let ctx = ctx.with_field(self.field);
        let ctx = ctx.with_selection_set(&self.field.node.selection_set);
        finish(&ctx, node, &mut self.node, &self.late).await?;
        Ok((self.at, Value::Object(self.node)))
    }
}

struct EdgeRow<'a, N> {
    i: usize,
    node: &'a N,
    row: Row,
    rest: Vec<LateNode<'a>>,
}

impl<N: Listed> EdgeRow<'_, N> {
    async fn finish(mut self, ctx: &ContextSelectionSet<'_>) -> ServerResult<Value> {
        let ctx = ctx.with_index(self.i);
        let nodes = self.rest.into_iter().map(|rest| rest.finish(&ctx, self.node));
        for (at, node) in try_join_all(nodes).await.map_err(|error| ctx.set_error_path(error))? {
            set(&mut self.row, at, node);
        }
        Ok(Value::Object(self.row))
    }
}

impl<N: Listed> OutputType for Edges<'_, N> {
    fn type_name() -> Cow<'static, str> {
        <Vec<Edge<'_, N>> as OutputType>::type_name()
    }

    fn qualified_type_name() -> String {
        <Vec<Edge<'_, N>> as OutputType>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <Vec<Edge<'_, N>> as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        let edges = self.0.all_edges();
        let plan = if is_stock::<N>(ctx) { None } else { EdgePlan::<N>::of(ctx) };
        let Some(plan) = plan else { return edges.resolve(ctx, field).await };
        if is_written(ctx) && plan.is_writable() {
            let mut sheet = Sheet::default();
            for (i, edge) in edges.iter().enumerate() {
                sheet.next(i);
                plan.write(ctx, edge, i, &mut sheet);
            }
            sheet.end(edges.len());
            return sheet.finish(ctx, |i| edges[i].element()).await;
        }
        let mut rows = Vec::with_capacity(edges.len());
        for (i, edge) in edges.iter().enumerate() {
            let (row, rest) = plan.fill(ctx, edge);
            rows.push(EdgeRow { i, node: edge.element(), row, rest });
        }
        if rows.iter().all(|row| row.rest.is_empty()) {
            return Ok(Value::List(rows.into_iter().map(|row| Value::Object(row.row)).collect()));
        }
        Ok(Value::List(try_join_all(rows.into_iter().map(|row| row.finish(ctx))).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_found_by_the_names_of_their_fields() {
        assert!(is_called("spec_digest", "specDigest"));
        assert!(is_called("uid", "uid"));
        for (method, field) in [("spec_digest", "spec_digest"), ("uid", "ui"), ("uid", "uidX"), ("status", "statusRaw")]
        {
            assert!(!is_called(method, field), "{method} {field}");
        }
    }
}
