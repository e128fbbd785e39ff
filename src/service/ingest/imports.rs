//! Reports of runs among the items of requests: written apart from the records, answered in their places.

use crate::service::run::import::{Reported, Told, write};
use crate::storage::{Store, StoreError};

use super::batch::Request;
use super::item::{Item, ItemResult, Outcome, Prepared, Refusal};

/// What became of the reports among some items, by the places of the items in all requests together.
pub struct Imports(Vec<(usize, Told)>);

impl Imports {
    /// Writes the reports of requests to one source.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn write(
        store: &Store,
        tenant: &str,
        source: &str,
        requests: &[Request<'_>],
        now: i64,
    ) -> Result<Self, StoreError> {
        let items = requests.iter().flat_map(|request| request.items.iter().map(|item| (request.principal, item)));
        let mut places = Vec::new();
        let mut reported = Vec::new();
        for (place, (principal, prepared)) in items.enumerate() {
            if let Item::Imported(item) = &prepared.item {
                places.push(place);
                reported.push(Reported { principal, item });
            }
        }
        if reported.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let told = write(store, tenant, source, &reported, now).await?;
        Ok(Self(places.into_iter().zip(told).collect()))
    }

    /// Puts what became of them into the results of all items.
    pub fn tell(self, results: &mut [Vec<ItemResult>]) {
        let mut all: Vec<&mut ItemResult> = results.iter_mut().flatten().collect();
        for (place, told) in self.0 {
            tell(all[place], told);
        }
    }
}

/// The results of requests that are nothing but reports: those of nothing new; `None` if there is anything else.
pub fn alone(requests: &[Request<'_>]) -> Option<Vec<Vec<ItemResult>>> {
    let is_report = |prepared: &Prepared| matches!(prepared.item, Item::Imported(_));
    let all = requests.iter().flat_map(|request| request.items).all(is_report);
    all.then(|| requests.iter().map(|request| request.items.iter().map(Prepared::unchanged).collect()).collect())
}

fn tell(result: &mut ItemResult, told: Told) {
    let refused = match told {
        Told::Created(seq) | Told::Updated(seq) => {
            let is_new = matches!(told, Told::Created(_));
            result.outcome = if is_new { Outcome::Created } else { Outcome::Updated };
            result.seq = Some(seq);
            return;
        }
        Told::Duplicate => return,
        Told::Exists => ("RUN_EXISTS", "a run of this server has this name"),
        Told::OfOtherSource => ("RUN_OF_OTHER_SOURCE", "another source reports the run of this name"),
        Told::TooLarge => ("RUN_TOO_LARGE", "the run has more steps, or more to be kept, than there is room for"),
        Told::Failed => ("WRITE_FAILED", "the run could not be written"),
    };
    result.outcome = Outcome::Rejected;
    result.error = Some(Refusal {
        code: refused.0.to_owned(),
        path: "$.runId".to_owned(),
        line: None,
        message: refused.1.to_owned(),
    });
}
