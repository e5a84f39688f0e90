//! Memory of a million licences in the index of the verify path, each activated on one machine.

use std::time::Instant;

use chrono::{DateTime, Utc};
use quotary_domain::license::verification::{Intent, Question};
use quotary_domain::license::{Issue, LicenseEvent, LicenseTerms, Machine};
use quotary_domain::{
    AccountId, BatchId, Event, LicenseId, Metadata, PlanId, ProjectId, RecordedEvent, Sealed, TenantId,
};
use quotary_projections::license_index::{Asked, HashPrefix, LicenseIndex, verify};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::memory::resident_bytes;
use super::report::{Line, Report};
use super::scene::Failure;

const LICENSES: u64 = 1_000_000;
const LOOK_UPS: u64 = 2_000_000;

/// Fills the index from events as the feed would, and looks licences up.
///
/// # Errors
/// If memory can't be read or a licence is not found.
pub fn measure(report: &mut Report) -> Result<(), Failure> {
    let before = resident_bytes()?;
    let index = LicenseIndex::default();
    let project = ProjectId(Uuid::from_u128(1));
    let at = DateTime::from_timestamp(1_700_000_000, 0).ok_or("a time")?;
    for number in 0..LICENSES {
        for (sequence, change) in (1..).zip([issued(project, number), activated(number, at)]) {
            let event = recorded(number, sequence, at)?;
            index.apply(&event, &Event::License(change));
        }
    }
    let bytes = resident_bytes()?.saturating_sub(before);
    let start = Instant::now();
    for number in 0..LOOK_UPS {
        let number = number.wrapping_mul(7_919) % LICENSES;
        let (key, fingerprint) =
            (HashPrefix::of_hash(&hash("key", number)), HashPrefix::of_hash(&hash("machine", number)));
        let question = Question { features: &[], intent: Intent::Use, at };
        std::hint::black_box(verify(&index, &Asked { project_id: project, key, fingerprint, question }));
    }
    let with_hashes = start.elapsed().as_nanos() / u128::from(LOOK_UPS);
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 bytes")]
    let line =
        Line::plain("license_cache_1m", "bytes", bytes as f64, format!("{with_hashes} ns a look-up with two SHA-256"));
    report.add(line)?;
    Ok(())
}

fn hash(kind: &str, number: u64) -> [u8; 32] {
    Sha256::new().chain_update(kind).chain_update(number.to_be_bytes()).finalize().into()
}

fn text(hash: &[u8; 32]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash)
}

fn issued(project_id: ProjectId, number: u64) -> LicenseEvent {
    LicenseEvent::LicenseIssued(Issue {
        batch_id: BatchId(Uuid::from_u128(2)),
        project_id,
        plan_id: PlanId(Uuid::from_u128(3)),
        plan_version: 1,
        expires_at: None,
        agent_id: AccountId(Uuid::from_u128(4)),
        terms: LicenseTerms::usual(Some(365), 2, vec!["export".into()]),
        key_hash: text(&hash("key", number)),
        key: Sealed(String::new()),
    })
}

fn activated(number: u64, at: DateTime<Utc>) -> LicenseEvent {
    let machine = Machine::of(text(&hash("machine", number)));
    LicenseEvent::LicenseActivated { activated_at: at, expires_at: Some(at + chrono::TimeDelta::days(365)), machine }
}

fn recorded(number: u64, sequence: u64, at: DateTime<Utc>) -> Result<RecordedEvent, Failure> {
    // Ids as random as real ones.
    let id = Uuid::from_slice(&hash("id", number)[..16])?;
    Ok(RecordedEvent {
        position: number * 2 + sequence,
        event_id: id,
        tenant_id: TenantId(Uuid::from_u128(9)),
        aggregate_type: "License".into(),
        aggregate_id: LicenseId(id).0,
        sequence,
        event_type: String::new(),
        event_version: "1".into(),
        payload: RawValue::from_string("{}".into())?,
        metadata: Metadata::default(),
        recorded_at: at,
    })
}
