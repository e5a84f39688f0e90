//! `GET /metrics`: figures of this process for Prometheus.
//!
//! Labels have few values: routes are templates, never paths.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use parking_lot::RwLock;
use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::problem::Problem;
use crate::state::AppState;

/// A figure that another part of the process gives when asked: its name, what it is, and its value.
pub type Gauge = (&'static str, &'static str, i64);
type Source = Arc<dyn Fn() -> Vec<Gauge> + Send + Sync>;

/// The figures.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    head: IntGauge,
    lag: IntGaugeVec,
    sources: Arc<RwLock<Vec<Source>>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics(…)")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let build = || -> Result<Self, prometheus::Error> {
            let labels = ["method", "route", "status"];
            let seconds = HistogramOpts::new("quotary_http_request_seconds", "time that requests took")
                .buckets(vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0]);
            let metrics = Self {
                registry: Registry::new(),
                requests: IntCounterVec::new(Opts::new("quotary_http_requests_total", "requests answered"), &labels)?,
                seconds: HistogramVec::new(seconds, &labels[..2])?,
                head: IntGauge::new("quotary_log_head", "position of the newest event of the log")?,
                lag: IntGaugeVec::new(
                    Opts::new("quotary_projection_lag_events", "events that a read model does not contain yet"),
                    &["projection"],
                )?,
                sources: Arc::default(),
            };
            metrics.registry.register(Box::new(metrics.requests.clone()))?;
            metrics.registry.register(Box::new(metrics.seconds.clone()))?;
            metrics.registry.register(Box::new(metrics.head.clone()))?;
            metrics.registry.register(Box::new(metrics.lag.clone()))?;
            Ok(metrics)
        };
        build().expect("the names are valid and there once")
    }
}

impl Metrics {
    /// The registry, for metrics of other parts.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Adds figures that are asked for at each scrape, e.g. how far the relay is behind.
    pub fn add_source(&self, source: impl Fn() -> Vec<Gauge> + Send + Sync + 'static) {
        self.sources.write().push(Arc::new(source));
    }

    /// Counts an answered request.
    pub fn record(&self, method: &str, route: &str, status: u16, took: Duration) {
        let status = status.to_string();
        self.requests.with_label_values(&[method, route, &status]).inc();
        self.seconds.with_label_values(&[method, route]).observe(took.as_secs_f64());
    }
}

/// The figures in the text format of Prometheus.
///
/// # Errors
/// If the database can't be read.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "text/plain")))]
pub async fn handle(State(state): State<AppState>) -> Result<Response, Problem> {
    let metrics = &state.metrics;
    let (head, checkpoints): (i64, Vec<(String, i64)>) = tokio::try_join!(
        sqlx::query_scalar("select position from log_head").fetch_one(&state.pool),
        sqlx::query_as("select name, checkpoint from projections where state = 'serving'").fetch_all(&state.pool),
    )?;
    metrics.head.set(head);
    metrics.lag.reset();
    for (name, checkpoint) in checkpoints {
        metrics.lag.with_label_values(&[&name]).set((head - checkpoint).max(0));
    }
    let mut text = Vec::new();
    let encoder = TextEncoder::new();
    encoder.encode(&metrics.registry.gather(), &mut text).map_err(|error| Problem::internal(&error))?;
    let figures: Vec<Gauge> = metrics.sources.read().clone().iter().flat_map(|source| source()).collect();
    for (name, help, value) in figures {
        text.extend_from_slice(format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n").as_bytes());
    }
    Ok(([(header::CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response())
}
