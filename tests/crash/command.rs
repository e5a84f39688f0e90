//! One command of the load: sent, sent again under the same key while its fate is unknown, and noted.
//!
//! What always holds: a command is noted as acknowledged or refused only by an answer; anything else is asked again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use quotary_commands::clock;
use serde_json::Value;
use uuid::Uuid;

use super::world::World;
use crate::support::api::Answer;
use crate::support::dice::Dice;

/// How long a command may be of unknown fate.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a client waits for news of the addresses before it tries again.
const RETRY: Duration = Duration::from_millis(100);

/// What a command does, as the one who sent it understands it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Quota from one agent to another.
    Transfer { from: usize, to: usize, amount: i64 },
    /// Quota from an agent admin's own, as a top-up.
    PaidTopUp { from: usize, to: usize, amount: i64 },
    /// New quota.
    TopUp { to: usize, amount: i64 },
    /// Licences.
    Batch { agent: usize, count: i64 },
    /// Quota to be paid out.
    Withdrawal { agent: usize, amount: i64 },
    /// The answer to a withdrawal.
    Decision { agent: usize, amount: i64, approved: bool },
}

impl Intent {
    /// The command's name in the log.
    pub fn command(self) -> &'static str {
        match self {
            Self::Transfer { .. } => "quota.transfer",
            Self::PaidTopUp { .. } | Self::TopUp { .. } => "quota.top_up",
            Self::Batch { .. } => "license_batch.request",
            Self::Withdrawal { .. } => "withdrawal.request",
            Self::Decision { approved: true, .. } => "withdrawal.approve",
            Self::Decision { approved: false, .. } => "withdrawal.refuse",
        }
    }

    /// The events that it leaves in the log when it is acknowledged.
    pub fn events(self) -> &'static [&'static str] {
        match self {
            Self::Transfer { .. } | Self::PaidTopUp { .. } => &["QuotaSent", "QuotaReceived"],
            Self::TopUp { .. } => &["QuotaToppedUp"],
            Self::Batch { .. } => &["BatchRequested", "QuotaHeld"],
            Self::Withdrawal { .. } => &["WithdrawalRequested", "QuotaHeld"],
            Self::Decision { approved: true, .. } => &["WithdrawalApproved", "HoldSettled"],
            Self::Decision { approved: false, .. } => &["WithdrawalRefused", "HoldReleased"],
        }
    }
}

/// A command to be sent.
pub struct Command<'a> {
    /// What it does.
    pub intent: Intent,
    /// Who sends it.
    pub token: &'a str,
    /// Where to.
    pub path: String,
    /// Its body.
    pub body: Value,
}

/// What became of a command.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It was acknowledged.
    Acknowledged {
        /// What `Quotary-Position` said.
        position: i64,
        /// The id in the answer.
        id: String,
        /// Whether this was the stored answer: the first one never arrived.
        replayed: bool,
    },
    /// A rule forbade it; the code.
    Refused(String),
}

/// A command and what became of it.
#[derive(Clone, Debug)]
pub struct Record {
    /// What it does.
    pub intent: Intent,
    /// What its events carry.
    pub correlation: Uuid,
    /// What became of it.
    pub fate: Fate,
    /// How often its answer did not arrive.
    pub lost_answers: u32,
}

/// Counts a request for as long as it is under way.
pub struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    /// Counts it.
    pub fn begin(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::SeqCst);
        Self(counter)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl World {
    /// Sends a command until its fate is known. Some are sent twice at the same time, as impatient clients do.
    pub async fn perform(&self, dice: &mut Dice, command: Command<'_>) -> Record {
        let (key, correlation) = (clock::new_id().to_string(), clock::new_id());
        let mut lost_answers = 0;
        let start = Instant::now();
        let fate = loop {
            let twice = dice.chance(10);
            let (first, second) = (self.address(dice).await, self.address(dice).await);
            let (one, other) = tokio::join!(self.send(&first, &command, &key, correlation), async {
                if twice { Some(self.send(&second, &command, &key, correlation).await) } else { None }
            });
            match (one, other.flatten()) {
                (Some(one), Some(other)) => {
                    assert_same(&one, &other);
                    break if matches!(one, Fate::Refused(_)) { other } else { one };
                }
                (Some(fate), None) | (None, Some(fate)) => {
                    lost_answers += u32::from(twice);
                    break fate;
                }
                (None, None) => lost_answers += 1,
            }
            assert!(start.elapsed() < PATIENCE, "the fate of {:?} stays unknown", command.intent);
            self.news().await;
        };
        if matches!(fate, Fate::Acknowledged { .. }) {
            self.acknowledged.send_modify(|count| *count += 1);
        }
        Record { intent: command.intent, correlation, fate, lost_answers }
    }

    /// An address that is up, as far as is known.
    pub async fn address(&self, dice: &mut Dice) -> String {
        let mut urls = self.urls.subscribe();
        let up = tokio::time::timeout(PATIENCE, urls.wait_for(|urls| !urls.is_empty())).await;
        dice.pick(&up.expect("nothing is up").unwrap()).clone()
    }

    /// Waits until the addresses change, but not long.
    pub async fn news(&self) {
        let mut urls = self.urls.subscribe();
        let changed = tokio::time::timeout(RETRY, urls.changed()).await;
        drop(changed);
    }

    /// Sends once; `None` if that leaves its fate unknown.
    async fn send(&self, url: &str, command: &Command<'_>, key: &str, correlation: Uuid) -> Option<Fate> {
        let request = self
            .http
            .post(format!("{url}{}", command.path))
            .bearer_auth(command.token)
            .header("idempotency-key", key)
            .header("x-correlation-id", correlation.to_string())
            .json(&command.body);
        let _under_way = UnderWay::begin(&self.in_flight);
        let answer = Answer::read(request.send().await.ok()?).await.ok()?;
        assert_ne!(answer.status, 500, "{:?}: {}", command.intent, answer.text);
        match answer.status {
            200..=299 => Some(Fate::Acknowledged {
                position: answer.header("quotary-position").parse().unwrap(),
                id: answer.text_of("id"),
                replayed: answer.header("idempotency-replayed") == "true",
            }),
            // Temporary by its own word: whether it was done is not said.
            503 => None,
            _ => Some(Fate::Refused(answer.code().to_owned())),
        }
    }
}

/// Two answers to one command must tell the same.
fn assert_same(one: &Fate, other: &Fate) {
    match (one, other) {
        (
            Fate::Acknowledged { position: a, id: x, replayed: first },
            Fate::Acknowledged { position: b, id: y, replayed: second },
        ) => {
            assert_eq!((a, x), (b, y), "one key, two effects");
            assert!(first | second, "one key, two first answers");
        }
        // A refusal is not kept: what was refused a moment ago can be possible now, and the other way round.
        (Fate::Refused(_), _) | (_, Fate::Refused(_)) => {}
    }
}
