//! Asks the second signer, and never waits for it longer than said.

use std::time::Duration;

use quotary_audit::note::{Note, Signature};
use quotary_audit::tree::Hash;
use quotary_audit::witness;

use super::Witness;

/// An answer is a few lines.
const MAX_ANSWER: usize = 64 * 1024;

/// Why the witness has not signed.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// It did not answer in time, or is out of reach.
    #[error("the witness did not answer")]
    Silent(#[source] Option<reqwest::Error>),
    /// It starts from another size.
    #[error("the witness has seen {0} events")]
    OtherSize(u64),
    /// It has seen another history.
    #[error("the witness has seen another history ({0})")]
    Forked(u16),
    /// It refused for another reason.
    #[error("the witness answered with {0}")]
    Refused(u16),
    /// What it sent is not its cosignature.
    #[error("the witness sent no cosignature of its key")]
    NoSignature,
}

/// The client for all requests.
pub(super) fn client() -> reqwest::Client {
    reqwest::Client::builder().connect_timeout(Duration::from_secs(1)).build().unwrap_or_default()
}

/// Asks for a cosignature of `note`, which `proof` shows to continue the `old` events that the witness has seen.
pub(super) async fn ask(
    http: &reqwest::Client,
    witness: &Witness,
    old: u64,
    proof: &[Hash],
    note: &Note,
) -> Result<Signature, WitnessError> {
    let asking = async {
        let url = format!("{}/add-checkpoint", witness.url.trim_end_matches('/'));
        let answer = http.post(url).body(witness::request(old, proof, note)).send().await?;
        let status = answer.status().as_u16();
        Ok::<_, reqwest::Error>((status, answer.text().await?))
    };
    let answered = tokio::time::timeout(witness.within, asking).await.map_err(|_| WitnessError::Silent(None))?;
    let (status, body) = answered.map_err(|error| WitnessError::Silent(Some(error)))?;
    match status {
        200 if body.len() <= MAX_ANSWER => {
            let mut lines = body.lines().filter_map(Signature::from_line);
            let is_its_own = |signature: &Signature| witness.key.check(note.text(), signature).is_ok();
            lines.find(is_its_own).ok_or(WitnessError::NoSignature)
        }
        // 409 is an older or newer size with that size, or another root at the same size without one to go on from.
        409 => match body.trim().parse() {
            Ok(seen) if seen != old => Err(WitnessError::OtherSize(seen)),
            _ => Err(WitnessError::Forked(status)),
        },
        422 => Err(WitnessError::Forked(status)),
        _ => Err(WitnessError::Refused(status)),
    }
}
