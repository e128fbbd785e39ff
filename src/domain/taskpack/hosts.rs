//! The hosts that steps reach.

use super::errors::Errors;
use super::fields::Fields;

/// The longest host with its port, in bytes.
const MAX_HOST: usize = 260;

/// Reads a list of hosts, each with at most a port, in lower case.
pub(super) fn read(fields: &mut Fields<'_>, name: &'static str, errors: &mut Errors) -> Vec<(String, String)> {
    let mut hosts = fields.texts(name, MAX_HOST, errors);
    for (path, host) in &mut hosts {
        *host = host.to_ascii_lowercase();
        if !is_host(host) {
            errors.add(path.as_str(), "must be a host, or a host and a port: registry.example.com:443");
        }
    }
    hosts
}

/// Whether a list allows a host: an entry without a port allows every port.
pub(super) fn allows(list: &[String], host: &str) -> bool {
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    list.iter().any(|entry| entry == host || entry == name)
}

fn is_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "1"));
    let port_is_good = !port.starts_with(['0', '+']) && port.parse::<u16>().is_ok();
    port_is_good && name.len() <= 253 && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}
