//! Every account of the ledger at every moment, statements, journals and the trial balance, against a fold of the log that is
//! written here a second time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "read_model_fixture/histories.rs"]
mod histories;
mod read_model_fixture;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use histories::{History, agent};
use quotary_domain::ledger::{LedgerAccount, journal, postings, source};
use quotary_domain::{AccountId, Actor, Event, JournalId, RecordedEvent, Role, TenantId};
use quotary_projections::account_statements::{AccountLine, account_balance, account_statement, ledger_accounts};
use quotary_projections::journal_search::{self, JournalFilter, journals};
use quotary_projections::journals::Journals;
use quotary_projections::ledger::{self, Ledger};
use quotary_projections::ledger_account::AccountName;
use quotary_projections::moment::Moment;
use quotary_projections::page::PageRequest;
use quotary_projections::statement_walk::{AccountWalk, AgentWalk, Period, Walk as _};
use quotary_projections::statements::statement;
use quotary_projections::trial_balance::trial_balance_at;
use read_model_fixture::{Dice, Fact, Fixture, TENANT};
use uuid::Uuid;

const AGENTS: u64 = 5;
const OTHER: TenantId = TenantId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002));

fn auditor(tenant_id: TenantId) -> Actor {
    Actor { tenant_id, account_id: agent(99), role: Role::Auditor }
}

/// A posting as the log has it, by a fold of this test's own.
#[derive(Clone)]
struct Known {
    position: u64,
    account: String,
    amount: i64,
    occurred_at: DateTime<Utc>,
    journal: JournalId,
    kind: &'static str,
    source: Uuid,
    agent: AccountId,
}

async fn known(fixture: &Fixture, tenant: TenantId) -> Vec<Known> {
    let mut found = Vec::new();
    for recorded in fixture.log().read_after(0, 100_000).await.unwrap() {
        if recorded.tenant_id == tenant {
            found.extend(of_event(&recorded));
        }
    }
    found
}

fn of_event(recorded: &RecordedEvent) -> Vec<Known> {
    let Event::AgentQuota(event) = recorded.decode().unwrap() else { return vec![] };
    let agent = AccountId(recorded.aggregate_id);
    let (journal, kind) = journal(&event);
    postings(agent, &event)
        .into_iter()
        .map(|posting| Known {
            position: recorded.position,
            account: posting.account.to_string(),
            amount: posting.amount,
            occurred_at: recorded.occurred_at(),
            journal,
            kind: kind.as_str(),
            source: source(&event).1,
            agent,
        })
        .collect()
}

async fn project(fixture: &Fixture, position: u64) {
    fixture.project(Ledger, position).await;
    fixture.project(Journals, position).await;
}

/// Times that do not follow the order of the log.
fn spread(facts: Vec<Fact>, dice: &mut Dice) -> Vec<Fact> {
    let start = DateTime::from_timestamp(850_000_000, 0).unwrap();
    facts
        .into_iter()
        .map(|fact| fact.at(start + TimeDelta::hours(i64::try_from(dice.below(24 * 30)).unwrap())))
        .collect()
}

#[tokio::test]
async fn every_account_has_the_balance_of_a_plain_sum_at_every_position_and_time() {
    let fixture = Fixture::new().await;
    let mut dice = Dice(23);
    let facts = spread(History::default().facts(&mut dice, AGENTS, 250), &mut dice);
    let position = fixture.append(facts).await;
    project(&fixture, position).await;
    let known = known(&fixture, TENANT).await;
    let accounts: BTreeSet<String> = known.iter().map(|posting| posting.account.clone()).collect();
    assert!(accounts.len() > 8 && accounts.contains("transit"), "{accounts:?}");
    for account in &accounts {
        let name: AccountName = account.parse().unwrap();
        let of = |wanted: &dyn Fn(&Known) -> bool| -> i64 {
            known.iter().filter(|k| k.account == *account && wanted(k)).map(|k| k.amount).sum()
        };
        for at in 0..=position {
            let found = account_balance(&fixture.pool, TENANT, &name, Some(Moment::Position(at))).await.unwrap();
            assert_eq!(found.balance, of(&|k| k.position <= at), "{account} at {at}");
        }
        for time in known.iter().step_by(17).map(|k| k.occurred_at) {
            let found = account_balance(&fixture.pool, TENANT, &name, Some(Moment::Time(time))).await.unwrap();
            assert_eq!(found.balance, of(&|k| k.occurred_at <= time), "{account} at {time}");
        }
        let now = account_balance(&fixture.pool, TENANT, &name, None).await.unwrap();
        assert_eq!((now.balance, now.account.as_str()), (of(&|_| true), account.as_str()));
    }
    let never: AccountName = format!("sales:{}", Uuid::from_u128(7)).parse().unwrap();
    let nothing = account_balance(&fixture.pool, TENANT, &never, Some(Moment::Position(position))).await.unwrap();
    assert_eq!((nothing.balance, nothing.position), (0, 0));
    fixture.finish().await;
}

#[tokio::test]
async fn debits_equal_credits_at_every_position_and_time() {
    let fixture = Fixture::new().await;
    let mut dice = Dice(29);
    let facts = spread(History::default().facts(&mut dice, AGENTS, 200), &mut dice);
    let position = fixture.append(facts).await;
    project(&fixture, position).await;
    let known = known(&fixture, TENANT).await;
    for at in 0..=position {
        let trial = trial_balance_at(&fixture.pool, TENANT, Some(Moment::Position(at))).await.unwrap();
        assert_eq!((trial.position, trial.total()), (at, 0), "{trial:?}");
        let mut expected: BTreeMap<String, i64> = BTreeMap::new();
        for posting in known.iter().filter(|k| k.position <= at) {
            let account = match posting.account.parse().unwrap() {
                AccountName::Other(name) => name,
                agents => format!("agents:{}", agents.kind()),
            };
            *expected.entry(account).or_default() += posting.amount;
        }
        for (account, sum) in expected {
            let line = trial.lines.iter().find(|line| line.account == account);
            assert_eq!(line.map_or(0, |line| line.balance), sum, "{account} at {at}");
        }
    }
    for time in known.iter().step_by(11).map(|k| k.occurred_at) {
        let trial = trial_balance_at(&fixture.pool, TENANT, Some(Moment::Time(time))).await.unwrap();
        assert_eq!(trial.total(), 0, "{trial:?} at {time}");
    }
    let none = trial_balance_at(&fixture.pool, OTHER, None).await.unwrap();
    assert!(none.lines.is_empty());
    fixture.finish().await;
}

#[tokio::test]
async fn a_trial_balance_is_right_while_one_read_model_is_ahead_of_the_other() {
    let fixture = Fixture::new().await;
    let (mut dice, mut history) = (Dice(31), History::default());
    let first = spread(history.facts(&mut dice, AGENTS, 120), &mut dice);
    let behind = fixture.append(first).await;
    fixture.project(Journals, behind).await;
    let second = spread(history.facts(&mut dice, AGENTS, 120), &mut dice);
    let ahead = fixture.append(second).await;
    fixture.project(Ledger, ahead).await;
    let later = Moment::Time(DateTime::from_timestamp(860_000_000, 0).unwrap());
    for at in [None, Some(later), Some(Moment::Position(ahead))] {
        let trial = trial_balance_at(&fixture.pool, TENANT, at).await.unwrap();
        assert_eq!((trial.position, trial.total()), (behind, 0), "{at:?} {trial:?}");
    }
    fixture.project(Journals, ahead).await;
    let trial = trial_balance_at(&fixture.pool, TENANT, Some(later)).await.unwrap();
    assert_eq!((trial.position, trial.total()), (ahead, 0));
    fixture.finish().await;
}

async fn pages(fixture: &Fixture, name: &AccountName, period: Period, limit: u32) -> (i64, i64, Vec<AccountLine>) {
    let (mut lines, mut cursor) = (Vec::new(), None);
    loop {
        let request = PageRequest::new(Some(limit), cursor);
        let page = account_statement(&fixture.pool, TENANT, name, period.from, period.to, &request).await.unwrap();
        lines.extend(page.lines.items);
        cursor = page.lines.next_cursor;
        if cursor.is_none() {
            return (page.opening, page.closing, lines);
        }
    }
}

async fn walked(fixture: &Fixture, name: &AccountName, period: Period) -> (i64, i64, Vec<AccountLine>) {
    let mut walk = AccountWalk::begin(&fixture.pool, TENANT, name, period).await.unwrap();
    let (opening, closing, count) = (walk.opening, walk.closing, walk.count());
    let mut lines = Vec::new();
    loop {
        let some = walk.next().await.unwrap();
        if some.is_empty() {
            assert_eq!(lines.len() as u64, count);
            return (opening, closing, lines);
        }
        lines.extend(some);
    }
}

#[tokio::test]
async fn statements_of_every_account_add_up_and_downloads_equal_the_pages() {
    let fixture = Fixture::new().await;
    let mut dice = Dice(37);
    let facts = spread(History::default().facts(&mut dice, AGENTS, 400), &mut dice);
    let position = fixture.append(facts).await;
    project(&fixture, position).await;
    let known = known(&fixture, TENANT).await;
    let start = DateTime::from_timestamp(850_000_000, 0).unwrap();
    let cuts = [start, start + TimeDelta::hours(77), start + TimeDelta::days(13), start + TimeDelta::days(31)];
    let accounts: BTreeSet<String> = known.iter().map(|posting| posting.account.clone()).collect();
    for account in accounts {
        let name: AccountName = account.parse().unwrap();
        let mut before = 0;
        for cut in cuts.windows(2) {
            let period = Period { from: cut[0], to: cut[1] };
            let (opening, closing, lines) = pages(&fixture, &name, period, 7).await;
            assert_eq!(opening, before, "{account}");
            let mut running = opening;
            for line in &lines {
                running += line.change;
                assert_eq!(line.balance, running, "{account}");
                let posting = known.iter().find(|k| k.position == line.position && k.account == account).unwrap();
                assert_eq!((posting.amount, posting.kind), (line.change, line.kind.as_str()));
                let other = known.iter().find(|k| k.position == line.position && k.account != account).unwrap();
                assert_eq!(other.account, line.other_account);
            }
            assert_eq!(running, closing, "{account}");
            assert_eq!(walked(&fixture, &name, period).await, (opening, closing, lines), "{account}");
            before = closing;
        }
        assert_eq!(before, known.iter().filter(|k| k.account == account).map(|k| k.amount).sum::<i64>());
    }
    fixture.finish().await;
}

#[tokio::test]
async fn a_download_is_one_snapshot_whatever_is_written_meanwhile() {
    let fixture = Fixture::new().await;
    let (mut dice, mut history) = (Dice(41), History::default());
    // More than one step of an export for one agent.
    let facts = history.facts(&mut dice, 2, 12_000);
    let position = fixture.append(facts).await;
    project(&fixture, position).await;
    let period = Period { from: DateTime::UNIX_EPOCH, to: DateTime::from_timestamp(4_000_000_000, 0).unwrap() };
    let whole = PageRequest::export(None);
    let mut walk = AgentWalk::begin(&fixture.pool, TENANT, agent(0), period).await.unwrap();
    let (opening, closing) = (walk.opening, walk.closing);
    let mut lines = walk.next().await.unwrap();
    assert_eq!(lines.len(), 5_000);
    let before = statement(&fixture.pool, TENANT, agent(0), period.from, period.to, &whole).await.unwrap();
    let more = history.facts(&mut dice, 2, 500);
    let last = fixture.append(more).await;
    project(&fixture, last).await;
    loop {
        let some = walk.next().await.unwrap();
        if some.is_empty() {
            break;
        }
        lines.extend(some);
    }
    assert_eq!((opening, closing), (before.opening, before.closing));
    assert_eq!(lines.last().map(|line| line.balance), Some(closing));
    assert!(lines.iter().all(|line| line.position <= position));
    let now = ledger::balance(&fixture.pool, TENANT, agent(0)).await.unwrap();
    assert_ne!((now.available, now.held), (closing.available, closing.held), "something was written meanwhile");
    fixture.finish().await;
}

async fn all(fixture: &Fixture, actor: &Actor, filter: &JournalFilter, limit: u32) -> Vec<journal_search::Journal> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = journals(&fixture.pool, actor, filter, &PageRequest::new(Some(limit), cursor)).await.unwrap();
        found.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return found;
        }
    }
}

/// What a plain look at all postings finds: journals by their newest posting that fits, the newest first.
fn expected(known: &[Known], fits: impl Fn(&Known) -> bool) -> Vec<JournalId> {
    let mut found = Vec::new();
    for posting in known.iter().rev().filter(|posting| fits(posting)) {
        if !found.contains(&posting.journal) {
            found.push(posting.journal);
        }
    }
    found
}

#[tokio::test]
async fn a_search_finds_what_a_plain_look_at_all_postings_finds() {
    let fixture = Fixture::new().await;
    let mut dice = Dice(43);
    let facts = spread(History::default().facts(&mut dice, AGENTS, 300), &mut dice);
    let position = fixture.append(facts).await;
    project(&fixture, position).await;
    let known = known(&fixture, TENANT).await;
    let actor = auditor(TENANT);
    let ids = |found: Vec<journal_search::Journal>| found.iter().map(|j| j.journal_id).collect::<Vec<_>>();
    let none = JournalFilter::default;
    assert_eq!(ids(all(&fixture, &actor, &none(), 9).await), expected(&known, |_| true));
    for account in known.iter().map(|k| k.account.clone()).collect::<BTreeSet<_>>() {
        let filter = JournalFilter { account: Some(account.parse().unwrap()), ..none() };
        assert_eq!(
            ids(all(&fixture, &actor, &filter, 7).await),
            expected(&known, |k| k.account == account),
            "{account}"
        );
        // An event fits or does not; both its postings have the same amount.
        let (least, most) = (100, 300);
        let filter = JournalFilter { min_amount: Some(least), max_amount: Some(most), ..filter };
        let wanted = expected(&known, |k| k.account == account && (least..=most).contains(&k.amount.abs()));
        assert_eq!(ids(all(&fixture, &actor, &filter, 200).await), wanted, "{account}");
    }
    for kind in known.iter().map(|k| k.kind).collect::<BTreeSet<_>>() {
        let filter = JournalFilter { kind: Some(kind.to_owned()), ..none() };
        assert_eq!(ids(all(&fixture, &actor, &filter, 11).await), expected(&known, |k| k.kind == kind), "{kind}");
    }
    let (from, to) = (known[40].occurred_at, known[40].occurred_at + TimeDelta::days(9));
    let filter = JournalFilter { from: Some(from), to: Some(to), ..none() };
    let wanted = expected(&known, |k| k.occurred_at >= from && k.occurred_at < to);
    assert_eq!(ids(all(&fixture, &actor, &filter, 13).await), wanted);
    for source in known.iter().step_by(23).map(|k| k.source) {
        let filter = JournalFilter { source_id: Some(source), ..none() };
        assert_eq!(ids(all(&fixture, &actor, &filter, 3).await), expected(&known, |k| k.source == source));
    }
    for found in all(&fixture, &actor, &none(), 200).await {
        let one = journal_search::journal(&fixture.pool, &actor, found.journal_id).await.unwrap().unwrap();
        assert_eq!(one, found);
        let sum: i64 = found.postings.iter().map(|posting| posting.amount).sum();
        assert_eq!((sum, found.hidden_postings), (0, 0), "{found:?}");
        let mut postings: Vec<_> = known
            .iter()
            .filter(|k| k.journal == found.journal_id)
            .map(|k| (k.position, k.amount, &k.account))
            .collect();
        postings.sort();
        let mut shown: Vec<_> = found.postings.iter().map(|p| (p.position, p.amount, &p.account)).collect();
        shown.sort();
        assert_eq!(shown, postings);
    }
    fixture.finish().await;
}

#[tokio::test]
async fn nobody_sees_accounts_and_journals_of_others_or_of_another_tenant() {
    use quotary_projections::accounts::Accounts;
    let fixture = Fixture::new().await;
    let mut dice = Dice(47);
    // The same agents cannot be in two tenants; the other tenant's history has agents of its own numbers.
    let mine = History::default().facts(&mut dice, AGENTS, 200);
    let position = fixture.append(mine).await;
    fixture.project(Accounts, position).await;
    project(&fixture, position).await;
    let known = known(&fixture, TENANT).await;
    let seller = Actor { tenant_id: TENANT, account_id: agent(1), role: Role::Agent };
    let found = all(&fixture, &seller, &JournalFilter::default(), 17).await;
    assert_eq!(found.iter().map(|j| j.journal_id).collect::<Vec<_>>(), expected(&known, |k| k.agent == agent(1)));
    for journal in &found {
        let hidden = known.iter().filter(|k| k.journal == journal.journal_id && k.agent != agent(1)).count();
        assert_eq!(journal.hidden_postings, hidden as u64);
        let own = |name: &str| name.parse::<AccountName>().unwrap().agent().is_none_or(|id| id == agent(1));
        assert!(journal.postings.iter().all(|posting| own(&posting.account)), "{journal:?}");
        assert_eq!(journal.postings.iter().map(|posting| posting.amount).sum::<i64>(), 0);
    }
    let foreign = expected(&known, |k| k.agent != agent(1));
    let hidden = foreign.iter().find(|id| found.iter().all(|j| j.journal_id != **id)).unwrap();
    assert!(journal_search::journal(&fixture.pool, &seller, *hidden).await.unwrap().is_none());
    let request = PageRequest::new(Some(200), None);
    let own = ledger_accounts(&fixture.pool, &seller, None, &request).await.unwrap();
    assert_eq!(own.items.iter().map(|a| a.kind.as_str()).collect::<Vec<_>>(), ["available", "held"]);
    for stranger in [auditor(OTHER), Actor { role: Role::SuperAdmin, ..auditor(OTHER) }] {
        assert!(all(&fixture, &stranger, &JournalFilter::default(), 50).await.is_empty());
        assert!(ledger_accounts(&fixture.pool, &stranger, None, &request).await.unwrap().items.is_empty());
        let first = known[0].journal;
        assert!(journal_search::journal(&fixture.pool, &stranger, first).await.unwrap().is_none());
        for account in ["issuance".to_owned(), LedgerAccount::Available(agent(1)).to_string()] {
            let name: AccountName = account.parse().unwrap();
            for at in [None, Some(Moment::Position(position))] {
                assert_eq!(account_balance(&fixture.pool, OTHER, &name, at).await.unwrap().balance, 0);
            }
        }
    }
    fixture.finish().await;
}

#[tokio::test]
async fn the_list_of_accounts_is_whole_by_pages_of_any_size() {
    let fixture = Fixture::new().await;
    let mut dice = Dice(53);
    let position = fixture.append(History::default().facts(&mut dice, AGENTS, 300)).await;
    project(&fixture, position).await;
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for posting in known(&fixture, TENANT).await {
        *sums.entry(posting.account).or_default() += posting.amount;
        sums.entry(LedgerAccount::Available(posting.agent).to_string()).or_default();
        sums.entry(LedgerAccount::Held(posting.agent).to_string()).or_default();
    }
    let actor = auditor(TENANT);
    for limit in [1, 2, 3, 7, 200] {
        for kind in [None, Some("held"), Some("sales"), Some("issuance"), Some("transit")] {
            let (mut found, mut cursor) = (Vec::new(), None);
            loop {
                let request = PageRequest::new(Some(limit), cursor);
                let page = ledger_accounts(&fixture.pool, &actor, kind, &request).await.unwrap();
                found.extend(page.items.into_iter().map(|account| (account.account, account.balance)));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            let of_kind = |name: &str| kind.is_none_or(|kind| name.parse::<AccountName>().unwrap().kind() == kind);
            let wanted: Vec<_> = sums.iter().filter(|(name, _)| of_kind(name)).map(|(n, b)| (n.clone(), *b)).collect();
            assert_eq!(found, wanted, "by {limit}, kind {kind:?}");
        }
    }
    fixture.finish().await;
}
