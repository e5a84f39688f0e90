//! Accounts, movements, withdrawals and the audit trail: what each role may see, and pages that lose nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod read_model_fixture;

use quotary_domain::account::{Account, AccountEvent, Profile, Username};
use quotary_domain::agent_quota::{AgentQuota, AgentQuotaEvent, TransferKind};
use quotary_domain::tenant::{Tenant, TenantEvent};
use quotary_domain::withdrawal::{Withdrawal, WithdrawalEvent, WithdrawalRequest, WithdrawalStatus};
use quotary_domain::{AccountId, Actor, JournalId, Quota, Role, Sealed, TenantId, WithdrawalId};
use quotary_projections::accounts::{self, AccountFilter, Accounts};
use quotary_projections::audit::{self, ActionFilter, Audit};
use quotary_projections::moment::Moment;
use quotary_projections::movements::{self, MovementFilter, MovementKind, Movements};
use quotary_projections::page::{PageError, PageRequest};
use quotary_projections::withdrawals::{self, WithdrawalFilter, Withdrawals};
use read_model_fixture::{Fact, Fixture, TENANT, fact};
use uuid::Uuid;

const ROOT: AccountId = AccountId(Uuid::from_u128(1));
const ADMIN: AccountId = AccountId(Uuid::from_u128(2));
const CHILD: AccountId = AccountId(Uuid::from_u128(3));
const STRANGER: AccountId = AccountId(Uuid::from_u128(4));
const OTHER_TENANT: TenantId = TenantId(Uuid::from_u128(77));

fn actor(account_id: AccountId, role: Role) -> Actor {
    Actor { tenant_id: TENANT, account_id, role }
}

fn created(id: AccountId, name: &str, role: Role, ancestors: &[AccountId]) -> Fact {
    let profile = Profile { username: Username::parse(name).unwrap(), role, ancestors: ancestors.to_vec() };
    fact::<Account>(id.0, &AccountEvent::AccountCreated(profile))
}

fn tree() -> Vec<Fact> {
    vec![
        fact::<Tenant>(TENANT.0, &TenantEvent::TenantCreated { name: "Acme".to_owned() }),
        created(ROOT, "root", Role::SuperAdmin, &[]),
        created(ADMIN, "boss", Role::AgentAdmin, &[ROOT]),
        created(CHILD, "child_100", Role::Agent, &[ROOT, ADMIN]),
        created(STRANGER, "stranger", Role::Agent, &[ROOT]),
        created(AccountId(Uuid::from_u128(5)), "root", Role::SuperAdmin, &[]).of(OTHER_TENANT),
        fact::<Account>(CHILD.0, &AccountEvent::AccountDisabled {}),
    ]
}

fn amount(minor_units: i64) -> Quota {
    Quota::new(minor_units).unwrap()
}

async fn usernames(fixture: &Fixture, actor: Actor, filter: &AccountFilter, limit: u32) -> Vec<String> {
    let (mut names, mut cursor) = (Vec::new(), None);
    loop {
        let request = PageRequest::new(Some(limit), cursor);
        let page = accounts::list(&fixture.pool, &actor, filter, &request).await.unwrap();
        assert!(page.items.len() <= limit as usize);
        names.extend(page.items.into_iter().map(|account| account.username));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return names;
        }
    }
}

#[tokio::test]
async fn each_role_sees_its_accounts_and_no_other_tenants() {
    let fixture = Fixture::new().await;
    let head = fixture.append(tree()).await;
    fixture.project(Accounts, head).await;
    let all = ["boss", "child_100", "root", "stranger"];
    let none = AccountFilter::default();
    for role in [Role::SuperAdmin, Role::Analyst, Role::Auditor] {
        assert_eq!(usernames(&fixture, actor(ROOT, role), &none, 1).await, all);
    }
    assert_eq!(usernames(&fixture, actor(ADMIN, Role::AgentAdmin), &none, 1).await, ["boss", "child_100"]);
    assert_eq!(usernames(&fixture, actor(CHILD, Role::Agent), &none, 9).await, ["child_100"]);
    let search = AccountFilter { search: Some("D_1".to_owned()), ..AccountFilter::default() };
    assert_eq!(usernames(&fixture, actor(ROOT, Role::SuperAdmin), &search, 9).await, ["child_100"]);
    let wildcard = AccountFilter { search: Some("%".to_owned()), ..AccountFilter::default() };
    assert!(usernames(&fixture, actor(ROOT, Role::SuperAdmin), &wildcard, 9).await.is_empty());

    let child = accounts::by_username(&fixture.pool, TENANT, "child_100").await.unwrap().unwrap();
    assert_eq!((child.account_id, child.parent_id, child.disabled, child.sequence), (CHILD, Some(ADMIN), true, 2));
    assert_eq!(child.ancestors, [ROOT, ADMIN]);
    assert_eq!(accounts::by_id(&fixture.pool, OTHER_TENANT, CHILD).await.unwrap(), None);
    let seen = accounts::visible(&fixture.pool, &actor(ADMIN, Role::AgentAdmin), STRANGER).await.unwrap();
    assert_eq!(seen, None);
    assert_eq!(accounts::only_tenant(&fixture.pool).await.unwrap().unwrap().tenant_id, TENANT);
    assert!(accounts::tenant_by_name(&fixture.pool, "Acme").await.unwrap().is_some());

    // Changes of a later run find the account of an earlier one.
    let head = fixture
        .append(vec![
            fact::<Account>(CHILD.0, &AccountEvent::AccountEnabled {}),
            fact::<Account>(CHILD.0, &AccountEvent::PasswordChanged {}),
        ])
        .await;
    fixture.project(Accounts, head).await;
    let child = accounts::by_id(&fixture.pool, TENANT, CHILD).await.unwrap().unwrap();
    assert_eq!((child.disabled, child.sequence), (false, 4));
    let foreign = PageRequest::new(None, Some("x".to_owned()));
    let bad = accounts::list(&fixture.pool, &actor(ROOT, Role::SuperAdmin), &none, &foreign).await;
    assert!(matches!(bad, Err(PageError::Cursor(_))));
    fixture.finish().await;
}

#[tokio::test]
async fn movements_are_seen_by_both_sides_and_those_above_them() {
    let fixture = Fixture::new().await;
    let mut facts = tree();
    let (top_up, transfer) = (JournalId(Uuid::from_u128(21)), JournalId(Uuid::from_u128(22)));
    let kind = TransferKind::Transfer;
    let note = Some("for May".to_owned());
    facts.extend([
        fact::<AgentQuota>(
            STRANGER.0,
            &AgentQuotaEvent::QuotaToppedUp { journal_id: top_up, amount: amount(50), note: None },
        ),
        fact::<AgentQuota>(
            STRANGER.0,
            &AgentQuotaEvent::QuotaSent {
                journal_id: transfer,
                kind,
                to: CHILD,
                amount: amount(20),
                note: note.clone(),
                at: None,
            },
        ),
        fact::<AgentQuota>(
            CHILD.0,
            &AgentQuotaEvent::QuotaReceived { journal_id: transfer, kind, from: STRANGER, amount: amount(20), note },
        ),
    ]);
    let head = fixture.append(facts).await;
    fixture.project(Accounts, head).await;
    fixture.project(Movements, head).await;
    let request = PageRequest::default();
    let seen = async |actor: Actor| {
        let page = movements::list(&fixture.pool, &actor, &MovementFilter::default(), &request).await.unwrap();
        page.items.into_iter().map(|movement| movement.id).collect::<Vec<_>>()
    };
    assert_eq!(seen(actor(ROOT, Role::SuperAdmin)).await, [transfer, top_up]);
    assert_eq!(seen(actor(STRANGER, Role::Agent)).await, [transfer, top_up]);
    assert_eq!(seen(actor(CHILD, Role::Agent)).await, [transfer]);
    assert_eq!(seen(actor(ADMIN, Role::AgentAdmin)).await, [transfer]);
    let found = movements::get(&fixture.pool, &actor(CHILD, Role::Agent), transfer).await.unwrap().unwrap();
    assert_eq!((found.from, found.to, found.amount, found.kind), (Some(STRANGER), CHILD, 20, MovementKind::Transfer));
    assert_eq!(found.note.as_deref(), Some("for May"));
    assert_eq!(movements::get(&fixture.pool, &actor(CHILD, Role::Agent), top_up).await.unwrap(), None);
    fixture.finish().await;
}

#[tokio::test]
async fn withdrawals_follow_their_steps_within_a_run_and_across_runs() {
    let fixture = Fixture::new().await;
    let mut facts = tree();
    let (paid, open) = (WithdrawalId(Uuid::from_u128(31)), WithdrawalId(Uuid::from_u128(32)));
    let request = |agent_id| {
        WithdrawalEvent::WithdrawalRequested(WithdrawalRequest {
            agent_id,
            amount: amount(9),
            payee: Sealed("v1.k.x".to_owned()),
            reasons: vec![],
            expires_at: None,
        })
    };
    facts.extend([
        fact::<Withdrawal>(paid.0, &request(CHILD)),
        fact::<Withdrawal>(open.0, &request(STRANGER)),
        fact::<Withdrawal>(paid.0, &WithdrawalEvent::WithdrawalApproved { by: ADMIN }),
    ]);
    let head = fixture.append(facts).await;
    fixture.project(Accounts, head).await;
    fixture.project(Withdrawals, head).await;
    let reference = Some("SEPA 1\u{0}".to_owned());
    let head = fixture
        .append(vec![fact::<Withdrawal>(paid.0, &WithdrawalEvent::WithdrawalPaid { by: ROOT, reference })])
        .await;
    fixture.project(Withdrawals, head).await;
    let found = withdrawals::get(&fixture.pool, &actor(ADMIN, Role::AgentAdmin), paid).await.unwrap().unwrap();
    assert_eq!((found.status, found.sequence, found.amount), (WithdrawalStatus::Paid, 3, 9));
    assert_eq!((found.decided_by, found.paid_by), (Some(ADMIN), Some(ROOT)));
    assert!(found.paid_at > found.decided_at && found.decided_at > Some(found.requested_at));
    assert_eq!(found.reference.as_deref(), Some("SEPA 1\u{fffd}"));
    assert_eq!(withdrawals::get(&fixture.pool, &actor(ADMIN, Role::AgentAdmin), open).await.unwrap(), None);
    let filter = WithdrawalFilter { status: Some(WithdrawalStatus::Requested), agent_id: None };
    let everyone = actor(ROOT, Role::Auditor);
    let page = withdrawals::list(&fixture.pool, &everyone, &filter, &PageRequest::default()).await.unwrap();
    assert_eq!(page.items.iter().map(|item| item.withdrawal_id).collect::<Vec<_>>(), [open]);
    fixture.finish().await;
}

#[tokio::test]
async fn the_audit_trail_finds_events_with_their_exact_payloads() {
    let fixture = Fixture::new().await;
    let mut facts = tree();
    facts[3].metadata.actor = Some(ADMIN.to_string());
    let head = fixture.append(facts).await;
    fixture.project(Audit, head).await;
    let log = fixture.log().read_after(0, 100).await.unwrap();
    let find = async |filter: ActionFilter, limit| {
        let events = audit::events(&fixture.pool, TENANT, &filter, limit).await.unwrap();
        for event in &events {
            let place = usize::try_from(event.position).unwrap() - 1;
            assert_eq!(format!("{event:?}"), format!("{:?}", log[place]));
        }
        events.into_iter().map(|event| event.position).collect::<Vec<_>>()
    };
    assert_eq!(find(ActionFilter::default(), 100).await, [1, 2, 3, 4, 5, 7], "position 6 is another tenant's");
    assert_eq!(find(ActionFilter::default(), 2).await, [1, 2]);
    let after =
        ActionFilter { after: Some(Moment::Position(2)), until: Some(Moment::Position(5)), ..Default::default() };
    assert_eq!(find(after, 100).await, [3, 4, 5]);
    let until = ActionFilter { until: Some(Moment::Time(log[1].recorded_at)), ..ActionFilter::default() };
    assert_eq!(find(until, 100).await, [1, 2]);
    let of_child = ActionFilter {
        aggregate_type: Some("Account".to_owned()),
        aggregate_id: Some(CHILD.0),
        ..ActionFilter::default()
    };
    assert_eq!(find(of_child, 100).await, [4, 7]);
    let by_admin = ActionFilter { actor: Some(ADMIN), ..ActionFilter::default() };
    let actions = audit::actions(&fixture.pool, TENANT, &by_admin, &PageRequest::default()).await.unwrap();
    assert_eq!(actions.items.iter().map(|action| action.position).collect::<Vec<_>>(), [4]);
    fixture.finish().await;
}
