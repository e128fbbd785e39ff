//! Lineage indexes.

use async_graphql::SimpleObject;
use serde_json::{Map, Value};

use super::common::member_time;
use super::enums::{CreationRationale, LineageOutcomeType};
use super::lineage::member_int;
use super::listing::part_of_record;
use super::record::record_object;
use crate::graphql::connection::{Connection, Listed, PageArgs};
use crate::graphql::error::ApiError;
use crate::graphql::scalar::{DateTime, Int53};
use crate::service::query::member_text;

/// The root declaration that an index is of.
#[derive(Debug, Clone, SimpleObject)]
pub struct LineageRootBinding {
    /// Its kind.
    root_kind: Option<String>,
    /// Its name.
    root_name: Option<String>,
    /// Its namespace.
    root_namespace: Option<String>,
    /// Its uid.
    root_uid: Option<String>,
    /// Its generation when the index was made.
    root_observed_generation: Option<Int53>,
    /// Who declared it.
    declaring_principal: Option<String>,
}

/// An object that was derived from a root declaration.
#[derive(Debug, Clone, SimpleObject)]
pub struct LineageDescendant {
    /// Its API group.
    group: Option<String>,
    /// Its API version.
    version: Option<String>,
    /// Its kind.
    kind: Option<String>,
    /// Its namespace.
    namespace: Option<String>,
    /// Its name.
    name: Option<String>,
    /// Its uid.
    uid: Option<String>,
    /// How it stands to the root, where the record says so.
    relationship: Option<String>,
    /// The operator that made it.
    operator: Option<String>,
    /// Why it was made.
    creation_rationale: CreationRationale,
    /// The word that the record has for it.
    creation_rationale_raw: Option<String>,
    /// The generation at creation. By its name that of the root; operators are known to write the
    /// object's own.
    root_generation_at_creation: Option<Int53>,
    /// When it was entered.
    created_at: Option<DateTime>,
    /// Who declared the root; empty where the platform does not know.
    actor_ref: Option<String>,
}

impl Listed for LineageDescendant {
    const NAME: &'static str = "LineageDescendant";
}

/// How an object that was derived from a root declaration ended.
#[derive(Debug, Clone, SimpleObject)]
pub struct LineageOutcome {
    /// The uid of the object.
    derived_object_uid: Option<String>,
    /// How it ended.
    outcome: LineageOutcomeType,
    /// The word that the record has for it.
    outcome_raw: Option<String>,
    /// When that was seen.
    at: Option<DateTime>,
    /// What tells of it: the name of a result, or a condition's reason.
    reference: Option<String>,
    /// A sentence for people.
    detail: Option<String>,
}

impl Listed for LineageOutcome {
    const NAME: &'static str = "LineageOutcome";
}

/// The policy that was bound to a root when it was last evaluated.
#[derive(Debug, Clone, SimpleObject)]
pub struct LineagePolicyBinding {
    /// The policy.
    policy_ref: Option<String>,
    /// The profile.
    profile_ref: Option<String>,
    /// The generation of the policy.
    policy_generation: Option<Int53>,
    /// Whether derived objects were not as the policy asks.
    drift_detected: Option<bool>,
}

/// How long an index keeps what is gone.
#[derive(Debug, Clone, SimpleObject)]
pub struct LineageRetentionPolicy {
    /// For how many days entries of objects that are gone are kept.
    descendant_retention_days: Option<Int53>,
    /// Whether the index goes with its root.
    delete_with_root: Option<bool>,
}

record_object! {
    /// What the platform derived from one root declaration. Entries of objects that are gone are pruned
    /// from it after some time; its versions here keep them.
    LineageIndex {
        /// The root declaration.
        async fn root_binding(&self) -> Result<Option<LineageRootBinding>, ApiError> {
            let body = self.0.body().await?;
            let root = body.at(&["spec", "rootBinding"]).and_then(Value::as_object);
            Ok(root.map(|root| LineageRootBinding {
                root_kind: member_text(root, "rootKind"),
                root_name: member_text(root, "rootName"),
                root_namespace: member_text(root, "rootNamespace"),
                root_uid: member_text(root, "rootUID"),
                root_observed_generation: member_int(root, "rootObservedGeneration"),
                declaring_principal: member_text(root, "declaringPrincipal"),
            }))
        }

        /// The index of the domain that this one belongs to.
        async fn domain_ref(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["spec", "domainRef"]).await
        }

        /// The objects that were derived from the root, in the order of the record.
        async fn descendants(
            &self,
            #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
            #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
            #[graphql(desc = "How many, from the end.")] last: Option<i32>,
            #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
        ) -> Result<Connection<LineageDescendant>, ApiError> {
            let body = self.0.body().await?;
            let entries = ["descendantRegistry", "descendants"].map(|name| ["spec", name]);
            let entries = entries.iter().flat_map(|path| body.objects(path)).map(descendant).collect();
            part_of_record(&self.0, "descendants", entries, &PageArgs::new(first, after, last, before)).await
        }

        /// How derived objects ended, in the order of the record.
        async fn outcomes(
            &self,
            #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
            #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
            #[graphql(desc = "How many, from the end.")] last: Option<i32>,
            #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
        ) -> Result<Connection<LineageOutcome>, ApiError> {
            let entries = self.0.body().await?.objects(&["spec", "outcomeRegistry"]).map(outcome).collect();
            part_of_record(&self.0, "outcomes", entries, &PageArgs::new(first, after, last, before)).await
        }

        /// The policy that was bound to the root; null where the record does not say.
        async fn policy_binding(&self) -> Result<Option<LineagePolicyBinding>, ApiError> {
            let body = self.0.body().await?;
            let binding = body.at(&["spec", "policyBindingStatus"]).and_then(Value::as_object);
            Ok(binding.map(|binding| LineagePolicyBinding {
                policy_ref: member_text(binding, "domainPolicyRef"),
                profile_ref: member_text(binding, "domainProfileRef"),
                policy_generation: member_int(binding, "policyGenerationAtLastEvaluation"),
                drift_detected: binding.get("driftDetected").and_then(Value::as_bool),
            }))
        }

        /// How long the index keeps what is gone; null where the record does not say.
        async fn retention_policy(&self) -> Result<Option<LineageRetentionPolicy>, ApiError> {
            let body = self.0.body().await?;
            let policy = body.at(&["spec", "retentionPolicy"]).and_then(Value::as_object);
            Ok(policy.map(|policy| LineageRetentionPolicy {
                descendant_retention_days: member_int(policy, "descendantRetentionDays"),
                delete_with_root: policy.get("deleteWithRoot").and_then(Value::as_bool),
            }))
        }
    }
}

fn descendant(entry: &Map<String, Value>) -> LineageDescendant {
    let text = |name| member_text(entry, name);
    let rationale = text("creationRationale");
    LineageDescendant {
        group: text("group"),
        version: text("version"),
        kind: text("kind"),
        namespace: text("namespace"),
        name: text("name"),
        uid: text("uid"),
        relationship: text("relationship"),
        operator: text("seamOperator"),
        creation_rationale: CreationRationale::of(rationale.as_deref().unwrap_or_default()),
        creation_rationale_raw: rationale,
        root_generation_at_creation: member_int(entry, "rootGenerationAtCreation"),
        created_at: member_time(entry, "createdAt"),
        actor_ref: text("actorRef"),
    }
}

fn outcome(entry: &Map<String, Value>) -> LineageOutcome {
    let text = |name| member_text(entry, name);
    let word = text("outcomeType");
    LineageOutcome {
        derived_object_uid: text("derivedObjectUID"),
        outcome: LineageOutcomeType::of(word.as_deref().unwrap_or_default()),
        outcome_raw: word,
        at: member_time(entry, "outcomeTimestamp"),
        reference: text("outcomeRef"),
        detail: text("outcomeDetail"),
    }
}

impl Listed for LineageIndex {
    const NAME: &'static str = "LineageIndex";
}
