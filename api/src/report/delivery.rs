//! A report on its way to the client.
//!
//! What must always hold: an error in the middle breaks the connection off; a client that takes nothing, or takes forever,
//! holds neither the rows' source nor a place among the reports that are made at a time; a client that goes away ends it.

use std::fs::File;
use std::io::Read as _;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::{Format, Ready, Report, ReportError, Row, Rows, csv_rows, pdf, xlsx};

/// How many reports are made at a time; each holds a connection to the database. More wait for their turn.
const AT_A_TIME: usize = 4;
/// How long a client may take nothing.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a report may take from its turn to its end.
const LONGEST: Duration = Duration::from_secs(3_600);
/// Parts that are ready and wait for the client.
const WAITING: usize = 2;
/// Runs of rows between their source and the writer of a file.
const RUNS: usize = 2;
/// Bytes of a file in one part.
const PART: usize = 256 * 1_024;

static REPORTS: Semaphore = Semaphore::const_new(AT_A_TIME);

/// The body of a report; `parts` is how many documents a PDF has.
pub(super) fn body(report: Report, format: Format, parts: u64) -> Body {
    sent(|client| make(report, format, parts, client))
}

/// The body of a document whose bytes come ready-made.
pub(super) fn ready(bytes: Ready) -> Body {
    sent(|client| pass_on(bytes, client))
}

/// What a maker gives its client.
fn sent<M>(maker: impl FnOnce(Client) -> M) -> Body
where
    M: Future<Output = Result<(), ReportError>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(WAITING);
    let maker = AbortOnDropHandle::new(tokio::spawn(maker(Client { sender })));
    let parts = stream::try_unfold((receiver, Some(maker)), |(mut receiver, maker)| async move {
        if let Some(part) = receiver.recv().await {
            return Ok(Some((part, (receiver, maker))));
        }
        // No more parts: only the maker knows whether that is the end.
        match maker {
            Some(maker) => maker.await?.map(|()| None),
            None => Ok(None),
        }
    });
    Body::from_stream(parts.inspect_err(|error: &ReportError| {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::error!(%error, cause, "a report broke off");
    }))
}

/// Whoever takes the parts.
struct Client {
    sender: mpsc::Sender<Bytes>,
}

impl Client {
    async fn take(&self, part: Bytes) -> Result<(), ReportError> {
        match timeout(PATIENCE, self.sender.send(part)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(ReportError::Gone),
            Err(_) => Err(ReportError::Stalled),
        }
    }
}

async fn make(report: Report, format: Format, parts: u64, client: Client) -> Result<(), ReportError> {
    let _turn = REPORTS.acquire().await?;
    let making = async {
        match format {
            Format::Csv => make_csv(report, &client).await,
            Format::Xlsx => {
                let Report { title, sheet, facts, columns, rows, .. } = report;
                let frame = xlsx::Frame { title, sheet, facts, columns };
                make_file(rows, &client, move |rows| xlsx::write(&frame, rows)).await
            }
            Format::Pdf => {
                let Report { title, file_name, facts, columns, rows, .. } = report;
                let frame = pdf::Frame { title, file_name, facts, columns };
                make_file(rows, &client, move |rows| pdf::write(&frame, parts, rows)).await
            }
        }
    };
    timeout_at(Instant::now() + LONGEST, making).await.unwrap_or(Err(ReportError::TookTooLong))
}

async fn pass_on(mut bytes: Ready, client: Client) -> Result<(), ReportError> {
    let _turn = REPORTS.acquire().await?;
    let passing = async {
        while let Some(part) = bytes.next().await {
            client.take(part?).await?;
        }
        Ok(())
    };
    timeout_at(Instant::now() + LONGEST, passing).await.unwrap_or(Err(ReportError::TookTooLong))
}

async fn make_csv(report: Report, client: &Client) -> Result<(), ReportError> {
    let (columns, mut rows) = (report.columns, report.rows);
    client.take(csv_rows::write(columns, &[], true)?.into()).await?;
    while let Some(run) = rows.next().await {
        client.take(csv_rows::write(columns, &run?, false)?.into()).await?;
    }
    Ok(())
}

/// Makes a whole file first, so that the source of the rows waits for no client, and sends it.
async fn make_file(
    mut rows: Rows,
    client: &Client,
    write: impl FnOnce(mpsc::Receiver<Vec<Row>>) -> Result<File, ReportError> + Send + 'static,
) -> Result<(), ReportError> {
    let (runs, receiver) = mpsc::channel(RUNS);
    let writer = tokio::task::spawn_blocking(move || write(receiver));
    while let Some(run) = rows.next().await {
        // A writer that ended has an error to tell.
        if client.sender.is_closed() || runs.send(run?).await.is_err() {
            break;
        }
    }
    drop((runs, rows));
    let mut file = writer.await??;
    loop {
        let (part, rest) = tokio::task::spawn_blocking(move || next_part(file)).await??;
        if part.is_empty() {
            return Ok(());
        }
        client.take(part).await?;
        file = rest;
    }
}

/// The next bytes of a file; none at its end.
fn next_part(mut file: File) -> Result<(Bytes, File), ReportError> {
    let mut part = Vec::with_capacity(PART);
    (&mut file).take(PART as u64).read_to_end(&mut part)?;
    Ok((part.into(), file))
}
