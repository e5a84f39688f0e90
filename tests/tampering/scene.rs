//! A sealed log made by the running service, copies of it for each kind of tampering, and an auditor who has nothing but a
//! bundle, the log's verifier key, and sometimes a checkpoint from earlier.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::Method;
use quotary_audit::entry;
use quotary_audit::note::{Algorithm, SignerKey};
use quotary_audit::tree::{Appender, leaf_hash};
use quotary_projections::raw_log;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

use crate::kinds::Tamper;
use crate::support::api::{call, http};
use crate::support::eventually;
use crate::support::installation::Installation;
use crate::support::vendor::Vendor;

const ORIGIN: &str = "ledger.example/tampering";
const PATIENCE: Duration = Duration::from_secs(60);

/// Places in the log that tampering is about.
#[derive(Clone, Debug)]
pub struct Marks {
    /// Events that are sealed.
    pub size: u64,
    /// Where quota is sent; the event after it receives the same quota.
    pub sent: u64,
    /// The largest checkpoint below it.
    pub sealed_before: u64,
}

/// The log, and what is needed to look at copies of it.
pub struct Scene {
    /// Places in it.
    pub marks: Marks,
    installation: Installation,
    folder: TempDir,
    key: SignerKey,
}

impl Scene {
    /// Transfers, a batch of licences, and more transfers, sealed.
    pub async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = SignerKey::from_seed(ORIGIN, Algorithm::Ed25519, &[3; 32]).unwrap();
        let mut installation = Installation::new("tampering").await;
        installation.set("QUOTARY_SEAL_KEY", &key.to_secret_text());
        installation.set("QUOTARY_SEAL_DIR", folder.path().join("head").to_str().unwrap());
        let mut server = installation.start("serve").await;
        let (http, url) = (http(), server.url.clone());
        let vendor = Vendor::create(&installation, &http, &url, "acme").await;
        let anna = vendor.account(&http, &url, &vendor.token, "anna", "agent", 10_000_000).await;
        vendor.account(&http, &url, &vendor.token, "bert", "agent", 1_000).await;
        let project = vendor.project(&http, &url, "Editor").await;
        let plan = json!({ "name": "Year", "duration_days": 365, "max_machines": 2, "unit_price": 10, "features": [] });
        let plan = vendor.plan(&http, &url, &project, &plan).await;
        vendor.grant(&http, &url, &project, &anna).await;
        let transfer = async || {
            let body = json!({ "to_username": "bert", "amount": 5 });
            call(&http, &anna.token, Method::POST, &format!("{url}/v1/quota/transfers"), &body).await.expect(201);
        };
        for _ in 0..10 {
            transfer().await;
        }
        let order = json!({ "project_id": project.id, "plan_id": plan, "count": 300 });
        let ordered =
            call(&http, &anna.token, Method::POST, &format!("{url}/v1/license-batches"), &order).await.expect(202);
        let batch = format!("{url}/v1/license-batches/{}", ordered.text_of("id"));
        eventually("the batch", PATIENCE, async || {
            let answer = call(&http, &anna.token, Method::GET, &batch, &Value::Null).await;
            (answer.body["status"] == "completed").then_some(())
        })
        .await;
        for _ in 0..10 {
            transfer().await;
        }
        let marks = eventually("the seal", PATIENCE, async || marks(&installation).await).await;
        assert!(server.process.terminate().await.success());
        // Kept by the auditor from a visit.
        let note: String = sqlx::query_scalar("select note from seal_checkpoints order by size desc limit 1")
            .fetch_one(&installation.pool)
            .await
            .unwrap();
        std::fs::write(folder.path().join("kept"), note).unwrap();
        Self { marks, installation, folder, key }
    }

    /// What the auditor says about the log as it is.
    pub async fn untouched(&self) -> Value {
        self.tampered(1_000, &Tamper::Sql(&[]), true).await
    }

    /// What the auditor says about a copy that was tampered with.
    pub async fn tampered(&self, number: usize, tamper: &Tamper, kept: bool) -> Value {
        let suffix = format!("copy{number}");
        let url = self.installation.copy(&suffix).await;
        let mut superuser = PgConnection::connect(&url).await.unwrap();
        match tamper {
            Tamper::Sql(statements) => self.run(&mut superuser, statements).await,
            Tamper::TilesMadeAgain(statements) => {
                self.run(&mut superuser, statements).await;
                self.make_tiles_again(&mut superuser).await;
            }
            Tamper::SealedAgain(statements) => {
                self.run(&mut superuser, statements).await;
                self.seal_again(&url).await;
            }
        }
        superuser.close().await.unwrap();
        let bundle = self.folder.path().join(&suffix);
        let export = ["audit", "export", bundle.to_str().unwrap(), "--all-checkpoints"];
        let exported = self.installation.command(&export).env("DATABASE_URL", &url).output().await.unwrap();
        assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
        self.installation.discard(&suffix).await;
        let report = self.verify(&bundle, kept).await;
        std::fs::remove_dir_all(bundle).unwrap();
        report
    }

    async fn run(&self, superuser: &mut PgConnection, statements: &[&str]) {
        for statement in statements {
            let statement =
                statement.replace(":sent", &self.marks.sent.to_string()).replace(":size", &self.marks.size.to_string());
            sqlx::raw_sql(&statement).execute(&mut *superuser).await.unwrap_or_else(|e| panic!("{statement}: {e}"));
        }
    }

    /// The tree over the events as they are now, put in the place of the stored one.
    async fn make_tiles_again(&self, superuser: &mut PgConnection) {
        let mut leaves = vec![];
        raw_log::read(superuser, 0, self.marks.size, |event| {
            let mut bytes = vec![];
            entry::encode(&event, &mut bytes).unwrap();
            leaves.push(leaf_hash(&bytes));
        })
        .await
        .unwrap();
        sqlx::query("truncate seal_tiles").execute(&mut *superuser).await.unwrap();
        for run in Appender::default().extend(leaves) {
            sqlx::query("insert into seal_tiles values ($1, $2, $3, $4)")
                .bind(i16::try_from(run.id.level).unwrap())
                .bind(run.id.index.cast_signed())
                .bind(i16::try_from(run.first).unwrap())
                .bind(run.hashes.as_flattened())
                .execute(&mut *superuser)
                .await
                .unwrap();
        }
    }

    /// Everything sealed anew by a key of the superuser's own.
    async fn seal_again(&self, url: &str) {
        use quotary_workers::seal::heads::Heads;
        use quotary_workers::seal::{SealOptions, run};
        let pool = sqlx::PgPool::connect(url).await.unwrap();
        let key = SignerKey::from_seed(ORIGIN, Algorithm::Ed25519, &[66; 32]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = SealOptions::new(vec![key], Heads::new().in_folder(folder.path()));
        let (status, cancel) = (options.status.clone(), tokio_util::sync::CancellationToken::new());
        let sealing = tokio::spawn(run(pool.clone(), options, cancel.clone()));
        eventually("the forged seal", PATIENCE, async || (status.report().size >= self.marks.size).then_some(())).await;
        cancel.cancel();
        sealing.await.unwrap().unwrap();
        pool.close().await;
    }

    /// The auditor: another process, with no database and no network to speak to.
    async fn verify(&self, bundle: &Path, kept: bool) -> Value {
        let vkey = self.key.verifier().to_string();
        let kept: PathBuf = if kept { self.folder.path().join("kept") } else { PathBuf::new() };
        let mut command = crate::support::process::quotary();
        command.args(["audit", "verify"]).arg(bundle).args(["--vkey", &vkey]);
        if !kept.as_os_str().is_empty() {
            command.arg("--checkpoint").arg(&kept);
        }
        let output = command.env_remove("DATABASE_URL").env_remove("NATS_URL").output().await.unwrap();
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(output.status.success(), report["first"].is_null(), "the exit code says the same");
        report
    }

    /// Removes everything.
    pub async fn strike(self) {
        self.installation.finish().await;
    }
}

/// The marks, once everything is sealed.
async fn marks(installation: &Installation) -> Option<Marks> {
    let size: Option<i64> =
        sqlx::query_scalar("select max(size) from seal_checkpoints").fetch_one(&installation.pool).await.unwrap();
    let size = size.filter(|size| *size > 300)?;
    if size != installation.head().await {
        return None;
    }
    let sent: i64 = sqlx::query_scalar(
        "select position from events where event_type = 'QuotaSent' order by position offset 6 limit 1",
    )
    .fetch_one(&installation.pool)
    .await
    .unwrap();
    let before: Option<i64> = sqlx::query_scalar("select max(size) from seal_checkpoints where size < $1")
        .bind(sent)
        .fetch_one(&installation.pool)
        .await
        .unwrap();
    let number = |number: i64| number.unsigned_abs();
    Some(Marks { size: number(size), sent: number(sent), sealed_before: before.map_or(0, number) })
}
