use anyhow::Result; use crate::{Bench, measure::Line};
pub async fn run(_b: &Bench) -> Result<Vec<Line>> { Ok(vec![]) }
