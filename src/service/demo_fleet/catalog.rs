//! The clusters, packs and releases of the generated fleet.

/// A target cluster.
pub struct Cluster {
    pub name: &'static str,
    /// Days after the first cluster at which a release arrives here.
    pub wave: i64,
    /// Runs the older executor, which deletes a result when the next one is written, instead of
    /// labelling it.
    pub deletes_superseded: bool,
}

const fn cluster(name: &'static str, wave: i64, deletes_superseded: bool) -> Cluster {
    Cluster { name, wave, deletes_superseded }
}

/// One of them is named like a revision, which must mislead nobody.
pub const CLUSTERS: [Cluster; 6] = [
    cluster("ccs-dev", 0, false),
    cluster("ccs-stage", 1, false),
    cluster("ccs-prod-eu", 3, false),
    cluster("ccs-prod-us", 4, false),
    cluster("edge-north", 5, true),
    cluster("edge-r2", 6, true),
];

/// The Helm chart a pack is rendered from.
pub struct Chart {
    pub name: &'static str,
    pub url: &'static str,
}

/// What a pack puts on a cluster: apiVersion, kind, namespace (or ""), name.
pub type Resource = (&'static str, &'static str, &'static str, &'static str);

/// A logical pack.
pub struct Pack {
    pub base: &'static str,
    /// `None` for kustomize and raw packs.
    pub chart: Option<Chart>,
    pub releases: &'static [Release],
    pub resources: &'static [Resource],
}

/// A version of a pack and when it goes out.
pub struct Release {
    pub version: &'static str,
    /// Days after the fleet's first.
    pub day: i64,
    /// The clusters it is meant for; empty means all.
    pub only: &'static [&'static str],
}

const fn release(version: &'static str, day: i64) -> Release {
    Release { version, day, only: &[] }
}

const fn release_to(version: &'static str, day: i64, only: &'static [&'static str]) -> Release {
    Release { version, day, only }
}

const fn chart(name: &'static str, url: &'static str) -> Chart {
    Chart { name, url }
}

const CENTRAL: &[&str] = &["ccs-dev", "ccs-stage", "ccs-prod-eu", "ccs-prod-us"];
const PRODUCTION: &[&str] = &["ccs-prod-eu", "ccs-prod-us"];
const NOT_EDGE_R2: &[&str] = &["ccs-dev", "ccs-stage", "ccs-prod-eu", "ccs-prod-us", "edge-north"];

/// Four Helm packs, two kustomize, two raw.
pub const PACKS: [Pack; 8] = [
    Pack {
        base: "cert-manager-helm",
        chart: Some(chart("cert-manager", "https://charts.jetstack.io")),
        releases: &[
            release("v1.14.0-r1", 2),
            release("v1.14.4-r1", 23),
            release("v1.15.1-r1", 51),
            // v1.15.1 did not last in production: the earlier version again, built anew.
            release_to("v1.14.4-r2", 60, PRODUCTION),
        ],
        resources: &[
            ("v1", "Namespace", "", "cert-manager"),
            ("rbac.authorization.k8s.io/v1", "ClusterRole", "", "cert-manager-controller"),
            ("v1", "ServiceAccount", "cert-manager", "cert-manager"),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "certificates.cert-manager.io"),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "issuers.cert-manager.io"),
            ("apps/v1", "Deployment", "cert-manager", "cert-manager"),
            ("apps/v1", "Deployment", "cert-manager", "cert-manager-webhook"),
        ],
    },
    Pack {
        base: "ingress-nginx-helm",
        chart: Some(chart("ingress-nginx", "https://kubernetes.github.io/ingress-nginx")),
        releases: &[
            release("v4.9.1-r1", 4),
            // Sorts after v4.9.1 by number only.
            release("v4.10.0-r1", 30),
            release("v4.11.2-r1", 65),
        ],
        resources: &[
            ("v1", "Namespace", "", "ingress-nginx"),
            ("rbac.authorization.k8s.io/v1", "ClusterRole", "", "ingress-nginx"),
            ("v1", "ServiceAccount", "ingress-nginx", "ingress-nginx"),
            ("v1", "ConfigMap", "ingress-nginx", "ingress-nginx-controller"),
            ("v1", "Service", "ingress-nginx", "ingress-nginx-controller"),
            ("apps/v1", "Deployment", "ingress-nginx", "ingress-nginx-controller"),
            ("networking.k8s.io/v1", "IngressClass", "", "nginx"),
        ],
    },
    Pack {
        base: "prometheus-helm",
        chart: Some(chart("kube-prometheus-stack", "https://prometheus-community.github.io/helm-charts")),
        releases: &[release("v58.2.0-r1", 9), release("v58.2.0-r2", 37), release("v61.3.1-r1", 71)],
        resources: &[
            ("v1", "Namespace", "", "monitoring"),
            ("rbac.authorization.k8s.io/v1", "ClusterRole", "", "prometheus"),
            ("v1", "ServiceAccount", "monitoring", "prometheus"),
            ("v1", "ConfigMap", "monitoring", "prometheus-rules"),
            ("apps/v1", "StatefulSet", "monitoring", "prometheus"),
            ("apps/v1", "StatefulSet", "monitoring", "alertmanager"),
            ("apps/v1", "Deployment", "monitoring", "grafana"),
            ("apps/v1", "DaemonSet", "monitoring", "node-exporter"),
        ],
    },
    Pack {
        base: "external-dns-helm",
        chart: Some(chart("external-dns", "https://kubernetes-sigs.github.io/external-dns")),
        releases: &[
            release_to("v1.14.3-r1", 12, CENTRAL),
            release_to("v1.14.5-r1", 44, CENTRAL),
            release_to("v1.15.0-r1", 79, CENTRAL),
        ],
        resources: &[
            ("v1", "Namespace", "", "external-dns"),
            ("rbac.authorization.k8s.io/v1", "ClusterRole", "", "external-dns"),
            ("v1", "ServiceAccount", "external-dns", "external-dns"),
            ("apps/v1", "Deployment", "external-dns", "external-dns"),
        ],
    },
    Pack {
        base: "local-path-provisioner-kustomize",
        chart: None,
        releases: &[release("v0.0.26-r1", 0), release("v0.0.28-r1", 40)],
        resources: &[
            ("v1", "Namespace", "", "local-path-storage"),
            ("rbac.authorization.k8s.io/v1", "ClusterRole", "", "local-path-provisioner-role"),
            ("v1", "ServiceAccount", "local-path-storage", "local-path-provisioner-service-account"),
            ("storage.k8s.io/v1", "StorageClass", "", "local-path"),
            ("apps/v1", "Deployment", "local-path-storage", "local-path-provisioner"),
        ],
    },
    Pack {
        base: "metrics-server-kustomize",
        chart: None,
        releases: &[release("v0.7.0-r1", 6), release("v0.7.1-r1", 33), release("v0.7.2-r1", 68)],
        resources: &[
            ("v1", "ServiceAccount", "kube-system", "metrics-server"),
            ("rbac.authorization.k8s.io/v1", "ClusterRole", "", "system:metrics-server"),
            ("v1", "Service", "kube-system", "metrics-server"),
            ("apps/v1", "Deployment", "kube-system", "metrics-server"),
            ("apiregistration.k8s.io/v1", "APIService", "", "v1beta1.metrics.k8s.io"),
        ],
    },
    Pack {
        base: "minio-raw",
        chart: None,
        releases: &[release("v0.1.0-r1", 15), release_to("v0.2.0-r1", 47, NOT_EDGE_R2), release("v0.3.0-r1", 81)],
        resources: &[
            ("v1", "Namespace", "", "minio"),
            ("v1", "Secret", "minio", "minio-root"),
            ("v1", "Service", "minio", "minio"),
            ("apps/v1", "StatefulSet", "minio", "minio"),
        ],
    },
    Pack {
        base: "network-policies-raw",
        chart: None,
        releases: &[release("v1.0.0-r1", 18), release("v1.1.0-r1", 56)],
        resources: &[
            ("networking.k8s.io/v1", "NetworkPolicy", "default", "deny-all"),
            ("networking.k8s.io/v1", "NetworkPolicy", "default", "allow-dns"),
            ("networking.k8s.io/v1", "NetworkPolicy", "ingress-nginx", "allow-ingress"),
        ],
    },
];

/// What goes out of the ordinary in one rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// The middle one of three results is never seen.
    Hole,
    /// The watch begins when the third result is written.
    LateStart,
    /// Two different results of one revision.
    Fork,
    /// A resource goes missing some days later; the pack is deployed anew: an epoch reset.
    Drift,
    /// The same, but nothing helps.
    TerminalDrift,
    /// The receipt's signature does not verify.
    Unverified,
    /// A written result changes under its uid.
    Rewritten,
    /// Every attempt fails.
    Failing,
}

/// Where the scenarios happen: base pack, version, cluster.
pub const SCENARIOS: [(&str, &str, &str, Scenario); 13] = [
    ("local-path-provisioner-kustomize", "v0.0.26-r1", "edge-north", Scenario::LateStart),
    ("ingress-nginx-helm", "v4.10.0-r1", "ccs-prod-eu", Scenario::Hole),
    ("prometheus-helm", "v58.2.0-r2", "ccs-stage", Scenario::Fork),
    ("external-dns-helm", "v1.14.5-r1", "ccs-prod-us", Scenario::Unverified),
    ("metrics-server-kustomize", "v0.7.1-r1", "edge-north", Scenario::Rewritten),
    ("minio-raw", "v0.3.0-r1", "edge-r2", Scenario::Failing),
    ("cert-manager-helm", "v1.14.0-r1", "ccs-dev", Scenario::Drift),
    ("ingress-nginx-helm", "v4.9.1-r1", "edge-r2", Scenario::Drift),
    ("prometheus-helm", "v58.2.0-r1", "ccs-prod-eu", Scenario::Drift),
    ("metrics-server-kustomize", "v0.7.2-r1", "ccs-stage", Scenario::Drift),
    ("network-policies-raw", "v1.1.0-r1", "ccs-prod-us", Scenario::Drift),
    ("minio-raw", "v0.2.0-r1", "edge-north", Scenario::TerminalDrift),
    ("local-path-provisioner-kustomize", "v0.0.28-r1", "edge-r2", Scenario::TerminalDrift),
];
