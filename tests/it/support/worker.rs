//! A worker in the test's own hands.

use std::sync::Arc;
use std::time::Duration;

use packtrail::domain::run::{Completed, FileWanted};
use packtrail::service::run::work::{Abilities, Claim, FileReport, Granted, Report};
use packtrail::service::run::{RunError, Runs};
use serde_json::Value;

/// A claim of everything that there is to do.
pub fn claim(max: usize) -> Claim {
    Claim { worker: "w".to_owned(), abilities: Abilities::new(["*".to_owned()], []), max, lease_seconds: 30 }
}

/// Claims what there is to do now.
pub async fn claimed(runs: &Runs, tenant: &str, max: usize) -> Vec<Granted> {
    runs.claim(&Arc::from(tenant), "worker", &claim(max), Duration::ZERO).await.unwrap()
}

/// Takes one step of a run, by its number, and gives back what else there is; the token, and the parameters.
pub async fn begin(runs: &Runs, tenant: &str, run_id: &str, n: usize) -> (String, Value) {
    let mut found = None;
    for granted in claimed(runs, tenant, 100).await {
        let number = granted.token.split('.').nth(1).unwrap();
        if granted.run_id == run_id && number == n.to_string() {
            found = Some((granted.token, granted.with));
        } else {
            runs.report(tenant, "worker", &granted.token, Report::Released).await.unwrap();
        }
    }
    found.unwrap_or_else(|| panic!("step {n} of {run_id} is not to be had"))
}

/// Ends a step that was taken. It left no files behind.
pub async fn end(runs: &Runs, tenant: &str, token: &str, ended: Completed) {
    let report = match ended {
        Completed::Succeeded(outputs) => {
            let report = |files| Report::Completed { outputs: outputs.clone(), files };
            match runs.report(tenant, "worker", token, report(Vec::new())).await {
                Err(RunError::FilesWanted(wanted)) => report(wanted.into_iter().map(missing).collect()),
                done => return done.unwrap(),
            }
        }
        Completed::Failed { error, is_retryable } => Report::Failed { error, is_retryable },
    };
    runs.report(tenant, "worker", token, report).await.unwrap();
}

fn missing(file: FileWanted) -> FileReport {
    FileReport { name: file.name, digest: None, note: None }
}

/// Does one step of a run.
pub async fn work(runs: &Runs, tenant: &str, run_id: &str, n: usize, outputs: Value) {
    let (token, _) = begin(runs, tenant, run_id, n).await;
    end(runs, tenant, &token, Completed::Succeeded(outputs)).await;
}
