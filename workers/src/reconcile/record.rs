//! Writes what a comparison found: its differences beside the log, its cases and its end into the log.
//!
//! What always holds: a completed run has all its differences and cases, because its end is written last; a run that is
//! taken up again begins anew and opens nothing twice, because a case's id follows from what it is about; and the state
//! from which an incremental run begins has the digest that stands in the log's event of the run that left it.

use std::collections::{BTreeMap, HashSet};

use quotary_audit::entry;
use quotary_commands::{CommandError, Commands, Context, Refusal, clock};
use quotary_domain::case::{Sighting, Subject};
use quotary_domain::reconciliation::{Class, IncompleteReason, ReconciliationEvent, RunKind, RunOutcome, RunSubject};
use quotary_domain::{CaseId, ReconciliationId, TenantId};
use quotary_projections::cases;
use quotary_projections::reconciliations::INSTALLATION;
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

use super::compare::{Compared, Difference, Incomplete, Options, compare};
use super::proof::Proof;

/// The most cases that one run opens; further differences stand in the run alone.
pub const MAX_CASES: usize = 1_000;
/// The size of a part of the saved state.
const PART: usize = 1 << 20;
/// A larger state is not kept: the next run is a full one.
const MAX_STATE: usize = 1 << 30;
/// How many earlier runs' digests a full run compares with.
const EARLIER: i64 = 500;

/// Why a result could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// PostgreSQL refused or is out of reach.
    #[error("the result can't be written beside the log")]
    Database(#[from] sqlx::Error),
    /// A command was refused or not answered.
    #[error("the result can't be written into the log")]
    Command(#[from] CommandError<Refusal>),
}

/// How runs end.
pub type Ended = Result<Compared, Incomplete>;

/// Runs comparisons and writes what they find.
#[derive(Clone, Debug)]
pub struct Recorder {
    commands: Commands,
    pool: PgPool,
    options: Options,
}

/// The end of an earlier run, as the log says.
struct Earlier {
    run: Uuid,
    outcome: RunOutcome,
}

impl Recorder {
    /// Over a write side and a database.
    #[must_use]
    pub fn new(commands: Commands, pool: PgPool) -> Self {
        Self { commands, pool, options: Options::default() }
    }

    /// With other bounds.
    #[must_use]
    pub fn with(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// Asks for a run.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn request(&self, tenant: TenantId, full: bool) -> Result<ReconciliationId, RecordError> {
        let context = Context::system(tenant, "reconciliation.request", clock::now());
        let done = self.commands.request_reconciliation(&context, RunSubject::Internal { full }).await?;
        Ok(done.value.id)
    }

    /// Makes a run that was asked for, and writes how it ended.
    ///
    /// # Errors
    /// [`RecordError`] if the result can't be written; the run stays on the list then.
    pub async fn run(&self, tenant: TenantId, id: ReconciliationId, full: bool) -> Result<Ended, RecordError> {
        let earlier = earlier(&self.pool).await?;
        let known_digests = earlier
            .iter()
            .filter_map(|it| Some((it.outcome.position, it.outcome.log_digest.clone()?)))
            .collect::<BTreeMap<_, _>>();
        let from = if full { Ok(Proof::default()) } else { last_proof(&self.pool, &earlier).await? };
        let from = match from {
            Ok(from) => from,
            Err(detail) => {
                // What was kept is not what the last run left. It is thrown away, so that the next run is a full one.
                sqlx::query("delete from reconciliation_snapshots").execute(&self.pool).await?;
                self.abandon(tenant, id, IncompleteReason::SnapshotAltered, detail.clone()).await?;
                return Ok(Err(Incomplete::Snapshot(detail)));
            }
        };
        let options = Options { known_digests, ..self.options.clone() };
        let ended = compare(&self.pool, from, &options).await;
        match &ended {
            Ok(compared) => self.complete(tenant, id, compared).await?,
            Err(incomplete) => self.abandon(tenant, id, incomplete.reason(), incomplete.to_string()).await?,
        }
        Ok(ended)
    }

    async fn abandon(
        &self,
        tenant: TenantId,
        id: ReconciliationId,
        reason: IncompleteReason,
        detail: String,
    ) -> Result<(), RecordError> {
        tracing::error!(run = %id, reason = reason.as_str(), detail, "the reconciliation could not be completed");
        let context = Context::system(tenant, "reconciliation.abandon", clock::now());
        self.commands.abandon_reconciliation(&context, id, reason, Some(detail)).await?;
        Ok(())
    }

    async fn complete(&self, tenant: TenantId, id: ReconciliationId, compared: &Compared) -> Result<(), RecordError> {
        // A tenant's run speaks of the tenant alone, though the whole log was read.
        let concerns = |it: &&Difference| tenant == INSTALLATION || it.tenant_id == tenant.0;
        let own: Vec<&Difference> = compared.differences.iter().filter(concerns).collect();
        let cases = self.open_cases(id, &own).await?;
        self.write_differences(id, &own, &cases).await?;
        let seen: HashSet<CaseId> = own.iter().map(|it| case_of(it)).collect();
        for (owner, case) in cases::open(&self.pool, RunKind::Internal, None).await? {
            if !seen.contains(&case) && (tenant == INSTALLATION || owner == tenant) {
                let context = Context::system(owner, "case.vanish", clock::now());
                self.commands.vanish_case(&context, case, id).await?;
            }
        }
        let counts = if tenant == INSTALLATION {
            compared.counts.clone()
        } else {
            own.iter().fold(BTreeMap::<Class, u64>::new(), |mut counts, it| {
                *counts.entry(it.class).or_default() += 1;
                counts
            })
        };
        let state = compared.state.as_ref().filter(|(bytes, _)| bytes.len() <= MAX_STATE);
        if let Some((bytes, _)) = state {
            self.keep_state(id, compared.position, bytes).await?;
        }
        let report = serde_json::to_vec(&own).unwrap_or_default();
        let outcome = RunOutcome {
            from_position: compared.from_position,
            position: compared.position,
            checked: compared.checked,
            counts,
            state_digest: state.map(|(_, digest)| digest.clone()),
            log_digest: Some(compared.log_digest.clone()).filter(|digest| !digest.is_empty()),
            report_digest: Some(entry::hex(&Sha256::digest(&report))),
        };
        let context = Context::system(tenant, "reconciliation.complete", clock::now());
        self.commands.complete_reconciliation(&context, id, outcome).await?;
        if state.is_some() {
            // Only now does the log name the new state; the old one was good until here.
            sqlx::query("delete from reconciliation_snapshots where run_id <> $1")
                .bind(id.0)
                .execute(&self.pool)
                .await?;
        }
        Ok(())
    }

    /// Opens a case for each difference, up to [`MAX_CASES`]; answers those that there are.
    async fn open_cases(
        &self,
        id: ReconciliationId,
        differences: &[&Difference],
    ) -> Result<HashSet<CaseId>, RecordError> {
        let mut opened = HashSet::new();
        for difference in differences.iter().take(MAX_CASES) {
            let context = Context {
                correlation_id: Some(id.0),
                ..Context::system(TenantId(difference.tenant_id), "case.see", clock::now())
            };
            let seen = Sighting {
                run_id: id,
                ours: difference.ours.clone(),
                theirs: difference.theirs.clone(),
                amount: difference.amount,
            };
            let done = self.commands.see_case(&context, subject(difference), seen).await?;
            opened.insert(done.value.id);
        }
        Ok(opened)
    }

    async fn write_differences(
        &self,
        id: ReconciliationId,
        differences: &[&Difference],
        cases: &HashSet<CaseId>,
    ) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        // What a run left that died on the way is not part of this one.
        sqlx::query("delete from reconciliation_differences where run_id = $1")
            .bind(id.0)
            .execute(&mut *transaction)
            .await?;
        let mut first = 1_i64;
        for part in differences.chunks(5_000) {
            let of = |text: fn(&Difference) -> Option<String>| -> Vec<Option<String>> {
                part.iter().map(|it| text(it)).collect()
            };
            let case_ids: Vec<Option<Uuid>> = part
                .iter()
                .map(|it| Some(case_of(it)).filter(|case| cases.contains(case)).map(|case| case.0))
                .collect();
            sqlx::query(
                "insert into reconciliation_differences
                     (run_id, line, tenant_id, class, source, key, ours, theirs, amount, position, case_id)
                 select $1, $2 + n.place - 1, n.tenant, n.class, n.source, n.key, n.ours, n.theirs, n.amount, n.position,
                        n.case_id
                 from unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[],
                             $10::bigint[], $11::uuid[])
                      with ordinality as n (tenant, class, source, key, ours, theirs, amount, position, case_id, place)",
            )
            .bind(id.0)
            .bind(first)
            .bind(part.iter().map(|it| it.tenant_id).collect::<Vec<_>>())
            .bind(part.iter().map(|it| it.class.as_str()).collect::<Vec<_>>())
            .bind(of(|it| Some(it.source.clone())))
            .bind(of(|it| Some(it.key.clone())))
            .bind(of(|it| it.ours.clone()))
            .bind(of(|it| it.theirs.clone()))
            .bind(part.iter().map(|it| it.amount).collect::<Vec<_>>())
            .bind(part.iter().map(|it| it.position.map(u64::cast_signed)).collect::<Vec<_>>())
            .bind(case_ids)
            .execute(&mut *transaction)
            .await?;
            first += i64::try_from(part.len()).unwrap_or(i64::MAX);
        }
        transaction.commit().await
    }

    async fn keep_state(&self, id: ReconciliationId, position: u64, bytes: &[u8]) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("delete from reconciliation_snapshots where run_id = $1")
            .bind(id.0)
            .execute(&mut *transaction)
            .await?;
        for (part, bytes) in (0_i32..).zip(bytes.chunks(PART)) {
            sqlx::query("insert into reconciliation_snapshots (run_id, part, position, bytes) values ($1, $2, $3, $4)")
                .bind(id.0)
                .bind(part)
                .bind(position.cast_signed())
                .bind(bytes)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }
}

/// How earlier runs of the log ended, the newest first. Which there are is taken from the read model, what they say from the
/// log itself.
async fn earlier(pool: &PgPool) -> Result<Vec<Earlier>, sqlx::Error> {
    let runs: Vec<(Uuid,)> = sqlx::query_as(
        "select run_id from read.reconciliations where kind = 'internal' and status = 'completed'
         order by position desc limit $1",
    )
    .bind(EARLIER)
    .fetch_all(pool)
    .await?;
    let ids: Vec<String> = runs.iter().map(|(id,)| id.to_string()).collect();
    let events: Vec<(String, String)> = sqlx::query_as(
        "select aggregate_id, payload::text from events
         where aggregate_type = 'Reconciliation' and aggregate_id = any($1) and sequence = 2",
    )
    .bind(&ids)
    .fetch_all(pool)
    .await?;
    let said: BTreeMap<String, String> = events.into_iter().collect();
    let ends = ids.iter().zip(&runs).filter_map(|(text, (run,))| match serde_json::from_str(said.get(text)?).ok()? {
        ReconciliationEvent::ReconciliationCompleted(outcome) => Some(Earlier { run: *run, outcome }),
        _ => None,
    });
    Ok(ends.collect())
}

/// The state that the last run kept; a new one if none did, and an error text if it is not what the log says.
async fn last_proof(pool: &PgPool, earlier: &[Earlier]) -> Result<Result<Proof, String>, sqlx::Error> {
    let kept = earlier.iter().find_map(|it| Some((it.run, it.outcome.state_digest.as_ref()?)));
    let Some((run, digest)) = kept else { return Ok(Ok(Proof::default())) };
    let parts: Vec<(Vec<u8>,)> =
        sqlx::query_as("select bytes from reconciliation_snapshots where run_id = $1 order by part")
            .bind(run)
            .fetch_all(pool)
            .await?;
    if parts.is_empty() {
        // Nothing is kept any more; that hides nothing, since the run begins at the log's start.
        return Ok(Ok(Proof::default()));
    }
    let bytes: Vec<u8> = parts.into_iter().flat_map(|(bytes,)| bytes).collect();
    if entry::hex(&Sha256::digest(&bytes)) != *digest {
        return Ok(Err(format!("the state that run {run} left is not the one that the log names")));
    }
    Ok(match Proof::load(&bytes) {
        Ok(proof) => Ok(proof),
        // Another version's state is no error: the run is a full one.
        Err(error) => {
            tracing::info!(%error, "the replay's state is of another version");
            Ok(Proof::default())
        }
    })
}

/// Compares without writing anything: for those who can only read.
///
/// # Errors
/// [`Incomplete`]: not a pass.
pub async fn compare_only(pool: &PgPool, full: bool) -> Result<Ended, sqlx::Error> {
    let earlier = earlier(pool).await?;
    let from = if full { Ok(Proof::default()) } else { last_proof(pool, &earlier).await? };
    let from = match from {
        Ok(from) => from,
        Err(detail) => return Ok(Err(Incomplete::Snapshot(detail))),
    };
    let known_digests =
        earlier.iter().filter_map(|it| Some((it.outcome.position, it.outcome.log_digest.clone()?))).collect();
    Ok(compare(pool, from, &Options { save: false, known_digests, ..Options::default() }).await)
}

fn subject(difference: &Difference) -> Subject {
    Subject {
        kind: RunKind::Internal,
        source: difference.source.clone(),
        class: difference.class,
        key: difference.key.clone(),
    }
}

fn case_of(difference: &Difference) -> CaseId {
    CaseId::of(TenantId(difference.tenant_id), &subject(difference))
}
