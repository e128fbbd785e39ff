//! The root fields of mutations, one file a noun.

mod ingest;
mod quarantine;
mod run;
mod work;

use async_graphql::MergedObject;

/// What can be changed.
#[derive(MergedObject, Default)]
#[graphql(name = "Mutation")]
pub struct MutationRoot(ingest::IngestMutation, quarantine::QuarantineMutation, run::RunMutation, work::WorkMutation);
