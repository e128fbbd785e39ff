//! Runs of task packs: each command changes one run in one transaction, under the lock of its row.

mod import;
mod lease;
mod log;
mod objective;
mod read;
mod write;

use sqlx::FromRow;

use super::error::StoreError;
use crate::domain::run::Run;
use crate::domain::taskpack::Plan;

pub use import::{FoundImport, ImportChange, LockedImport};
pub use lease::{LeaseKey, LeaseState, NewLease, QueueDepth, StoredLease, Upload};
pub use objective::TenantQueue;
pub use read::{
    ApprovalFilter, ApprovalPlace, DueRun, RunFilter, RunPlace, StoredApproval, StoredRun, StoredTransition,
};
pub use write::{Creation, Live, LockedRun, NewRun, RunChange, RunEdge, RunTx, RunVertex};

/// The largest plan or manifest that is read back, in bytes: far above what is taken.
const MAX_UNPACKED: usize = 64 << 20;

#[derive(FromRow)]
struct State {
    state: String,
}

fn pack(bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    zstd::bulk::compress(bytes, 0).map_err(|_| corrupt("what cannot be packed"))
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    zstd::bulk::decompress(bytes, MAX_UNPACKED).map_err(|_| corrupt("a packed part"))
}

fn read_plan(bytes: &[u8]) -> Result<Plan, StoreError> {
    serde_json::from_slice(&unpack(bytes)?).map_err(|_| corrupt("a plan"))
}

fn read_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| corrupt("a state"))
}

fn write_json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| corrupt("what cannot be written"))
}

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(format!("{what} of a run"))
}

/// When the time has something to do with a run.
fn due(run: &Run) -> Option<i64> {
    let waiting = run.approvals.values().filter(|a| a.status == crate::domain::run::ApprovalStatus::Waiting);
    waiting.filter_map(|approval| approval.expires_at).min()
}
