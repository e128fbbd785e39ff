//! Canonical kinds: one name for each kind, whatever group or prefix an operator's release writes it with.

/// A result that the execute-mode Job writes after each pack deployment.
pub const RESULT: &str = "PackOperationResult";
/// A request to apply one pack to one cluster.
pub const EXECUTION: &str = "PackExecution";
/// A compiled pack of one version.
pub const PACK: &str = "ClusterPack";
/// What a target cluster acknowledged.
pub const RECEIPT: &str = "PackReceipt";
/// The pack as installed on one cluster, patched in place by upgrades.
pub const INSTANCE: &str = "PackInstance";
/// The root of a sealed causal chain.
pub const LINEAGE_INDEX: &str = "LineageIndex";
/// The signal that asks for a redeployment after drift.
pub const DRIFT_SIGNAL: &str = "DriftSignal";

/// The API groups that the platform used for the same kinds over time.
const FAMILY_GROUPS: [&str; 4] = ["infrastructure.ontai.dev", "infra.ontai.dev", "runner.ontai.dev", "seam.ontai.dev"];

/// The canonical kind of an object: without the `Infrastructure` prefix and under its first name for
/// the platform's own groups, `Kind.group` for any other group, the bare kind for the core group.
#[must_use]
pub fn canonical(api_version: &str, kind: &str) -> String {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    if FAMILY_GROUPS.contains(&group) {
        let bare = kind.strip_prefix("Infrastructure").unwrap_or(kind);
        return match bare {
            "PackDelivery" => PACK,
            "PackInstalled" => INSTANCE,
            "PackLog" => RESULT,
            "LineageRecord" => LINEAGE_INDEX,
            other => other,
        }
        .to_owned();
    }
    if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") }
}

/// The canonical kind of a name that a person writes: any of the platform's names for a kind, else
/// `Kind.group` as it is.
#[must_use]
pub fn named(name: &str) -> String {
    if name.contains('.') { name.to_owned() } else { canonical(&format!("{}/v1", FAMILY_GROUPS[0]), name) }
}

/// Whether the platform promises that the `spec` of this kind never changes under one uid.
#[must_use]
pub fn is_sealed(kind: &str) -> bool {
    matches!(kind, RESULT | EXECUTION | PACK | RECEIPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_may_write_any_name_of_a_kind() {
        for (name, expected) in [
            ("PackLog", RESULT),
            ("InfrastructurePackReceipt", RECEIPT),
            ("Namespace", "Namespace"),
            ("Deployment.apps", "Deployment.apps"),
        ] {
            assert_eq!(named(name), expected);
        }
    }

    #[test]
    fn all_names_of_one_kind_are_one_kind() {
        for (api_version, kind, expected) in [
            ("infrastructure.ontai.dev/v1alpha1", "InfrastructurePackReceipt", RECEIPT),
            ("infrastructure.ontai.dev/v1alpha1", "PackReceipt", RECEIPT),
            ("seam.ontai.dev/v1", "PackLog", RESULT),
            ("seam.ontai.dev/v1", "PackDelivery", PACK),
            ("runner.ontai.dev/v1", "PackInstalled", INSTANCE),
            ("infra.ontai.dev/v1", "InfrastructureLineageIndex", LINEAGE_INDEX),
            ("v1", "Namespace", "Namespace"),
            ("apps/v1", "Deployment", "Deployment.apps"),
            ("example.com/v1", "PackReceipt", "PackReceipt.example.com"),
        ] {
            assert_eq!(canonical(api_version, kind), expected);
        }
    }
}
