//! What a principal may do.

use std::fmt;
use std::str::FromStr;

/// A permission that a token carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Read everything of the tenant.
    Viewer,
    /// Create runs, decide approvals, cancel. Does not include reading.
    Operator,
    /// Everything but [`Scope::Ingest`] and [`Scope::Worker`], which are given to machines only.
    Admin,
    /// Send records, within the principal's [`IngestBinding`](super::IngestBinding).
    Ingest,
    /// Claim and report the steps of runs.
    Worker,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [Self::Viewer, Self::Operator, Self::Admin, Self::Ingest, Self::Worker];

    /// The name that tokens and documentation use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "taskrunner.viewer",
            Self::Operator => "taskrunner.operator",
            Self::Admin => "taskrunner.admin",
            Self::Ingest => "lineage.ingest",
            Self::Worker => "taskrunner.worker",
        }
    }

    /// Whether holding `self` permits what asks for `needed`.
    #[must_use]
    pub fn grants(self, needed: Self) -> bool {
        self == needed || self == Self::Admin && matches!(needed, Self::Viewer | Self::Operator)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no scope has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope `{0}`")]
pub struct UnknownScope(String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|scope| scope.name() == name).ok_or_else(|| UnknownScope(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back_and_no_other_does() {
        for scope in Scope::ALL {
            assert_eq!(scope.name().parse(), Ok(scope));
        }
        for name in ["", "viewer", "taskrunner.Viewer", "taskrunner.viewer "] {
            assert_eq!(name.parse::<Scope>(), Err(UnknownScope(name.to_owned())));
        }
    }

    #[test]
    fn admin_grants_all_but_the_scopes_of_machines_and_the_others_grant_themselves() {
        for held in Scope::ALL {
            for needed in Scope::ALL {
                let expected =
                    held == needed || held == Scope::Admin && needed != Scope::Ingest && needed != Scope::Worker;
                assert_eq!(held.grants(needed), expected, "{held} for {needed}");
            }
        }
    }
}
