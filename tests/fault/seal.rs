//! The seal of an installation: the workers sign while faults come, and an auditor verifies a bundle afterwards.

use std::time::Duration;

use quotary_audit::note::{Algorithm, SignerKey};
use serde_json::Value;
use tempfile::TempDir;

use super::stage::Stage;
use crate::support::eventually;
use crate::support::installation::Installation;
use crate::support::process::quotary;

/// The log's name.
const ORIGIN: &str = "ledger.example/fault";
/// How long the seal may take to come up with a log that grows no more.
const PATIENCE: Duration = Duration::from_secs(30);

/// The key, and the folder of the last head.
pub struct Seal {
    key: SignerKey,
    folder: TempDir,
}

impl Seal {
    /// A seal for all processes of `installation` that are started from now on.
    pub fn of(installation: &mut Installation) -> Self {
        let key = SignerKey::from_seed(ORIGIN, Algorithm::Ed25519, &[5; 32]).unwrap();
        let folder = tempfile::Builder::new().prefix("quotary-fault-seal-").tempdir().unwrap();
        installation.set("QUOTARY_SEAL_KEY", &key.to_secret_text());
        installation.set("QUOTARY_SEAL_DIR", folder.path().join("head").to_str().unwrap());
        Self { key, folder }
    }

    /// Exports every checkpoint with the log and lets an auditor verify them; how many events are under the last one, or what the
    /// auditor says.
    pub async fn verify(&self, stage: &Stage, head: i64) -> Result<u64, String> {
        let pool = &stage.installation.pool;
        eventually("the log is sealed", PATIENCE, async || {
            let sealed: Option<i64> =
                sqlx::query_scalar("select max(size) from seal_checkpoints").fetch_one(pool).await.unwrap();
            (sealed == Some(head)).then_some(())
        })
        .await;
        let bundle = self.folder.path().join("bundle");
        let bundle = bundle.to_str().unwrap();
        stage.installation.run(&["audit", "export", bundle, "--all-checkpoints"]).await;
        let mut auditor = quotary();
        auditor.args(["audit", "verify", bundle, "--vkey", &self.key.verifier().to_string()]);
        let output = auditor.env_remove("DATABASE_URL").env_remove("NATS_URL").output().await.unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        match report["entries"].as_u64() {
            Some(entries) if output.status.success() && report["is_pinned"] == true => Ok(entries),
            _ => Err(format!("{report} {}", String::from_utf8_lossy(&output.stderr))),
        }
    }
}
