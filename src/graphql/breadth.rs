//! How much of the records of a field has to be read, by what is selected of them.

use async_graphql::Context;
use async_graphql::Positioned;
use async_graphql::parser::types::{Field, Selection, SelectionSet};

use crate::storage::Breadth;

/// The fields of records that do not need the provenance of their content. What is not named here is
/// taken to need it; and what needs it after all looks it up, so that this list only saves work.
const LEAN: [&str; 27] = [
    "__typename",
    "id",
    "source",
    "canonicalKind",
    "namespace",
    "name",
    "uid",
    "creationTimestamp",
    "live",
    "firstSeenAt",
    "updatedAt",
    "lastSeenAt",
    "closedAt",
    "closedBy",
    "findings",
    "versions",
    "clusterPack",
    "packExecution",
    "previous",
    "revision",
    "revisionChain",
    "targetClusterRef",
    "capability",
    "status",
    "statusRaw",
    "startedAt",
    "completedAt",
];

/// For the record that the field of a context answers.
#[must_use]
pub fn of_record(ctx: &Context<'_>) -> Breadth {
    breadth(is_lean(ctx, &ctx.item.node.selection_set.node))
}

/// For the records of the connection that the field of a context answers.
#[must_use]
pub fn of_list(ctx: &Context<'_>) -> Breadth {
    let is_lean = |set: &SelectionSet| is_lean(ctx, set);
    breadth(every_field(ctx, &ctx.item.node.selection_set.node, &|field| match name(field) {
        "nodes" => is_lean(&field.node.selection_set.node),
        "edges" => every_field(ctx, &field.node.selection_set.node, &|field| {
            name(field) != "node" || is_lean(&field.node.selection_set.node)
        }),
        _ => true,
    }))
}

fn breadth(is_lean: bool) -> Breadth {
    if is_lean { Breadth::Lean } else { Breadth::Full }
}

fn name(field: &Positioned<Field>) -> &str {
    &field.node.name.node
}

fn is_lean(ctx: &Context<'_>, set: &SelectionSet) -> bool {
    every_field(ctx, set, &|field| LEAN.contains(&name(field)))
}

/// Whether something holds for all fields of a selection set, fragments opened whatever type they are of.
fn every_field(ctx: &Context<'_>, set: &SelectionSet, holds: &dyn Fn(&Positioned<Field>) -> bool) -> bool {
    set.items.iter().all(|selection| match &selection.node {
        Selection::Field(field) => holds(field),
        Selection::InlineFragment(inline) => every_field(ctx, &inline.node.selection_set.node, holds),
        Selection::FragmentSpread(spread) => {
            let fragment = ctx.query_env.fragments.get(&spread.node.fragment_name.node);
            fragment.is_some_and(|fragment| every_field(ctx, &fragment.node.selection_set.node, holds))
        }
    })
}
