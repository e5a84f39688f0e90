//! Who may do what to whom: a table of use cases and roles.

use quotary_commands::{CommandError, Outcome, Refusal};
use quotary_domain::account::Username;
use quotary_domain::license_batch::ExportFormat;
use quotary_domain::withdrawal::WithdrawalError;
use quotary_domain::{Actor, Role, project};

use crate::house::{House, Shop, context, create, password, quota, refusal, username};
use crate::licenses::licence;

/// What a use case says to an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Yes,
    No,
}
use Says::{No, Yes};

fn says<T: std::fmt::Debug>(outcome: Outcome<T>) -> Says {
    match outcome {
        Ok(_) => Yes,
        Err(CommandError::Refused(Refusal::Forbidden | Refusal::NotFound(_))) => No,
        Err(other) => panic!("{other:?}"),
    }
}

/// A vendor's people: an agent admin with an agent below it, and one of each other role, all right below the boss.
struct People {
    house: House,
    shop: Shop,
    target: Actor,
    /// Super admin, agent admin above the target, another agent admin, another agent, analyst, auditor.
    actors: [Actor; 6],
}

async fn people() -> People {
    let house = House::new().await;
    let shop = house.shop(1, 5).await;
    let admin = house.account(Role::AgentAdmin).await;
    let target = house.account_below(Role::Agent, vec![house.boss.account_id, admin.account_id]).await;
    house.here.grant_project(&context(admin), shop.project, target.account_id, None).await.unwrap();
    let actors = [
        house.account(Role::SuperAdmin).await,
        admin,
        house.account(Role::AgentAdmin).await,
        house.account(Role::Agent).await,
        house.account(Role::Analyst).await,
        house.account(Role::Auditor).await,
    ];
    for holder in [target, actors[0], actors[1], actors[2], actors[3]] {
        house.give(&house.here, holder, 1_000).await;
    }
    People { house, shop, target, actors }
}

/// The answers of one use case to all actors, in their order.
macro_rules! answers {
    ($people:expr, |$actor:ident| $call:expr) => {{
        let mut answers = vec![];
        for actor in $people.actors {
            let $actor = context(actor);
            answers.push(says($call.await));
        }
        answers
    }};
}

#[tokio::test]
async fn each_use_case_is_open_to_the_roles_it_is_for_and_to_no_other() {
    let people = people().await;
    let (by, shop, target) = (&people.house.here, people.shop, people.target.account_id);
    let license = licence(&people.house, shop, people.target).await;
    let managers = [Yes, Yes, No, No, No, No];
    let vendor = [Yes, No, No, No, No, No];
    let terms = quotary_domain::license::LicenseTerms::usual(None, 1, vec![]);
    let plan = || project::Plan::new("x".into(), quota(0), terms.clone());
    let details = || project::ProjectDetails { name: "x".into(), description: None, version: None, callback_url: None };
    let (id, grant) = (shop.project, None);

    assert_eq!(answers!(people, |c| by.create_project(&c, details())), vendor);
    assert_eq!(answers!(people, |c| by.change_project(&c, id, project_change())), vendor);
    assert_eq!(answers!(people, |c| by.add_plan(&c, id, plan())), vendor);
    assert_eq!(answers!(people, |c| by.rotate_credentials(&c, id, 0)), vendor);
    assert_eq!(answers!(people, |c| by.disable_project(&c, id)), vendor);
    assert_eq!(answers!(people, |c| by.enable_project(&c, id)), vendor);
    assert_eq!(answers!(people, |c| by.renew_license(&c, license, 1)), vendor);

    assert_eq!(answers!(people, |c| by.disable_account(&c, target)), managers);
    assert_eq!(answers!(people, |c| by.enable_account(&c, target)), managers);
    assert_eq!(answers!(people, |c| by.unlock_account(&c, target)), managers);
    assert_eq!(answers!(people, |c| by.revoke_grant(&c, id, target)), managers);
    assert_eq!(answers!(people, |c| by.grant_project(&c, id, target, grant)), managers);
    assert_eq!(answers!(people, |c| by.top_up(&c, target, quota(1), None)), managers);
    assert_eq!(answers!(people, |c| by.disable_license(&c, license)), managers);
    assert_eq!(answers!(people, |c| by.enable_license(&c, license)), managers);
    assert_eq!(answers!(people, |c| by.revoke_license(&c, license, None)), managers);

    let holders = [Yes, Yes, Yes, Yes, No, No];
    assert_eq!(answers!(people, |c| by.transfer_to(&c, target, quota(1), None)), holders);
    assert_eq!(answers!(people, |c| by.request_withdrawal(&c, quota(1), "{}".to_owned().into())), holders);
    people.house.leave().await;
}

fn project_change() -> quotary_commands::project::change::ChangeProject {
    quotary_commands::project::change::ChangeProject { name: Some("renamed".into()), ..Default::default() }
}

#[tokio::test]
async fn a_disabled_account_can_do_nothing_and_a_wrong_role_in_a_token_neither() {
    let people = people().await;
    let (house, shop, target) = (&people.house, people.shop, people.target.account_id);
    let license = licence(house, shop, people.target).await;
    let batch =
        house.here.request_batch(&context(people.target), shop.project, shop.plan, 1).await.unwrap().value.batch_id;
    let there = house.another("there").await;
    let other_boss = people.actors[0];
    there.disable_account(&context(house.boss), other_boss.account_id).await.unwrap();
    there.disable_account(&context(house.boss), target).await.unwrap();
    let pretender = Actor { role: Role::SuperAdmin, ..people.actors[3] };
    for actor in [other_boss, pretender] {
        let c = context(actor);
        assert_eq!(refusal(house.here.disable_project(&c, shop.project).await), Refusal::Forbidden);
        assert_eq!(refusal(house.here.top_up(&c, target, quota(1), None).await), Refusal::Forbidden);
        assert_eq!(refusal(house.here.grant_project(&c, shop.project, target, None).await), Refusal::Forbidden);
        assert_eq!(refusal(house.here.enable_account(&c, target).await), Refusal::Forbidden);
        assert_eq!(refusal(house.here.disable_license(&c, license).await), Refusal::Forbidden);
        assert_eq!(refusal(create(&house.here, &c, "eve", "eve@example.com", quota(0)).await), Refusal::Forbidden);
    }
    let c = context(people.target);
    let to = people.actors[3].account_id;
    assert_eq!(refusal(house.here.transfer_to(&c, to, quota(1), None).await), Refusal::Forbidden);
    assert_eq!(refusal(house.here.request_batch(&c, shop.project, shop.plan, 1).await), Refusal::Forbidden);
    assert_eq!(refusal(house.here.request_withdrawal(&c, quota(1), "{}".to_owned().into()).await), Refusal::Forbidden);
    assert_eq!(refusal(house.here.record_export(&c, batch, ExportFormat::Csv).await), Refusal::Forbidden);
    assert_eq!(refusal(house.here.disable_license(&c, license).await), Refusal::Forbidden);
    let nobody = house.here.disable_project(&crate::house::by_itself(house.boss), shop.project).await;
    assert_eq!(refusal(nobody), Refusal::Forbidden);
    people.house.leave().await;
}

#[tokio::test]
async fn an_agent_admin_pays_its_top_ups_and_a_super_admins_come_from_the_tenant() {
    let people = people().await;
    let (house, target) = (&people.house, people.target);
    let (boss, admin) = (people.actors[0], people.actors[1]);
    let done = house.here.top_up(&context(admin), target.account_id, quota(400), None).await.unwrap().value;
    assert_eq!(done.paid_by, Some(admin.account_id));
    assert_eq!((house.balance(admin).await.0, house.balance(target).await.0), (600, 1_400));
    let done = house.here.top_up(&context(boss), target.account_id, quota(5), None).await.unwrap().value;
    assert_eq!((done.paid_by, house.balance(boss).await.0), (None, 1_000));
    let too_much = house.here.top_up(&context(admin), target.account_id, quota(601), None).await;
    assert!(matches!(refusal(too_much), Refusal::AgentQuota(_)));
    let oneself = house.here.top_up(&context(admin), admin.account_id, quota(1), None).await;
    assert_eq!(refusal(oneself), Refusal::Forbidden);
    people.house.leave().await;
}

#[tokio::test]
async fn transfers_to_oneself_to_nobody_to_disabled_and_to_roles_without_quota_are_refused() {
    use quotary_domain::agent_quota::AgentQuotaError;
    let people = people().await;
    let (house, target) = (&people.house, people.target);
    let c = context(target);
    let [_, admin, _, other, analyst, _] = people.actors;
    assert_eq!(
        refusal(house.here.transfer_to(&c, target.account_id, quota(1), None).await),
        AgentQuotaError::ToOneself.into()
    );
    let nobody = Username::parse("nobody").unwrap();
    assert_eq!(refusal(house.here.transfer(&c, &nobody, quota(1), None).await), Refusal::NotFound("account"));
    let to = quotary_domain::AccountId(quotary_commands::clock::new_id());
    assert_eq!(refusal(house.here.transfer_to(&c, to, quota(1), None).await), Refusal::NotFound("account"));
    let to = analyst.account_id;
    assert!(matches!(refusal(house.here.transfer_to(&c, to, quota(1), None).await), Refusal::Invalid { .. }));
    house.here.disable_account(&context(house.boss), other.account_id).await.unwrap();
    let to = other.account_id;
    assert_eq!(refusal(house.here.transfer_to(&c, to, quota(1), None).await), Refusal::AccountDisabled);
    assert_eq!(
        refusal(house.here.transfer_to(&c, admin.account_id, quota(0), None).await),
        AgentQuotaError::ZeroAmount.into()
    );
    house.here.transfer(&c, &username(admin.account_id), quota(1), Some("thanks".into())).await.unwrap();
    assert_eq!(house.balance(target).await, (999, 0));
    people.house.leave().await;
}

#[tokio::test]
async fn a_withdrawal_is_held_then_leaves_or_returns_once_by_someone_else_who_manages_the_requester() {
    let people = people().await;
    let (house, target) = (&people.house, people.target);
    let [boss, admin, other_admin, other, analyst, auditor] = people.actors;
    let ask = |amount| {
        let c = context(target);
        async move {
            house.here.request_withdrawal(&c, quota(amount), "{}".to_owned().into()).await.unwrap().value.withdrawal_id
        }
    };
    let (first, second) = (ask(300).await, ask(200).await);
    assert_eq!(house.balance(target).await, (500, 500));
    let own = house.here.approve_withdrawal(&context(target), first).await;
    assert_eq!(refusal(own), WithdrawalError::OwnRequest.into());
    for stranger in [other_admin, other, analyst, auditor] {
        assert_eq!(says(house.here.approve_withdrawal(&context(stranger), first).await), No);
        assert_eq!(says(house.here.refuse_withdrawal(&context(stranger), first, None).await), No);
    }
    house.here.approve_withdrawal(&context(admin), first).await.unwrap();
    let there = house.another("there").await;
    there.approve_withdrawal(&context(boss), first).await.expect("it is approved already");
    assert_eq!(house.balance(target).await, (500, 200));
    assert!(matches!(refusal(there.refuse_withdrawal(&context(boss), first, None).await), Refusal::Withdrawal(_)));
    there.refuse_withdrawal(&context(boss), second, Some("no".into())).await.unwrap();
    house.here.refuse_withdrawal(&context(admin), second, None).await.expect("it is refused already");
    assert_eq!(house.balance(target).await, (700, 0));
    let unpaid = house.here.mark_withdrawal_paid(&context(admin), second, None).await;
    assert!(matches!(refusal(unpaid), Refusal::Withdrawal(_)));
    house.here.mark_withdrawal_paid(&context(admin), first, Some("bank-1".into())).await.unwrap();
    people.house.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_approval_and_a_refusal_at_once_one_stands() {
    let people = people().await;
    let (house, target) = (&people.house, people.target);
    let there = house.another("there").await;
    for _ in 0..10 {
        let asked = house.here.request_withdrawal(&context(target), quota(10), "{}".to_owned().into()).await.unwrap();
        let id = asked.value.withdrawal_id;
        let (yes, no) = (context(people.actors[0]), context(people.actors[1]));
        let (approved, refused) =
            tokio::join!(house.here.approve_withdrawal(&yes, id), there.refuse_withdrawal(&no, id, None));
        assert!(approved.is_ok() != refused.is_ok(), "{approved:?} {refused:?}");
        assert_eq!(house.balance(target).await.1, 0);
    }
    people.house.leave().await;
}

#[tokio::test]
async fn a_grant_ends_by_time_and_by_hand_and_goes_only_to_those_who_sell() {
    let people = people().await;
    let (house, shop) = (&people.house, people.shop);
    let [_, _, _, agent, analyst, _] = people.actors;
    let boss = context(house.boss);
    let past = Some(boss.now - chrono::TimeDelta::seconds(1));
    assert!(matches!(
        refusal(house.here.grant_project(&boss, shop.project, agent.account_id, past).await),
        Refusal::Project(_)
    ));
    let to = analyst.account_id;
    assert!(matches!(refusal(house.here.grant_project(&boss, shop.project, to, None).await), Refusal::Invalid { .. }));
    let end = boss.now + chrono::TimeDelta::hours(1);
    house.here.grant_project(&boss, shop.project, agent.account_id, Some(end)).await.unwrap();
    house.here.request_batch(&context(agent), shop.project, shop.plan, 1).await.unwrap();
    let late = quotary_commands::Context { now: end, ..context(agent) };
    assert!(matches!(refusal(house.here.request_batch(&late, shop.project, shop.plan, 1).await), Refusal::Project(_)));
    house.here.revoke_grant(&boss, shop.project, agent.account_id).await.unwrap();
    house.here.revoke_grant(&boss, shop.project, agent.account_id).await.expect("it is gone already");
    assert!(house.here.request_batch(&context(agent), shop.project, shop.plan, 1).await.is_err());
    people.house.leave().await;
}

#[tokio::test]
async fn a_changed_password_ends_the_old_one_and_a_failed_change_changes_nothing() {
    let house = House::new().await;
    let boss = context(house.boss);
    let new = || zeroize::Zeroizing::new("another horse battery".to_owned());
    let wrong = house.here.change_password(&boss, new(), password()).await;
    assert_eq!(refusal(wrong), Refusal::WrongPassword);
    let weak = house.here.change_password(&boss, password(), "short".to_owned().into()).await;
    assert!(matches!(refusal(weak), Refusal::Invalid { .. }));
    house.here.change_password(&boss, password(), new()).await.unwrap();
    assert!(house.here.log_in(Some("acme"), "boss", password(), boss.now).await.is_err());
    house.here.log_in(Some("ACME"), "BOSS", new(), boss.now).await.map(|_| ()).unwrap();
    house.leave().await;
}
