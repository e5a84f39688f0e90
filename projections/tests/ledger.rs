//! The ledger read model against the domain's own fold, on a real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "read_model_fixture/histories.rs"]
mod histories;
mod read_model_fixture;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use histories::{History, agent};
use quotary_domain::ledger::postings;
use quotary_domain::{AccountId, Actor, Event, Role, TenantId};
use quotary_projections::ledger::{self, Balance, Ledger};
use quotary_projections::moment::Moment;
use quotary_projections::page::PageRequest;
use quotary_projections::statements::{
    Amounts, Interval, QuotaStatsFilter, StatementLine, quota_stats, statement, trial_balance,
};
use read_model_fixture::{Dice, Fact, Fixture, TENANT, fact};
use sqlx::Row;
use uuid::Uuid;

const AGENTS: u64 = 5;

#[tokio::test]
async fn balances_equal_the_domains_fold_over_random_histories() {
    let fixture = Fixture::new().await;
    let mut history = History::default();
    let mut dice = Dice(7);
    let running = fixture.run(Ledger, 37);
    for _ in 0..8 {
        let position = fixture.append(history.facts(&mut dice, AGENTS, 250)).await;
        fixture.reached(&running, ledger::NAME, position).await;
        for (agent, quota) in &history.agents {
            let balance = ledger::balance(&fixture.pool, TENANT, *agent).await.unwrap();
            assert_eq!(
                (balance.available, balance.held),
                (quota.available.minor_units(), quota.held.minor_units()),
                "{agent} at {position}"
            );
        }
        let trial = trial_balance(&fixture.pool, TENANT).await.unwrap();
        assert_eq!(trial.total, 0, "{trial:?}");
        assert!(trial.accounts.iter().any(|sum| sum.account == "issuance" && sum.balance < 0));
        assert!(trial.accounts.iter().all(|sum| sum.account != "transit" || sum.balance == 0));
    }
    running.end().await.unwrap();
    fixture.finish().await;
}

#[tokio::test]
async fn every_balance_of_the_past_is_found_again() {
    let fixture = Fixture::new().await;
    let mut dice = Dice(11);
    let position = fixture.append(History::default().facts(&mut dice, AGENTS, 400)).await;
    fixture.project(Ledger, position).await;

    let mut expected: BTreeMap<AccountId, Balance> = BTreeMap::new();
    for recorded in fixture.log().read_after(0, 1_000).await.unwrap() {
        let agent = AccountId(recorded.aggregate_id);
        let Event::AgentQuota(event) = recorded.decode().unwrap() else { unreachable!() };
        let balance = expected.entry(agent).or_default();
        for posting in postings(agent, &event) {
            match posting.account {
                quotary_domain::ledger::LedgerAccount::Available(_) => balance.available += posting.amount,
                quotary_domain::ledger::LedgerAccount::Held(_) => balance.held += posting.amount,
                _ => {}
            }
        }
        balance.position = recorded.position;
        let at = [Moment::Position(recorded.position), Moment::Time(recorded.recorded_at)];
        for at in at {
            assert_eq!(ledger::balance_at(&fixture.pool, TENANT, agent, at).await.unwrap(), *balance, "{at:?}");
        }
    }
    let before = ledger::balance_at(&fixture.pool, TENANT, agent(0), Moment::Position(0)).await.unwrap();
    assert_eq!(before, Balance::default());
    fixture.finish().await;
}

#[tokio::test]
async fn every_event_has_two_postings_that_sum_to_zero_and_equal_the_domains() {
    let fixture = Fixture::new().await;
    let mut dice = Dice(13);
    let position = fixture.append(History::default().facts(&mut dice, AGENTS, 300)).await;
    fixture.project(Ledger, position).await;
    let rows = sqlx::query("select position, account, amount from read.postings order by position, line")
        .fetch_all(&fixture.pool)
        .await
        .unwrap();
    let found: Vec<(i64, String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let mut expected = Vec::new();
    for recorded in fixture.log().read_after(0, 1_000).await.unwrap() {
        let Event::AgentQuota(event) = recorded.decode().unwrap() else { unreachable!() };
        for posting in postings(AccountId(recorded.aggregate_id), &event) {
            expected.push((recorded.position.cast_signed(), posting.account.to_string(), posting.amount));
        }
    }
    assert_eq!(found, expected);
    fixture.finish().await;
}

/// All lines of a statement, by pages of `limit`.
async fn all_lines(
    fixture: &Fixture,
    agent: AccountId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    limit: u32,
) -> (Amounts, Amounts, Vec<StatementLine>) {
    let mut lines = Vec::new();
    let mut cursor = None;
    loop {
        let request = PageRequest::new(Some(limit), cursor);
        let page = statement(&fixture.pool, TENANT, agent, from, to, &request).await.unwrap();
        lines.extend(page.lines.items);
        cursor = page.lines.next_cursor;
        if cursor.is_none() {
            return (page.opening, page.closing, lines);
        }
    }
}

#[tokio::test]
async fn a_statements_opening_and_lines_add_up_to_its_closing_also_when_history_comes_late() {
    let fixture = Fixture::new().await;
    let mut dice = Dice(17);
    let start = DateTime::from_timestamp(850_000_000, 0).unwrap();
    // Times that do not follow the order of the log, several events at the very same time among them.
    let spread = |facts: Vec<Fact>, dice: &mut Dice| -> Vec<Fact> {
        let at = |dice: &mut Dice| start + TimeDelta::hours(i64::try_from(dice.below(24 * 40)).unwrap());
        facts
            .into_iter()
            .map(|fact| {
                let time = at(dice);
                fact.at(time)
            })
            .collect()
    };
    let facts = History::default().facts(&mut dice, AGENTS, 600);
    let position = fixture.append(spread(facts, &mut dice)).await;
    fixture.project(Ledger, position).await;

    let second = TimeDelta::seconds(1);
    for number in 0..AGENTS {
        let agent = agent(number);
        let cuts = [start, start + TimeDelta::hours(101), start + TimeDelta::days(13), start + TimeDelta::days(41)];
        let mut last_closing = Amounts::default();
        for cut in cuts.windows(2) {
            let (opening, closing, lines) = all_lines(&fixture, agent, cut[0], cut[1], 7).await;
            assert_eq!(opening, last_closing);
            let mut running = opening;
            for line in &lines {
                running.available += line.change.available;
                running.held += line.change.held;
                assert_eq!(line.balance, running);
                assert!(line.occurred_at >= cut[0] && line.occurred_at < cut[1]);
            }
            assert_eq!(running, closing);
            let at = Moment::Time(cut[1] - second);
            let then = ledger::balance_at(&fixture.pool, TENANT, agent, at).await.unwrap();
            assert_eq!((then.available, then.held), (closing.available, closing.held));
            last_closing = closing;
        }
        let now = ledger::balance(&fixture.pool, TENANT, agent).await.unwrap();
        assert_eq!((now.available, now.held), (last_closing.available, last_closing.held));
    }
    fixture.finish().await;
}

#[tokio::test]
async fn statistics_add_up_to_the_ledger_by_day_and_by_month() {
    let fixture = Fixture::new().await;
    let mut dice = Dice(19);
    let start = DateTime::from_timestamp(850_000_000, 0).unwrap();
    let facts = History::default().facts(&mut dice, AGENTS, 500);
    let facts = facts.into_iter().zip(0..).map(|(fact, n)| fact.at(start + TimeDelta::hours(n * 5))).collect();
    let position = fixture.append(facts).await;
    fixture.project(Ledger, position).await;
    let actor = Actor { tenant_id: TENANT, account_id: agent(99), role: Role::SuperAdmin };
    let stats = async |actor: Actor, interval| {
        let filter = QuotaStatsFilter { interval, ..QuotaStatsFilter::default() };
        let found = quota_stats(&fixture.pool, &actor, &filter).await.unwrap();
        let sum = |pick: fn(&quotary_projections::statements::QuotaStat) -> i64| found.iter().map(pick).sum::<i64>();
        (found.len(), sum(|s| s.received) - sum(|s| s.given), sum(|s| s.entries))
    };
    let trial = trial_balance(&fixture.pool, TENANT).await.unwrap();
    let agents: i64 =
        trial.accounts.iter().filter(|a| ["available", "held"].contains(&a.account.as_str())).map(|a| a.balance).sum();
    let (days, net, entries) = stats(actor, Interval::Day).await;
    assert_eq!((net, entries), (agents, position.cast_signed()));
    let (months, net, entries) = stats(actor, Interval::Month).await;
    assert_eq!((net, entries), (agents, position.cast_signed()));
    assert!(months < days);
    let other_tenant = Actor { tenant_id: TenantId(Uuid::from_u128(9)), ..actor };
    assert_eq!(stats(other_tenant, Interval::Day).await, (0, 0, 0));
    fixture.finish().await;
}

#[tokio::test]
async fn an_overdrawn_balance_stops_the_projection() {
    use quotary_domain::agent_quota::{AgentQuota, AgentQuotaEvent, TransferKind};
    use quotary_domain::{JournalId, Quota};
    let fixture = Fixture::new().await;
    let amount = Quota::new(5).unwrap();
    let journal_id = JournalId(Uuid::from_u128(1));
    let sent = AgentQuotaEvent::QuotaSent {
        journal_id,
        kind: TransferKind::Transfer,
        to: agent(1),
        amount,
        note: None,
        at: None,
    };
    fixture.append(vec![fact::<AgentQuota>(agent(0).0, &sent)]).await;
    let running = fixture.run(Ledger, 100);
    let status = running.status.clone();
    assert!(running.task.await.unwrap().is_err());
    let status = status.lock().clone();
    assert_eq!(status.checkpoint, 0);
    assert!(status.last_error.unwrap().contains("available_after_check"), "the reason is told");
    fixture.finish().await;
}
