//! `LicenseBatch`: licences issued by one command, in chunks (rows L1, L2).
//!
//! The whole price is held when the batch is requested. Each chunk settles its part of the hold and issues its licences
//! in one atomic step together with the event here, so licences are never paid without being issued, nor the other way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::license::{self, LicenseTerms};
use crate::{AccountId, JournalId, OrderId, PlanId, ProjectId, Quota, event_names, impl_aggregate};

/// The largest batch.
pub const MAX_COUNT: u32 = 1_000_000;
/// How many licences one atomic step issues at most.
pub const CHUNK: u32 = 1_000;
/// How many licences of a refunded batch one atomic step disables at most.
pub const DISABLE_CHUNK: u32 = 500;

/// The state of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseBatch {
    /// What was asked for; `None` before.
    pub request: Option<BatchRequest>,
    /// How many licences are issued.
    pub issued: u32,
    /// How many chunks were issued.
    pub chunks: u32,
    /// Why it ended before its time.
    pub stopped: Option<StopReason>,
    /// What was paid for the licences issued.
    pub paid: Quota,
    /// What ancestors of the agent earned by it.
    pub commissions: BTreeMap<AccountId, Quota>,
    /// The payment at a provider that it was bought with.
    pub order: Option<OrderId>,
    /// The journal that took the payment back.
    pub refunded: Option<JournalId>,
    /// How many of its licences were disabled since.
    pub disabled: u32,
    /// In how many chunks.
    pub disabled_chunks: u32,
}

/// What an ancestor earned by a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earned {
    /// Who.
    pub account_id: AccountId,
    /// How much, more than zero.
    pub amount: Quota,
}

/// What a batch is asked with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRequest {
    /// Who pays and owns the licences.
    pub agent_id: AccountId,
    /// What they are for.
    pub project_id: ProjectId,
    /// The plan they are sold under.
    pub plan_id: PlanId,
    /// The plan's version.
    #[serde(default = "license::first", skip_serializing_if = "license::is_first")]
    pub plan_version: u32,
    /// What each grants.
    pub terms: LicenseTerms,
    /// 1 to [`MAX_COUNT`].
    pub count: u32,
    /// What all of them cost; zero is free.
    pub total_price: Quota,
}

/// Why a batch ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The project was disabled.
    ProjectDisabled,
    /// Its order was refunded.
    Refunded,
    /// Whoever asked for it, or stands above, wanted no more of it.
    Cancelled,
}

/// In what form keys were handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// Comma-separated values.
    Csv,
    /// Office Open XML workbook.
    Xlsx,
    /// One key a line.
    Txt,
}

/// Where a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchStatus {
    /// Licences are being issued.
    Issuing,
    /// All are issued.
    Completed,
    /// Ended before its time.
    Stopped,
}

impl BatchStatus {
    /// The status' name in columns and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issuing => "issuing",
            Self::Completed => "completed",
            Self::Stopped => "stopped",
        }
    }
}

/// What can be asked of a batch.
#[derive(Clone, Debug)]
pub enum LicenseBatchCommand {
    /// Comes into being.
    Request(BatchRequest),
    /// Notes that a chunk was issued; always in the same step as its payment and its licences.
    IssueChunk {
        /// Counts from 0; must be the next.
        chunk: u32,
        /// What ancestors of the agent earn by it, in the same step.
        commissions: Vec<Earned>,
    },
    /// Ends before its time.
    Stop(StopReason),
    /// Notes that it was bought with a payment at a provider; always in the same step as the payment's record.
    LinkOrder(OrderId),
    /// Takes the payment back; always in the same step as its postings. A batch that is being issued stops.
    Refund {
        /// The movement.
        journal_id: JournalId,
        /// The order that was refunded, if there was one.
        order_id: Option<OrderId>,
        /// Who decided; `None` for what runs by itself.
        by: Option<AccountId>,
    },
    /// Notes that a chunk of the licences of a refunded batch was disabled; always in the same step as the licences.
    DisableChunk {
        /// Counts from 0; must be the next.
        chunk: u32,
    },
    /// Notes that keys were handed out.
    RecordExport {
        /// To whom.
        by: AccountId,
        /// How.
        format: ExportFormat,
    },
}

/// What happened to a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LicenseBatchEvent {
    /// It was asked for.
    BatchRequested(BatchRequest),
    /// A chunk was issued.
    ChunkIssued {
        /// Counts from 0.
        chunk: u32,
        /// How many licences.
        count: u32,
        /// What they cost.
        amount: Quota,
        /// What ancestors of the agent earned by it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        commissions: Vec<Earned>,
    },
    /// All licences are issued.
    BatchCompleted {},
    /// It ended before its time.
    BatchStopped {
        /// Why.
        reason: StopReason,
        /// How many licences were not issued.
        remaining: u32,
    },
    /// It was bought with a payment at a provider.
    BatchLinkedToOrder {
        /// The payment.
        order_id: OrderId,
    },
    /// The payment was taken back; its licences are worth nothing any more.
    BatchRefunded {
        /// The movement.
        journal_id: JournalId,
        /// How much returned to the agent.
        amount: Quota,
        /// The order that was refunded, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order_id: Option<OrderId>,
        /// Who decided; absent for what runs by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<AccountId>,
    },
    /// A chunk of the licences of a refunded batch was disabled.
    RefundedLicensesDisabled {
        /// Counts from 0.
        chunk: u32,
        /// How many licences, those included that were disabled or revoked before.
        count: u32,
    },
    /// Keys were handed out.
    BatchExported {
        /// To whom.
        by: AccountId,
        /// How.
        format: ExportFormat,
        /// How many.
        count: u32,
    },
}

event_names!(LicenseBatchEvent {
    BatchRequested,
    ChunkIssued,
    BatchCompleted,
    BatchStopped,
    BatchLinkedToOrder,
    BatchRefunded,
    RefundedLicensesDisabled,
    BatchExported,
});

/// Why a command on a batch is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LicenseBatchError {
    /// There is no such batch.
    #[error("there is no such batch")]
    Unknown,
    /// The id is taken by another request.
    #[error("the batch exists already with another content")]
    Exists,
    /// The count is out of limits.
    #[error("count must be from 1 to {MAX_COUNT}")]
    InvalidCount,
    /// The chunk is not the next.
    #[error("chunk {asked} was asked for and {next} is next")]
    WrongChunk {
        /// What was asked for.
        asked: u32,
        /// What is next.
        next: u32,
    },
    /// The batch has ended.
    #[error("the batch is {}", .0.as_str())]
    Ended(BatchStatus),
    /// Its payment was taken back before.
    #[error("the batch was refunded before, by {0}")]
    AlreadyRefunded(JournalId),
    /// It was bought with another payment.
    #[error("the batch belongs to the order {0}")]
    OtherOrder(OrderId),
    /// Only licences of a refunded batch are disabled with it.
    #[error("the batch was not refunded")]
    NotRefunded,
}

impl_aggregate!(LicenseBatch, "LicenseBatch", LicenseBatchCommand, LicenseBatchEvent, LicenseBatchError);

/// The next chunk of a batch: which, how many licences, what they cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextChunk {
    /// Counts from 0.
    pub chunk: u32,
    /// How many licences are issued before it.
    pub first: u32,
    /// How many licences it has.
    pub count: u32,
    /// What they cost.
    pub amount: Quota,
}

/// The next chunk of licences to disable: which, and the licences' numbers within the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextDisabling {
    /// Counts from 0.
    pub chunk: u32,
    /// How many licences are disabled before it.
    pub first: u32,
    /// How many licences it has.
    pub count: u32,
}

impl LicenseBatch {
    /// Where the batch stands.
    #[must_use]
    pub fn status(&self) -> BatchStatus {
        match &self.request {
            _ if self.stopped.is_some() => BatchStatus::Stopped,
            Some(request) if self.issued == request.count => BatchStatus::Completed,
            _ => BatchStatus::Issuing,
        }
    }

    /// The next chunk to issue; `None` when the batch has ended or is unknown.
    #[must_use]
    pub fn next_chunk(&self) -> Option<NextChunk> {
        let request = self.request.as_ref()?;
        if self.status() != BatchStatus::Issuing {
            return None;
        }
        let count = CHUNK.min(request.count - self.issued);
        let before = request.total_price.share(self.issued, request.count);
        let after = request.total_price.share(self.issued + count, request.count);
        Some(NextChunk { chunk: self.chunks, first: self.issued, count, amount: after.saturating_minus(before) })
    }

    /// The next chunk of licences to disable after a refund; `None` if there is none.
    #[must_use]
    pub fn next_disabling(&self) -> Option<NextDisabling> {
        self.refunded?;
        let count = DISABLE_CHUNK.min(self.issued.saturating_sub(self.disabled));
        let next = NextDisabling { chunk: self.disabled_chunks, first: self.disabled, count };
        (count > 0).then_some(next)
    }

    fn decisions(&self, command: LicenseBatchCommand) -> Result<Vec<LicenseBatchEvent>, LicenseBatchError> {
        let Some(request) = &self.request else {
            return match command {
                LicenseBatchCommand::Request(request) if !(1..=MAX_COUNT).contains(&request.count) => {
                    Err(LicenseBatchError::InvalidCount)
                }
                LicenseBatchCommand::Request(request) => Ok(vec![LicenseBatchEvent::BatchRequested(request)]),
                _ => Err(LicenseBatchError::Unknown),
            };
        };
        match command {
            LicenseBatchCommand::Request(same) if same == *request => Ok(vec![]),
            LicenseBatchCommand::Request(_) => Err(LicenseBatchError::Exists),
            LicenseBatchCommand::IssueChunk { chunk: asked, commissions } => match self.next_chunk() {
                None => Err(LicenseBatchError::Ended(self.status())),
                Some(next) if next.chunk != asked => Err(LicenseBatchError::WrongChunk { asked, next: next.chunk }),
                Some(NextChunk { chunk, first, count, amount }) => {
                    let issued = LicenseBatchEvent::ChunkIssued { chunk, count, amount, commissions };
                    let last = first + count == request.count;
                    Ok(if last { vec![issued, LicenseBatchEvent::BatchCompleted {}] } else { vec![issued] })
                }
            },
            LicenseBatchCommand::Stop(reason) => match self.status() {
                BatchStatus::Issuing => {
                    Ok(vec![LicenseBatchEvent::BatchStopped { reason, remaining: request.count - self.issued }])
                }
                BatchStatus::Stopped => Ok(vec![]),
                ended @ BatchStatus::Completed => Err(LicenseBatchError::Ended(ended)),
            },
            LicenseBatchCommand::LinkOrder(order_id) => match self.order {
                Some(known) if known == order_id => Ok(vec![]),
                Some(known) => Err(LicenseBatchError::OtherOrder(known)),
                None => match self.refunded {
                    Some(journal) => Err(LicenseBatchError::AlreadyRefunded(journal)),
                    None => Ok(vec![LicenseBatchEvent::BatchLinkedToOrder { order_id }]),
                },
            },
            LicenseBatchCommand::Refund { journal_id, order_id, by } => self.refund(request, journal_id, order_id, by),
            LicenseBatchCommand::DisableChunk { chunk: asked } => match self.next_disabling() {
                None if self.refunded.is_none() => Err(LicenseBatchError::NotRefunded),
                None => Err(LicenseBatchError::WrongChunk { asked, next: self.disabled_chunks }),
                Some(next) if next.chunk != asked => Err(LicenseBatchError::WrongChunk { asked, next: next.chunk }),
                Some(NextDisabling { chunk, count, .. }) => {
                    Ok(vec![LicenseBatchEvent::RefundedLicensesDisabled { chunk, count }])
                }
            },
            LicenseBatchCommand::RecordExport { by, format } => {
                Ok(vec![LicenseBatchEvent::BatchExported { by, format, count: self.issued }])
            }
        }
    }

    fn refund(
        &self,
        request: &BatchRequest,
        journal_id: JournalId,
        order_id: Option<OrderId>,
        by: Option<AccountId>,
    ) -> Result<Vec<LicenseBatchEvent>, LicenseBatchError> {
        if let Some(known) = self.refunded {
            return Err(LicenseBatchError::AlreadyRefunded(known));
        }
        if let Some(known) = self.order.filter(|known| Some(*known) != order_id) {
            return Err(LicenseBatchError::OtherOrder(known));
        }
        let mut events = Vec::with_capacity(2);
        if self.status() == BatchStatus::Issuing {
            let remaining = request.count - self.issued;
            events.push(LicenseBatchEvent::BatchStopped { reason: StopReason::Refunded, remaining });
        }
        events.push(LicenseBatchEvent::BatchRefunded { journal_id, amount: self.paid, order_id, by });
        Ok(events)
    }

    fn evolve(&mut self, event: LicenseBatchEvent) {
        match event {
            LicenseBatchEvent::BatchRequested(request) => self.request = Some(request),
            LicenseBatchEvent::ChunkIssued { count, amount, commissions, .. } => {
                self.issued += count;
                self.chunks += 1;
                self.paid = self.paid.saturating_plus(amount);
                for Earned { account_id, amount } in commissions {
                    let earned = self.commissions.entry(account_id).or_default();
                    *earned = earned.saturating_plus(amount);
                }
            }
            LicenseBatchEvent::BatchLinkedToOrder { order_id } => self.order = Some(order_id),
            LicenseBatchEvent::BatchRefunded { journal_id, .. } => self.refunded = Some(journal_id),
            LicenseBatchEvent::RefundedLicensesDisabled { count, .. } => {
                self.disabled += count;
                self.disabled_chunks += 1;
            }
            LicenseBatchEvent::BatchStopped { reason, .. } => self.stopped = Some(reason),
            LicenseBatchEvent::BatchCompleted {} | LicenseBatchEvent::BatchExported { .. } => {}
        }
    }

    /// The journal of a batch's refund: the same whoever asks for it.
    #[must_use]
    pub fn refund_journal_of(batch: crate::BatchId) -> JournalId {
        JournalId::derived(batch.0, "refund")
    }

    /// The journal of a chunk's payment: the same however often it is tried.
    #[must_use]
    pub fn journal_of(batch: crate::BatchId, chunk: u32) -> JournalId {
        JournalId::derived(batch.0, &format!("chunk-{chunk}"))
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::Aggregate as _;
    use uuid::Uuid;

    use super::*;
    use crate::Aggregate as _;

    fn request(count: u32, total: i64) -> BatchRequest {
        BatchRequest {
            agent_id: AccountId(Uuid::from_u128(1)),
            project_id: ProjectId(Uuid::from_u128(2)),
            plan_id: PlanId(Uuid::from_u128(3)),
            plan_version: 1,
            terms: LicenseTerms::usual(None, 1, vec![]),
            count,
            total_price: Quota::new(total).unwrap(),
        }
    }

    #[test]
    fn chunks_add_up_to_the_count_and_the_price() {
        let mut batch = LicenseBatch::default();
        batch.apply(LicenseBatchEvent::BatchRequested(request(2_500, 9_999)));
        let (mut count, mut paid) = (0, 0);
        while let Some(next) = batch.next_chunk() {
            count += next.count;
            paid += next.amount.minor_units();
            for event in
                batch.decide(LicenseBatchCommand::IssueChunk { chunk: next.chunk, commissions: vec![] }).unwrap()
            {
                batch.apply(event);
            }
        }
        assert_eq!((count, paid, batch.status()), (2_500, 9_999, BatchStatus::Completed));
    }

    #[test]
    fn a_chunk_is_issued_once() {
        let mut batch = LicenseBatch::default();
        batch.apply(LicenseBatchEvent::BatchRequested(request(2_500, 0)));
        for event in batch.decide(LicenseBatchCommand::IssueChunk { chunk: 0, commissions: vec![] }).unwrap() {
            batch.apply(event);
        }
        assert_eq!(
            batch.decide(LicenseBatchCommand::IssueChunk { chunk: 0, commissions: vec![] }),
            Err(LicenseBatchError::WrongChunk { asked: 0, next: 1 })
        );
    }

    /// The batch after a command that is not refused.
    fn after(mut batch: LicenseBatch, command: LicenseBatchCommand) -> LicenseBatch {
        for event in batch.decide(command).unwrap() {
            batch.apply(event);
        }
        batch
    }

    fn refund(order_id: Option<OrderId>) -> LicenseBatchCommand {
        LicenseBatchCommand::Refund { journal_id: JournalId(Uuid::from_u128(9)), order_id, by: None }
    }

    #[test]
    fn a_batch_is_refunded_once_for_what_was_paid() {
        let journal_id = JournalId(Uuid::from_u128(9));
        let batch = after(LicenseBatch::default(), LicenseBatchCommand::Request(request(2_000, 100)));
        let batch = after(batch, LicenseBatchCommand::IssueChunk { chunk: 0, commissions: vec![] });
        let events = batch.decide(refund(None)).unwrap();
        let amount = Quota::new(50).unwrap();
        assert_eq!(
            events,
            [
                LicenseBatchEvent::BatchStopped { reason: StopReason::Refunded, remaining: 1_000 },
                LicenseBatchEvent::BatchRefunded { journal_id, amount, order_id: None, by: None },
            ]
        );
        let batch = after(batch, refund(None));
        assert_eq!(batch.decide(refund(None)), Err(LicenseBatchError::AlreadyRefunded(journal_id)));
        assert_eq!(batch.next_chunk(), None, "nothing is issued after a refund");
    }

    #[test]
    fn a_batch_with_an_order_is_refunded_with_its_order_alone() {
        let (order, other) = (OrderId(Uuid::from_u128(5)), OrderId(Uuid::from_u128(6)));
        let batch = after(LicenseBatch::default(), LicenseBatchCommand::Request(request(10, 0)));
        let batch = after(batch, LicenseBatchCommand::LinkOrder(order));
        assert_eq!(batch.decide(LicenseBatchCommand::LinkOrder(order)), Ok(vec![]));
        let refused = Err(LicenseBatchError::OtherOrder(order));
        assert_eq!(batch.decide(LicenseBatchCommand::LinkOrder(other)), refused);
        assert_eq!(batch.decide(refund(None)), refused);
        assert_eq!(batch.decide(refund(Some(other))), refused);
        assert!(batch.decide(refund(Some(order))).is_ok());
    }

    #[test]
    fn the_licences_of_a_refunded_batch_are_disabled_chunk_by_chunk_to_the_last() {
        let batch = after(LicenseBatch::default(), LicenseBatchCommand::Request(request(2_500, 0)));
        let batch = after(batch, LicenseBatchCommand::IssueChunk { chunk: 0, commissions: vec![] });
        let disable = |chunk| LicenseBatchCommand::DisableChunk { chunk };
        assert_eq!(batch.decide(disable(0)), Err(LicenseBatchError::NotRefunded));
        let mut batch = after(batch, refund(None));
        while let Some(next) = batch.next_disabling() {
            assert_eq!((next.chunk, next.first), (batch.disabled_chunks, batch.disabled));
            let wrong = LicenseBatchError::WrongChunk { asked: next.chunk + 1, next: next.chunk };
            assert_eq!(batch.decide(disable(next.chunk + 1)), Err(wrong));
            batch = after(batch, disable(next.chunk));
        }
        assert_eq!((batch.disabled, batch.disabled_chunks), (1_000, 2));
        assert_eq!(batch.decide(disable(2)), Err(LicenseBatchError::WrongChunk { asked: 2, next: 2 }));
    }
}
