//! An erasure that was decided happens, also if the process ended before it deleted the key; one that was not, does not.

use chrono::TimeDelta;
use quotary_commands::account::secrets::known_data_key;
use quotary_commands::{CommandError, Plan, Refusal, Unit, VaultError, clock};
use quotary_domain::account::{Account, AccountCommand};
use quotary_domain::{Actor, Role};

use crate::house::{House, by_itself, context, quota, refusal};

/// An agent whose bank details are sealed, and that is disabled with nothing waiting.
async fn gone(house: &House) -> Actor {
    let agent = house.agent(10).await;
    let asked = house.here.request_withdrawal(&context(agent), quota(1), "{}".to_owned().into()).await.unwrap();
    house.here.cancel_withdrawal(&context(agent), asked.value.withdrawal_id).await.unwrap();
    house.here.disable_account(&context(house.boss), agent.account_id).await.unwrap();
    agent
}

async fn has_key(house: &House, agent: Actor) -> bool {
    let log = house.here.log();
    match known_data_key(log.pool(), log.vault(), agent.tenant_id, agent.account_id).await {
        Ok(_) => true,
        Err(CommandError::Vault(VaultError::Erased)) => false,
        Err(error) => panic!("{error:?}"),
    }
}

/// The intention that a command notes before it decides.
async fn intend(house: &House, agent: Actor) {
    let noted = sqlx::query("update data_keys set erasing_since = $2 where subject_id = $1")
        .bind(agent.account_id.0)
        .bind(clock::now())
        .execute(&house.owner)
        .await
        .unwrap();
    assert_eq!(noted.rows_affected(), 1);
}

#[tokio::test]
async fn a_process_that_ended_behind_the_event_is_made_up_for() {
    let house = House::new().await;
    let (agent, second) = (gone(&house).await, house.account(Role::SuperAdmin).await);
    // All that a command does before it deletes the key.
    intend(&house, agent).await;
    let mut plan = Plan::new();
    let account = plan.open::<Account>(agent.account_id);
    let both = [house.boss.account_id, second.account_id];
    let decide = |unit: &mut Unit| {
        for by in both {
            unit.decide(account, AccountCommand::ErasePersonalData { by })?;
        }
        Ok::<_, Refusal>(())
    };
    house.here.log().execute(&by_itself(house.boss), &plan, decide).await.unwrap();
    assert!(has_key(&house, agent).await);
    let there = house.another("there").await;
    assert_eq!(there.finish_erasures(clock::now()).await.unwrap(), 1);
    assert!(!has_key(&house, agent).await);
    assert_eq!(there.finish_erasures(clock::now()).await.unwrap(), 0);
    house.leave().await;
}

#[tokio::test]
async fn what_is_approved_is_paid_before_its_bank_details_are_erased() {
    let house = House::new().await;
    let (agent, boss) = (house.agent(10).await, context(house.boss));
    let ask = async |amount| {
        let asked = house.here.request_withdrawal(&context(agent), quota(amount), "{}".to_owned().into()).await;
        asked.unwrap().value.withdrawal_id
    };
    let (paid, open) = (ask(1).await, ask(2).await);
    for id in [paid, open] {
        house.here.approve_withdrawal(&boss, id).await.unwrap();
    }
    house.here.mark_withdrawal_paid(&boss, paid, None).await.unwrap();
    house.here.disable_account(&boss, agent.account_id).await.unwrap();
    let second = context(house.account(Role::SuperAdmin).await);
    for by in [&boss, &second] {
        let refused = house.here.erase_personal_data(by, agent.account_id).await;
        assert_eq!(refusal(refused), Refusal::WithdrawalUnpaid(open));
    }
    assert_eq!(house.count("select count(*) from events where event_type like 'PersonalData%'").await, 0);
    assert!(has_key(&house, agent).await);
    house.here.mark_withdrawal_paid(&boss, open, None).await.unwrap();
    for by in [&boss, &second] {
        house.here.erase_personal_data(by, agent.account_id).await.unwrap();
    }
    assert!(!has_key(&house, agent).await);
    house.leave().await;
}

#[tokio::test]
async fn an_intention_without_its_event_erases_nothing_and_is_forgotten() {
    let house = House::new().await;
    let agent = gone(&house).await;
    house.here.erase_personal_data(&context(house.boss), agent.account_id).await.unwrap();
    for later in [TimeDelta::zero(), TimeDelta::hours(1)] {
        assert_eq!(house.here.finish_erasures(clock::now() + later).await.unwrap(), 0);
        assert!(has_key(&house, agent).await);
    }
    assert_eq!(house.count("select count(*) from data_keys where erasing_since is not null").await, 0);
    house.leave().await;
}
