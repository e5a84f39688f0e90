//! What somebody may do to the read models behind the service's back.

use quotary_domain::AccountId;
use quotary_domain::reconciliation::Class;

/// Changes of the read models behind the service's back: the source and the class that each has to be named by.
pub fn changes(schemas: &[String; 3], licenses: &str, agent: AccountId) -> Vec<(&'static str, Class, String)> {
    use Class::{Amount, Extra, Missing, State};
    let [ledger, movements, withdrawals] = schemas;
    vec![
        (
            "balances",
            Amount,
            format!("update {ledger}.balances set available = available + 1 where agent_id = '{agent}'"),
        ),
        ("balances", Amount, format!("update {ledger}.balances set held = held + 1 where agent_id = '{agent}'")),
        ("balances", Missing, format!("delete from {ledger}.balances where agent_id = '{agent}'")),
        (
            "balances",
            Extra,
            format!(
                "insert into {ledger}.balances select gen_random_uuid(), tenant_id, 5, 0, 1 from {ledger}.balances limit 1"
            ),
        ),
        (
            "entries",
            Amount,
            format!(
                "update {ledger}.entries set available = available + 1 where agent_id = '{agent}' and kind = 'top_up'"
            ),
        ),
        (
            "entries",
            State,
            format!("update {ledger}.entries set kind = 'refund' where agent_id = '{agent}' and kind = 'top_up'"),
        ),
        (
            "entries",
            State,
            format!(
                "update {ledger}.entries set journal_id = gen_random_uuid() where agent_id = '{agent}' and kind = 'transfer'"
            ),
        ),
        ("entries", Missing, format!("delete from {ledger}.entries where agent_id = '{agent}' and kind = 'transfer'")),
        (
            "entries",
            Extra,
            format!(
                "insert into {ledger}.entries select gen_random_uuid(), position, tenant_id, journal_id, kind, available, held, \
                 counter_account, source_kind, source_id, counterparty, note, actor, recorded_at, occurred_at, available_after, \
                 held_after from {ledger}.entries where agent_id = '{agent}' limit 1"
            ),
        ),
        (
            "quota_daily",
            Amount,
            format!("update {ledger}.quota_daily set received = received + 1 where agent_id = '{agent}'"),
        ),
        ("quota_daily", Missing, format!("delete from {ledger}.quota_daily where agent_id = '{agent}'")),
        (
            "ledger_totals",
            Amount,
            format!("update {ledger}.ledger_totals set balance = balance - 1 where account = 'issuance'"),
        ),
        ("ledger_totals", Missing, format!("delete from {ledger}.ledger_totals where account = 'transit'")),
        ("transfers", Amount, format!("update {movements}.transfers set amount = amount + 1 where kind = 'transfer'")),
        (
            "transfers",
            State,
            format!(
                "update {movements}.transfers set status = 'reversed', reversed = amount, reversal = gen_random_uuid() \
                 where kind = 'transfer'"
            ),
        ),
        ("transfers", Missing, format!("delete from {movements}.transfers where kind = 'top_up'")),
        ("withdrawals", Amount, format!("update {withdrawals}.withdrawals set amount = 9 where amount = 10")),
        ("withdrawals", State, format!("update {withdrawals}.withdrawals set status = 'paid' where amount = 10")),
        ("batches", Amount, format!("update {licenses}.batches set issued = issued - 1")),
        ("batches", Amount, format!("delete from {licenses}.licenses where number = 3")),
    ]
}

/// The same of orders, holds and notices.
pub fn further_changes(schemas: &[String; 3], agent: AccountId) -> Vec<(&'static str, Class, String)> {
    use Class::{Amount, Extra, Missing, State};
    let [orders, holds, notices] = schemas;
    vec![
        ("orders", Amount, format!("update {orders}.orders set amount = amount + 1")),
        ("orders", Amount, format!("update {orders}.orders set refunded_amount = 349 where refunds = 2")),
        ("orders", Amount, format!("update {orders}.orders set refunds = 1 where refunds = 2")),
        ("orders", State, format!("update {orders}.orders set provider_order_id = 'P9' where refunds = 2")),
        ("orders", State, format!("update {orders}.orders set provider_refund_id = 'R1' where refunds = 2")),
        ("orders", State, format!("update {orders}.orders set refund_reason = null where refunds = 2")),
        ("orders", State, format!("update {orders}.orders set currency = 'USD'")),
        ("orders", State, format!("update {orders}.orders set paid_at = paid_at + interval '1 microsecond'")),
        ("orders", State, format!("update {orders}.orders set agent_id = '{agent}'")),
        ("orders", Missing, format!("delete from {orders}.orders where refunds = 2")),
        (
            "orders",
            Extra,
            format!(
                "insert into {orders}.orders select gen_random_uuid(), tenant_id, agent_id, batch_id, provider, 'P9', amount, \
                 currency, paid_at, refunded_amount, refunded_at, refunds, provider_refund_id, refund_reason, recorded_at, \
                 sequence, position from {orders}.orders limit 1"
            ),
        ),
        ("holds", Amount, format!("update {holds}.holds set amount_left = amount_left - 1 where amount = 10")),
        ("holds", Amount, format!("update {holds}.holds set amount = amount + 1 where amount = 10")),
        ("holds", State, format!("update {holds}.holds set expires_at = now()")),
        ("holds", State, format!("update {holds}.holds set purpose = 'batch'")),
        ("holds", State, format!("update {holds}.holds set held_at = held_at - interval '1 second'")),
        ("holds", Missing, format!("delete from {holds}.holds where amount = 10")),
        (
            "holds",
            Extra,
            format!(
                "insert into {holds}.holds select gen_random_uuid(), agent_id, tenant_id, amount, amount_left, purpose, \
                 purpose_id, held_at, expires_at, position from {holds}.holds limit 1"
            ),
        ),
        ("notices", Amount, format!("update {notices}.notices set amount = amount + 1")),
        ("notices", State, format!("update {notices}.notices set kind = 'withdrawal-paid'")),
        ("notices", Missing, format!("delete from {notices}.notices where amount = 10")),
        (
            "notices",
            Extra,
            format!(
                "insert into {notices}.notices select '{agent}', position, tenant_id, kind, subject_id, amount, occurred_at \
                 from {notices}.notices where amount = 10"
            ),
        ),
    ]
}
