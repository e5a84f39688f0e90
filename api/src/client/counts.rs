//! Counts of verifications by project and code, in memory.
//!
//! What must always hold: counting costs one addition to a counter that hardly any other core touches, and is never the
//! reason for a slow or a failed answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, Opts};
use quotary_domain::ProjectId;

use super::answer::Code;

/// How many sets of counters a project has; threads are spread over them.
const SHARDS: usize = 8;

static NEXT_THREAD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHARD: usize = NEXT_THREAD.fetch_add(1, Ordering::Relaxed) % SHARDS;
}

/// One set of counters, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard([AtomicU64; Code::ALL.len()]);

/// The counters of one project.
#[derive(Debug)]
pub struct ProjectCounts {
    project_id: ProjectId,
    shards: [Shard; SHARDS],
}

impl ProjectCounts {
    fn new(project_id: ProjectId) -> Self {
        Self { project_id, shards: Default::default() }
    }

    /// Counts one verification.
    pub fn add(&self, code: Code) {
        let shard = SHARD.with(|shard| *shard);
        self.shards[shard].0[code as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many verifications had this outcome.
    #[must_use]
    pub fn get(&self, code: Code) -> u64 {
        self.shards.iter().map(|shard| shard.0[code as usize].load(Ordering::Relaxed)).sum()
    }
}

/// The counters of all projects that were asked for since the process started.
#[derive(Clone, Debug)]
pub struct VerificationCounts {
    projects: Arc<Mutex<Vec<Arc<ProjectCounts>>>>,
    opts: Opts,
    desc: Desc,
}

impl VerificationCounts {
    fn build() -> Result<Self, prometheus::Error> {
        let opts =
            Opts::new("quotary_license_verifications_total", "Verifications of licence keys by project and code.");
        let labels = vec!["project_id".to_owned(), "code".to_owned()];
        let desc = Desc::new(opts.fq_name(), opts.help.clone(), labels, opts.const_labels.clone())?;
        Ok(Self { projects: Arc::default(), opts, desc })
    }

    /// The counters of a project; looked up once per API key, not per call.
    #[must_use]
    pub fn of(&self, project_id: ProjectId) -> Arc<ProjectCounts> {
        let mut projects = self.projects.lock();
        if let Some(known) = projects.iter().find(|project| project.project_id == project_id) {
            return known.clone();
        }
        let added = Arc::new(ProjectCounts::new(project_id));
        projects.push(added.clone());
        added
    }
}

impl Default for VerificationCounts {
    /// No counts yet.
    fn default() -> Self {
        Self::build().expect("the name and the labels are valid")
    }
}

impl Collector for VerificationCounts {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(family) = IntCounterVec::new(self.opts.clone(), &["project_id", "code"]) else { return vec![] };
        for project in self.projects.lock().iter() {
            let id = project.project_id.to_string();
            for code in Code::ALL {
                let count = project.get(code);
                if count > 0 {
                    family.with_label_values(&[id.as_str(), code.as_str()]).inc_by(count);
                }
            }
        }
        family.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_all_threads_add_up() {
        let counts = VerificationCounts::default();
        let project = counts.of(ProjectId::default());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| project.add(Code::Valid)));
            }
        });
        assert_eq!(counts.of(ProjectId::default()).get(Code::Valid), 4_000);
        let families = counts.collect();
        assert_eq!(families[0].get_metric().len(), 1);
    }
}
