//! What a step is held to, and whether that can be kept: the worker refuses what it cannot enforce.

use super::config::Enforcement;
use super::protocol::{RunSandbox, SandboxMode, StepLease};

/// Refuses a step for a command that does not enforce what the step is held to.
///
/// # Errors
/// The reason, as the server is told it.
pub fn check(lease: &StepLease, enforces: &[Enforcement]) -> Result<(), String> {
    let Some(sandbox) = &lease.sandbox else { return Ok(()) };
    if sandbox.mode == SandboxMode::Sealed {
        let stranger = lease.egress.iter().find(|host| !allows(&sandbox.egress_allowlist, host));
        if let Some(host) = stranger {
            return Err(format!("egress-not-allowed: {host}"));
        }
    }
    let missing: Vec<&str> =
        needs(sandbox, &lease.egress).filter(|need| !enforces.contains(need)).map(Enforcement::as_str).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("sandbox-not-enforceable: {}", missing.join(", "))) }
}

fn needs(sandbox: &RunSandbox, egress: &[String]) -> impl Iterator<Item = Enforcement> {
    let is_sealed = sandbox.mode == SandboxMode::Sealed;
    let needs = [
        (is_sealed, Enforcement::Sealed),
        (is_sealed && !egress.is_empty(), Enforcement::Egress),
        (sandbox.cpu_limit_millicores.is_some(), Enforcement::Cpu),
        (sandbox.memory_limit_mib.is_some(), Enforcement::Memory),
    ];
    needs.into_iter().filter_map(|(is_needed, need)| is_needed.then_some(need))
}

/// Whether a list allows a host: an entry without a port allows every port.
fn allows(list: &[String], host: &str) -> bool {
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    list.iter().any(|entry| entry.eq_ignore_ascii_case(host) || entry.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lease(sandbox: &serde_json::Value, egress: &[&str]) -> StepLease {
        serde_json::from_value(json!({
            "token": "t", "runId": "r", "stepId": "s", "attempt": 1, "uses": "scan", "with": {}, "policy": null,
            "sandbox": sandbox, "egress": egress, "secrets": [], "captures": [], "leaseSeconds": 30,
        }))
        .unwrap()
    }

    #[test]
    fn a_step_without_a_sandbox_is_served() {
        assert_eq!(check(&lease(&json!(null), &["a"]), &[]), Ok(()));
    }

    #[test]
    fn each_limit_needs_its_enforcement() {
        use Enforcement::{Cpu, Egress, Memory, Sealed};

        let sealed = json!({"mode": "SEALED", "egressAllowlist": ["a"]});
        let limited = json!({"mode": "OPEN", "egressAllowlist": [], "cpuLimitMillicores": 1, "memoryLimitMiB": 1});
        for (sandbox, egress, enforces, refusal) in [
            (&sealed, &[][..], &[][..], "sandbox-not-enforceable: sealed"),
            (&sealed, &["a:443"], &[Sealed], "sandbox-not-enforceable: egress"),
            (&sealed, &["b"], &[Sealed, Egress], "egress-not-allowed: b"),
            (&limited, &["b"], &[Cpu], "sandbox-not-enforceable: memory"),
            (&limited, &[], &[], "sandbox-not-enforceable: cpu, memory"),
        ] {
            assert_eq!(check(&lease(sandbox, egress), enforces), Err(refusal.to_owned()));
        }
        assert_eq!(check(&lease(&sealed, &["A:443"]), &[Sealed, Egress]), Ok(()));
        assert_eq!(check(&lease(&limited, &["b"]), &[Cpu, Memory]), Ok(()));
    }
}
