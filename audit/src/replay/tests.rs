//! A history with every kind of movement is accepted; each way to break it is found where it is.

use serde_json::{Value, json};

use super::*;

/// An event as it stands in the log.
#[derive(Clone)]
struct Row {
    position: u64,
    event_id: Uuid,
    tenant: Uuid,
    kind: String,
    id: String,
    sequence: u64,
    event_type: String,
    payload: Value,
    at: i64,
}

/// Builds a log step by step: events of one step are a microsecond apart, steps a second.
#[derive(Clone, Default)]
struct Log(Vec<Row>);

const TENANT: u128 = 0x7e;

fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn id(n: u128) -> String {
    uuid(n).to_string()
}

impl Log {
    fn step(&mut self, events: &[(&str, u128, Value)]) -> &mut Self {
        let start = self.0.last().map_or(1_700_000_000_000_000, |row| row.at + 1_000_000);
        for (at, (kind, stream, payload)) in (start..).zip(events) {
            let stream = id(*stream);
            let sequence = self.0.iter().filter(|row| row.kind == *kind && row.id == stream).count() as u64 + 1;
            let position = self.0.len() as u64 + 1;
            self.0.push(Row {
                position,
                event_id: uuid(0xe000_0000 + u128::from(position)),
                tenant: uuid(TENANT),
                kind: (*kind).to_owned(),
                id: stream,
                sequence,
                event_type: payload.as_object().unwrap().keys().next().unwrap().clone(),
                payload: payload.clone(),
                at,
            });
        }
        self
    }

    fn replay(&self, mut replay: Replay) -> Result<Replay, Finding> {
        for row in &self.0 {
            let payload = row.payload.to_string();
            replay.check(&Entry {
                position: row.position,
                event_id: row.event_id,
                tenant_id: row.tenant,
                aggregate_type: &row.kind,
                aggregate_id: &row.id,
                sequence: row.sequence,
                event_type: &row.event_type,
                event_version: "1",
                recorded_at: row.at,
                payload: &payload,
                metadata: "{}",
            })?;
        }
        Ok(replay)
    }

    fn check(&self) -> Result<Summary, Finding> {
        self.replay(Replay::default())?.finish()
    }

    /// The place of the `nth` event of that type.
    fn place(&self, event_type: &str, nth: usize) -> usize {
        self.0.iter().enumerate().filter(|(_, row)| row.event_type == event_type).nth(nth).unwrap().0
    }
}

// Agents 1 (seller), 2 (its parent), 3; admins 8 and 9; project 20, plan 21.
fn terms() -> Value {
    json!({"duration_days": 30, "max_machines": 1})
}

fn license(batch: u128, key: &str) -> Value {
    json!({"LicenseIssued": {"batch_id": id(batch), "project_id": id(20), "plan_id": id(21), "agent_id": id(1),
        "terms": terms(), "key_hash": key, "key": "v1.k.x"}})
}

fn batch(count: u32, price: u64) -> Value {
    json!({"BatchRequested": {"agent_id": id(1), "project_id": id(20), "plan_id": id(21), "terms": terms(),
        "count": count, "total_price": price}})
}

fn account(name: &str, role: &str, ancestors: &[u128]) -> Value {
    let ancestors: Vec<_> = ancestors.iter().map(|n| id(*n)).collect();
    json!({"AccountCreated": {"username": name, "role": role, "ancestors": ancestors}})
}

/// A log with every kind of movement, each in order.
#[expect(clippy::too_many_lines, reason = "a history is read from top to bottom")]
fn history() -> Log {
    let q = "AgentQuota";
    let sales = json!({"sales": {"project_id": id(20), "batch_id": id(30)}});
    let refund = json!({"batch": id(30)});
    let mut log = Log::default();
    log.step(&[("Tenant", TENANT, json!({"TenantCreated": {"name": "Paint"}}))])
        .step(&[("Account", 2, account("anna", "agent_admin", &[]))])
        .step(&[("Account", 1, account("bob", "agent", &[2]))])
        .step(&[(q, 1, json!({"QuotaToppedUp": {"journal_id": id(101), "amount": 1000}}))])
        .step(&[
            (q, 1, json!({"QuotaSent": {"journal_id": id(102), "kind": "transfer", "to": id(3), "amount": 100}})),
            (q, 3, json!({"QuotaReceived": {"journal_id": id(102), "kind": "transfer", "from": id(1), "amount": 100}})),
        ])
        // A batch of three, paid in two chunks, the parent earns; then it is refunded.
        .step(&[
            ("LicenseBatch", 30, batch(3, 100)),
            (q, 1, json!({"QuotaHeld": {"hold_id": id(30), "amount": 100, "purpose": {"batch": id(30)}}})),
        ])
        .step(&[
            (
                "LicenseBatch",
                30,
                json!({"ChunkIssued": {"chunk": 0, "count": 2, "amount": 66,
                "commissions": [{"account_id": id(2), "amount": 6}]}}),
            ),
            (q, 1, json!({"HoldSettled": {"hold_id": id(30), "journal_id": id(103), "amount": 66, "to": sales}})),
            (
                q,
                2,
                json!({"CommissionEarned": {"journal_id": id(103), "amount": 6, "project_id": id(20),
                "batch_id": id(30), "seller": id(1), "level": 1}}),
            ),
            ("License", 41, license(30, "k1")),
            ("License", 42, license(30, "k2")),
        ])
        .step(&[
            ("LicenseBatch", 30, json!({"ChunkIssued": {"chunk": 1, "count": 1, "amount": 34}})),
            ("LicenseBatch", 30, json!({"BatchCompleted": {}})),
            (q, 1, json!({"HoldSettled": {"hold_id": id(30), "journal_id": id(104), "amount": 34, "to": sales}})),
            ("License", 43, license(30, "k3")),
        ])
        .step(&[(
            "License",
            41,
            json!({"LicenseActivated": {"activated_at": "2026-01-01T00:00:00Z",
            "expires_at": "2026-01-31T00:00:00Z", "machine": {"fingerprint_hash": "m1"}}}),
        )])
        .step(&[
            ("LicenseBatch", 30, json!({"BatchRefunded": {"journal_id": id(105), "amount": 100, "by": id(9)}})),
            (
                q,
                1,
                json!({"QuotaGivenBack": {"journal_id": id(105), "reverses": refund, "amount": 100, "origin": sales}}),
            ),
            (
                q,
                2,
                json!({"QuotaTakenBack": {"journal_id": id(105), "reverses": refund, "amount": 6, "origin": sales}}),
            ),
        ])
        .step(&[
            ("License", 41, json!({"LicenseDisabled": {}})),
            ("License", 42, json!({"LicenseDisabled": {}})),
            ("License", 43, json!({"LicenseDisabled": {}})),
            ("LicenseBatch", 30, json!({"RefundedLicensesDisabled": {"chunk": 0, "count": 3}})),
        ])
        // A suspended transfer of which a part is let go.
        .step(&[
            (
                "Transfer",
                50,
                json!({"TransferSuspended": {"kind": "transfer", "from": id(1), "to": id(3), "amount": 80,
                "asked_by": id(1), "reasons": [{"amount_above": {"limit": 50}}]}}),
            ),
            (q, 1, json!({"QuotaHeld": {"hold_id": id(50), "amount": 80, "purpose": {"transfer": id(50)}}})),
        ])
        .step(&[
            ("Transfer", 50, json!({"TransferReleased": {"by": id(9), "amount": 60}})),
            (
                q,
                1,
                json!({"HoldSettled": {"hold_id": id(50), "journal_id": id(50), "amount": 60,
                "to": {"agent": {"account_id": id(3), "kind": "transfer"}}}}),
            ),
            (q, 3, json!({"QuotaReceived": {"journal_id": id(50), "kind": "transfer", "from": id(1), "amount": 60}})),
            (q, 1, json!({"HoldReleased": {"hold_id": id(50), "journal_id": id(106), "amount": 20}})),
        ])
        // The transfer of 100 is reversed in part.
        .step(&[
            (
                "Reversal",
                102,
                json!({"JournalReversed": {"journal_id": id(107), "reverses": id(102), "amount": 40,
                "reason": "typed twice", "by": id(9)}}),
            ),
            (
                q,
                3,
                json!({"QuotaTakenBack": {"journal_id": id(107), "reverses": {"journal": id(102)}, "amount": 40,
                "origin": {"agent": {"account_id": id(1)}}}}),
            ),
            (
                q,
                1,
                json!({"QuotaGivenBack": {"journal_id": id(107), "reverses": {"journal": id(102)}, "amount": 40,
                "origin": {"agent": {"account_id": id(3)}}}}),
            ),
        ])
        // A withdrawal that is released, approved and paid; one that expires.
        .step(&[
            (
                "Withdrawal",
                60,
                json!({"WithdrawalRequested": {"agent_id": id(1), "amount": 70, "payee": "v1.k.x",
                "reasons": [{"night": {"limit": 1}}]}}),
            ),
            (q, 1, json!({"QuotaHeld": {"hold_id": id(60), "amount": 70, "purpose": {"withdrawal": id(60)}}})),
        ])
        .step(&[("Withdrawal", 60, json!({"WithdrawalReleased": {"by": id(8), "amount": 70}}))])
        .step(&[
            ("Withdrawal", 60, json!({"WithdrawalApproved": {"by": id(9)}})),
            (
                q,
                1,
                json!({"HoldSettled": {"hold_id": id(60), "journal_id": id(108), "amount": 70,
                "to": {"paid_out": {"withdrawal_id": id(60)}}}}),
            ),
        ])
        .step(&[("Withdrawal", 60, json!({"WithdrawalPaid": {"by": id(9)}}))])
        .step(&[
            (
                "Withdrawal",
                61,
                json!({"WithdrawalRequested": {"agent_id": id(1), "amount": 5, "payee": "v1.k.x",
                "reasons": [{"night": {"limit": 1}}], "expires_at": "2023-11-14T22:13:21Z"}}),
            ),
            (
                q,
                1,
                json!({"QuotaHeld": {"hold_id": id(61), "amount": 5, "purpose": {"withdrawal": id(61)},
                "expires_at": "2023-11-14T22:13:21Z"}}),
            ),
        ])
        .step(&[
            ("Withdrawal", 61, json!({"WithdrawalExpired": {}})),
            (q, 1, json!({"HoldExpired": {"hold_id": id(61), "journal_id": id(109), "amount": 5}})),
        ])
        .step(&[("License", 41, json!({"LicenseRevoked": {}}))])
        .step(&[(
            "Order",
            70,
            json!({"OrderPaid": {"provider": "alipay", "provider_order_id": "1", "amount": 9,
            "currency": "CNY", "paid_at": "2026-01-01T00:00:00Z", "agent_id": id(1)}}),
        )])
        .step(&[("Order", 70, json!({"OrderRefunded": {"amount": 9, "refunded_at": "2026-01-02T00:00:00Z"}}))]);
    log
}

#[test]
fn a_history_that_keeps_every_rule_is_accepted_and_added_up() {
    let summary = history().check().unwrap();
    assert_eq!(summary.topped_up, 1000);
    assert_eq!((summary.sold, summary.paid_out, summary.held), (0 - 6 + 6, 70, 0));
    assert_eq!(summary.available, 930);
    assert_eq!((summary.licenses, summary.commissions, summary.refunded, summary.reversed), (3, 6, 100, 40));
    assert_eq!((summary.expired_holds, summary.open_holds, summary.orders), (1, 0, 1));
}

/// What is found, and at which position.
fn found(change: impl FnOnce(&mut Log)) -> (Kind, u64) {
    let mut log = history();
    change(&mut log);
    let finding = log.check().expect_err("something is wrong");
    (finding.kind, finding.position)
}

/// Changes a field of the `nth` event of a type; what is found, and whether it is found at that event.
fn with(event_type: &str, nth: usize, field: &str, value: Value) -> Kind {
    let mut log = history();
    let place = log.place(event_type, nth);
    let row = &mut log.0[place];
    row.payload[event_type.to_owned()][field] = value;
    let step_end = log.0.len() as u64;
    let finding = log.check().expect_err("something is wrong");
    assert!((1..=step_end).contains(&finding.position));
    finding.kind
}

#[test]
fn order_ids_streams_and_shapes_are_checked() {
    assert_eq!(found(|log| drop(log.0.remove(3))), (Kind::Position, 5));
    assert_eq!(found(|log| log.0.swap(3, 7)), (Kind::Position, 8));
    assert_eq!(found(|log| log.0[3].at = log.0[2].at), (Kind::Time, 4));
    assert_eq!(found(|log| log.0[3].event_id = log.0[2].event_id), (Kind::EventTwice, 4));
    assert_eq!(found(|log| log.0[3].sequence = 2), (Kind::StreamOrder, 4));
    assert_eq!(found(|log| log.0[4].tenant = uuid(5)), (Kind::StreamTenant, 5));
    assert_eq!(found(|log| log.0[3].kind = "Nothing".into()), (Kind::UnknownEvent, 4));
    assert_eq!(found(|log| log.0[3].event_type = "QuotaSent".into()), (Kind::UnknownEvent, 4));
    assert_eq!(found(|log| log.0[3].payload["QuotaToppedUp"]["more"] = json!(1)), (Kind::Shape, 4));
    assert_eq!(found(|log| log.0[3].payload["QuotaToppedUp"]["amount"] = json!(-1)), (Kind::Shape, 4));
    assert_eq!(found(|log| log.0[3].id = log.0[3].id.to_uppercase().replace('1', "A")).0, Kind::Shape);
}

#[test]
fn a_stream_of_two_tenants_is_found() {
    let mut log = history();
    let place = log.place("LicenseRevoked", 0);
    log.0[place].tenant = uuid(5);
    assert_eq!(log.check().unwrap_err().kind, Kind::StreamTenant);
}

#[test]
fn a_movement_with_other_amounts_or_half_of_it_is_found() {
    assert_eq!(with("QuotaReceived", 0, "amount", json!(99)), Kind::Half);
    assert_eq!(with("QuotaReceived", 0, "from", json!(id(2))), Kind::Half);
    // The second half in a step of its own.
    assert_eq!(
        found(|log| {
            for row in &mut log.0[5..] {
                row.at += 10;
            }
        }),
        (Kind::Half, 5)
    );
}

#[test]
fn balances_holds_and_journals_are_checked() {
    assert_eq!(with("QuotaToppedUp", 0, "amount", json!(150)), Kind::Negative);
    assert_eq!(with("QuotaToppedUp", 0, "amount", json!(0)), Kind::Amount);
    assert_eq!(with("HoldSettled", 0, "amount", json!(101)), Kind::HoldAmount);
    assert_eq!(with("HoldSettled", 0, "hold_id", json!(id(31))), Kind::HoldUnknown);
    assert_eq!(with("HoldReleased", 0, "amount", json!(19)), Kind::HoldAmount);
    assert_eq!(with("QuotaHeld", 1, "hold_id", json!(id(30))), Kind::HoldState);
    assert_eq!(with("HoldSettled", 1, "journal_id", json!(id(103))), Kind::JournalReused);
    assert_eq!(with("QuotaHeld", 3, "expires_at", json!("2033-11-14T22:13:21Z")), Kind::ExpiredEarly);
    assert_eq!(with("WithdrawalRequested", 1, "expires_at", json!("2033-11-14T22:13:21Z")), Kind::ExpiredEarly);
}

#[test]
fn a_hold_that_ended_does_not_come_again() {
    let mut log = history();
    log.step(&[(
        "AgentQuota",
        1,
        json!({"QuotaHeld": {"hold_id": id(50), "amount": 1, "purpose": {"transfer": id(50)}}}),
    )]);
    assert_eq!(log.check().unwrap_err().kind, Kind::HoldReused);
}

#[test]
fn decisions_move_the_hold_and_are_made_by_others() {
    assert_eq!(with("TransferReleased", 0, "by", json!(id(3))), Kind::Party);
    assert_eq!(with("TransferReleased", 0, "amount", json!(61)), Kind::HoldState);
    assert_eq!(with("WithdrawalApproved", 0, "by", json!(id(8))), Kind::Party);
    assert_eq!(with("WithdrawalApproved", 0, "by", json!(id(1))), Kind::Party);
    assert_eq!(with("WithdrawalReleased", 0, "amount", json!(60)), Kind::HoldState);
    assert_eq!(with("TransferSuspended", 0, "reasons", json!([])), Kind::State);
}

#[test]
fn a_decision_that_comes_twice_or_out_of_turn_is_found() {
    for (kind, stream, payload) in [
        ("Transfer", 50, json!({"TransferRefused": {"by": id(9)}})),
        ("Withdrawal", 60, json!({"WithdrawalCancelled": {}})),
        ("Withdrawal", 61, json!({"WithdrawalPaid": {"by": id(9)}})),
        ("License", 41, json!({"LicenseRevoked": {}})),
        ("License", 41, json!({"LicenseEnabled": {}})),
        ("LicenseBatch", 30, json!({"BatchStopped": {"reason": "refunded", "remaining": 0}})),
        ("Account", 1, json!({"AccountEnabled": {}})),
    ] {
        let mut log = history();
        log.step(&[(kind, stream, payload.clone())]);
        let finding = log.check().expect_err("something is wrong");
        assert_eq!((finding.kind, finding.position), (Kind::State, log.0.len() as u64), "{payload}");
    }
}

#[test]
fn reversals_refunds_and_commissions_are_bound_to_their_originals() {
    assert_eq!(with("JournalReversed", 0, "amount", json!(101)), Kind::Reversal);
    assert_eq!(with("JournalReversed", 0, "reverses", json!(id(103))), Kind::Reversal);
    assert_eq!(with("BatchRefunded", 0, "amount", json!(101)), Kind::Refund);
    assert_eq!(with("BatchRefunded", 0, "amount", json!(99)), Kind::Refund);
    assert_eq!(with("RefundedLicensesDisabled", 0, "count", json!(4)), Kind::Refund);
    assert_eq!(with("RefundedLicensesDisabled", 0, "chunk", json!(1)), Kind::Refund);
    assert_eq!(with("CommissionEarned", 0, "amount", json!(7)), Kind::Commission);
    assert_eq!(with("CommissionEarned", 0, "seller", json!(id(3))), Kind::Commission);
    assert_eq!(with("CommissionEarned", 0, "level", json!(2)), Kind::Commission);
    assert_eq!(with("OrderRefunded", 0, "amount", json!(10)), Kind::Refund);
    let mut log = history();
    log.step(&[
        ("LicenseBatch", 30, json!({"BatchRefunded": {"journal_id": id(110), "amount": 100, "by": id(9)}})),
        (
            "AgentQuota",
            1,
            json!({"QuotaGivenBack": {"journal_id": id(110), "reverses": {"batch": id(30)}, "amount": 100,
            "origin": {"sales": {"project_id": id(20), "batch_id": id(30)}}}}),
        ),
    ]);
    assert_eq!(log.check().unwrap_err().kind, Kind::Refund);
}

/// The history under a rule: agent 3 was given 100 more; 80 of it is taken back by two people, then a batch refunded.
fn careful() -> Log {
    let mut log = history();
    log.step(&[("RiskPolicy", TENANT, json!({"RiskRulesSet": {"rules": {"second_person_above": 50}, "by": id(8)}}))])
        .step(&[("AgentQuota", 3, json!({"QuotaToppedUp": {"journal_id": id(120), "amount": 100}}))])
        .step(&[(
            "Proposal",
            80,
            json!({"ActProposed": {"act": {"reverse_journal": {"reverses": id(120), "from": id(3), "original": 100,
            "reason": "typed twice"}}, "amount": 80, "limit": 50, "asked_by": id(8)}}),
        )])
        .step(&[
            ("Proposal", 80, json!({"ActConfirmed": {"by": id(9)}})),
            (
                "Reversal",
                120,
                json!({"JournalReversed": {"journal_id": id(121), "reverses": id(120), "amount": 80,
            "reason": "typed twice", "by": id(9)}}),
            ),
            (
                "AgentQuota",
                3,
                json!({"QuotaTakenBack": {"journal_id": id(121), "reverses": {"journal": id(120)}, "amount": 80,
            "origin": "issuance"}}),
            ),
        ]);
    log
}

#[test]
fn what_one_person_may_not_take_back_alone_was_confirmed_by_another_and_done() {
    careful().check().unwrap();
    let found = |event_type: &str, change: &dyn Fn(&mut Row)| {
        let mut log = careful();
        let place = log.0.iter().rposition(|row| row.event_type == event_type).unwrap();
        change(&mut log.0[place]);
        log.check().expect_err("something is wrong").kind
    };
    assert_eq!(found("ActConfirmed", &|row| row.payload["ActConfirmed"]["by"] = json!(id(8))), Kind::Party);
    assert_eq!(found("ActProposed", &|row| row.payload["ActProposed"]["amount"] = json!(50)), Kind::Amount);
    // Other than what was done: nobody confirmed that, and what was confirmed was not done.
    assert_eq!(found("ActProposed", &|row| row.payload["ActProposed"]["amount"] = json!(81)), Kind::Party);
    // Confirmed, and not done.
    let mut log = careful();
    log.step(&[(
        "Proposal",
        81,
        json!({"ActProposed": {"act": {"refund_batch": {"batch_id": id(30)}}, "amount": 100, "limit": 50,
            "asked_by": id(8)}}),
    )])
    .step(&[("Proposal", 81, json!({"ActConfirmed": {"by": id(9)}}))]);
    assert_eq!(log.check().unwrap_err().kind, Kind::State);
    // Done by one person alone: the confirmation stands in a step of its own.
    let mut log = careful();
    let place = log.place("ActConfirmed", 0);
    log.0[place].at -= 500_000;
    assert!(matches!(log.check().unwrap_err().kind, Kind::Party | Kind::State));
    for payload in [json!({"ActConfirmed": {"by": id(9)}}), json!({"ActDeclined": {"by": id(9)}})] {
        let mut log = careful();
        log.step(&[("Proposal", 80, payload)]);
        assert_eq!(log.check().unwrap_err().kind, Kind::State, "decided on before");
    }
}

#[test]
fn licences_are_those_that_were_announced_and_paid_for() {
    assert_eq!(with("ChunkIssued", 0, "count", json!(3)), Kind::BatchCount);
    assert_eq!(with("ChunkIssued", 1, "chunk", json!(2)), Kind::BatchCount);
    assert_eq!(with("ChunkIssued", 0, "amount", json!(65)), Kind::BatchCount);
    assert_eq!(with("LicenseIssued", 1, "key_hash", json!("k1")), Kind::KeyReused);
    assert_eq!(with("LicenseIssued", 1, "terms", json!({"duration_days": 31, "max_machines": 1})), Kind::State);
    assert_eq!(with("LicenseActivated", 0, "expires_at", json!("2026-02-01T00:00:00Z")), Kind::State);
    let mut log = history();
    log.step(&[("License", 44, license(30, "k4"))]);
    assert_eq!(log.check().unwrap_err().kind, Kind::BatchCount);
}

#[test]
fn all_findings_can_be_gathered() {
    let mut log = history();
    let (first, second) = (log.place("LicenseIssued", 1), log.place("OrderRefunded", 0));
    log.0[first].payload["LicenseIssued"]["key_hash"] = json!("k1");
    log.0[second].payload["OrderRefunded"]["amount"] = json!(10);
    let mut replay = log.replay(Replay::collecting()).unwrap();
    replay.close();
    let kinds: Vec<_> = replay.findings().iter().map(|finding| (finding.kind, finding.position)).collect();
    assert_eq!(kinds, [(Kind::KeyReused, first as u64 + 1), (Kind::Refund, second as u64 + 1)]);
    assert!(replay.finish().is_err());
}

#[test]
fn postings_say_what_statements_show() {
    let log = history();
    let mut replay = Replay::default();
    let mut seen = Vec::new();
    for row in &log.0 {
        replay = Log(vec![row.clone()]).replay(replay).unwrap();
        if let Some(posting) = replay.posting() {
            let counter = posting.counter_account.map(|account| account.to_string());
            seen.push((posting.kind, posting.available, posting.held, counter));
        }
    }
    assert_eq!(seen[0], ("top_up", 1000, 0, Some("issuance".into())));
    assert_eq!(seen[1], ("transfer", -100, 0, Some("transit".into())));
    assert_eq!(seen[3], ("hold", -100, 100, None));
    assert_eq!(seen[4], ("issue", 0, -66, Some(format!("sales:{}", id(20)))));
    let agents: i128 = replay.agents().map(|agent| agent.available + agent.held).sum();
    let others: i128 = replay.accounts().map(|(_, _, balance)| balance).sum();
    assert_eq!(agents + others, 0);
}

#[test]
fn every_golden_sample_has_a_shape_that_is_known_and_nothing_more() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/events");
    let mut samples = 0;
    for aggregate in std::fs::read_dir(folder).unwrap() {
        let aggregate = aggregate.unwrap();
        let kind = aggregate.file_name().into_string().unwrap();
        for file in std::fs::read_dir(aggregate.path()).unwrap() {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            let Some((event, _)) = name.strip_suffix(".sample.json").and_then(|name| name.split_once(".v")) else {
                continue;
            };
            let sample: Value = serde_json::from_str(&std::fs::read_to_string(file.path()).unwrap()).unwrap();
            let problem = |payload: &Value| {
                let mut log = Log::default();
                log.step(&[(&kind, 1, payload.clone())]);
                log.0[0].event_type = event.to_owned();
                let replay = log.replay(Replay::collecting()).unwrap();
                replay.findings().iter().find(|it| matches!(it.kind, Kind::Shape | Kind::UnknownEvent)).cloned()
            };
            assert_eq!(problem(&sample), None, "{kind}/{name}");
            let mut more = sample.clone();
            more[event]["not_there_before"] = json!(1);
            assert!(problem(&more).is_some(), "{kind}/{name} takes a field that nobody knows");
            samples += 1;
        }
    }
    assert!(samples > 50, "{samples} samples");
}

#[test]
fn a_saved_state_goes_on_as_if_it_had_never_stopped() {
    let log = history();
    for cut in [1, 7, 12, log.0.len() - 1] {
        let before = Log(log.0[..cut].to_vec()).replay(Replay::default()).unwrap();
        let bytes = before.save(&"beside".to_owned()).unwrap();
        let (after, beside) = Replay::load::<String>(&bytes).unwrap();
        let rest = Log(log.0[cut..].to_vec());
        assert_eq!(rest.replay(after).unwrap().finish().unwrap(), history().check().unwrap(), "cut at {cut}");
        assert_eq!(beside, "beside");
        assert!(Replay::load::<String>(&bytes[1..]).is_err());
    }
    // A key that was issued before the cut is known after it.
    let mut reused = history();
    let place = reused.place("LicenseIssued", 2);
    reused.0[place].payload["LicenseIssued"]["key_hash"] = json!("k1");
    let before = Log(reused.0[..place].to_vec()).replay(Replay::default()).unwrap();
    let (after, ()) = Replay::load(&before.save(&()).unwrap()).unwrap();
    assert_eq!(Log(reused.0[place..].to_vec()).replay(after).unwrap_err().kind, Kind::KeyReused);
}
