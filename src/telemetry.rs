//! Logs and metrics.

use std::io;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::Dispatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::LogFormat;

/// Upper bounds, in seconds, of the buckets of every histogram: from an index look-up to the
/// longest an operation may take.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 10.0];

/// How often histograms are folded, see [`Metrics::maintain`].
const UPKEEP: Duration = Duration::from_secs(5);

/// Why logs or metrics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error("log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Set up twice in one process.
    #[error("logs are set up already")]
    LogsTwice,
    /// The recorder was refused, or set up twice in one process.
    #[error("metrics: {0}")]
    Metrics(#[from] BuildError),
}

/// Sends the logs of the whole process to standard error.
///
/// # Errors
/// A bad filter, or a second call.
pub fn init_logs(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let logs = logs(format, filter, io::stderr)?;
    tracing::dispatcher::set_global_default(logs).map_err(|_| TelemetryError::LogsTwice)
}

/// The subscriber behind [`init_logs`], on any writer.
///
/// # Errors
/// A bad filter.
pub fn logs<W>(format: LogFormat, filter: &str, writer: W) -> Result<Dispatch, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder =
        tracing_subscriber::fmt().with_env_filter(EnvFilter::try_new(filter)?).with_writer(writer).with_ansi(false);
    Ok(match format {
        LogFormat::Json => builder.json().flatten_event(true).into(),
        LogFormat::Text => builder.into(),
    })
}

/// The process's metrics.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Collects what the whole process counts and measures.
    ///
    /// # Errors
    /// A second call in one process.
    pub fn install() -> Result<Self, TelemetryError> {
        Ok(Self(builder()?.install_recorder()?))
    }

    /// The body of `/metrics`, in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }

    /// Folds what histograms collected, for ever: without it memory grows until somebody scrapes.
    pub async fn maintain(self) {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            self.0.run_upkeep();
        }
    }
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let logs = logs(format, filter, move || writer.clone()).unwrap();
        tracing::dispatcher::with_default(&logs, || {
            tracing::info!(rows = 3, "stored");
            tracing::debug!("detail");
        });
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_is_an_object_with_the_fields_at_its_top() {
        let text = logged(LogFormat::Json, "info");
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(line["message"], "stored");
        assert_eq!(line["rows"], 3);
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn a_text_line_has_message_and_fields_without_colour() {
        let text = logged(LogFormat::Text, "info");
        assert!(text.contains("stored rows=3"), "{text}");
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn the_filter_decides_what_is_logged() {
        assert!(!logged(LogFormat::Text, "info").contains("detail"));
        assert!(logged(LogFormat::Text, "debug").contains("detail"));
        assert_eq!(logged(LogFormat::Text, "off"), "");
        assert!(matches!(logs(LogFormat::Text, "packtrail=loud", io::sink), Err(TelemetryError::Filter(_))));
    }

    #[test]
    fn metrics_are_rendered_for_prometheus() {
        let recorder = builder().unwrap().build_recorder();
        let rendered = Metrics(recorder.handle());
        metrics::with_local_recorder(&recorder, || {
            metrics::counter!("packtrail_requests_total", "code" => "OK").increment(2);
            metrics::histogram!("packtrail_request_seconds").record(0.003);
        });
        let text = rendered.render();
        assert!(text.contains(r#"packtrail_requests_total{code="OK"} 2"#), "{text}");
        assert!(text.contains(r#"packtrail_request_seconds_bucket{le="0.005"} 1"#), "{text}");
        assert!(text.contains(r#"packtrail_request_seconds_bucket{le="0.0025"} 0"#), "{text}");
    }
}
