//! The one thread that starts children.
//!
//! What always holds: the thread lives as long as the process. The kernel sends a child's parent-death signal when the
//! *thread* that started it ends, so a child started from a runtime's worker thread could be ended for no reason.

use std::io;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

static JOBS: Mutex<Option<mpsc::Sender<Job>>> = Mutex::new(None);

/// Starts `command` on the thread that lives as long as the process.
///
/// A caller that goes away before the child is there leaves no child behind.
pub(super) async fn spawn(mut command: Command) -> io::Result<Child> {
    let (answer, started) = oneshot::channel();
    submit(Box::new(move || {
        if let Err(Ok(mut unwanted)) = answer.send(command.spawn())
            && let Err(error) = unwanted.kill().and_then(|()| unwanted.wait())
        {
            tracing::warn!(%error, pid = unwanted.id(), "a child nobody waits for could not be ended");
        }
    }))?;
    started.await.map_err(|_| io::Error::other("the thread that starts children is gone"))?
}

fn submit(job: Job) -> io::Result<()> {
    let mut jobs = JOBS.lock().unwrap_or_else(PoisonError::into_inner);
    let sender = match jobs.as_ref() {
        Some(sender) => sender.clone(),
        None => jobs.insert(start()?).clone(),
    };
    sender.send(job).map_err(|_| io::Error::other("the thread that starts children is gone"))
}

fn start() -> io::Result<mpsc::Sender<Job>> {
    let (sender, jobs) = mpsc::channel::<Job>();
    thread::Builder::new().name("quotary-spawner".to_owned()).spawn(move || {
        for job in jobs {
            job();
        }
    })?;
    Ok(sender)
}
