//! A closed loop of load: so many requests in flight, the next one sent when one is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// What a loop measured.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Answers per second.
    pub per_second: f64,
    /// The median latency in microseconds.
    pub p50_us: u64,
    /// The 99th percentile in microseconds.
    pub p99_us: u64,
    /// How many answers were counted.
    pub answers: u64,
}

impl Measured {
    /// The measurement with the median speed of an odd number of them.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn median(mut of: Vec<Self>) -> Self {
        of.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
        of.swap_remove(of.len() / 2)
    }
}

/// Keeps `in_flight` calls of `call` going for `warm_up`, then counts for `period`. `call` gets a number of its own.
///
/// # Errors
/// The first error of a call ends the measurement: what fails is not fast.
///
/// # Panics
/// If a call panicked.
pub async fn closed_loop<F, E>(
    in_flight: usize,
    warm_up: Duration,
    period: Duration,
    call: impl Fn(u64) -> F + Send + Sync + 'static,
) -> Result<Measured, E>
where
    F: Future<Output = Result<(), E>> + Send,
    E: Send + 'static,
{
    let (call, numbers) = (Arc::new(call), Arc::new(AtomicU64::new(0)));
    let start = Instant::now() + warm_up;
    let end = start + period;
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..in_flight {
        let (call, numbers) = (call.clone(), numbers.clone());
        workers.spawn(async move {
            let mut latencies = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in order");
            while Instant::now() < end {
                let sent = Instant::now();
                call(numbers.fetch_add(1, Ordering::Relaxed)).await?;
                let answered = Instant::now();
                if sent >= start && answered <= end {
                    latencies.saturating_record(u64::try_from((answered - sent).as_micros()).unwrap_or(u64::MAX));
                }
            }
            Ok::<_, E>(latencies)
        });
    }
    let mut all = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in order");
    while let Some(joined) = workers.join_next().await {
        let latencies = match joined {
            Ok(outcome) => outcome?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        all.add(latencies).expect("both histograms have the same bounds");
    }
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 answers")]
    let per_second = all.len() as f64 / period.as_secs_f64();
    let (p50_us, p99_us) = (all.value_at_quantile(0.5), all.value_at_quantile(0.99));
    Ok(Measured { per_second, p50_us, p99_us, answers: all.len() })
}
