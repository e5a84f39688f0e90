//! Licences: limits hold under races, and everyone may do only what is theirs.

use futures::future::join_all;
use quotary_commands::{CommandError, Refusal};
use quotary_domain::license::{License, LicenseError, Machine, UsedBy};
use quotary_domain::project::ProjectError;
use quotary_domain::{Actor, LicenseId, Role};

use crate::house::{House, Shop, by_itself, context, refusal};

/// One licence of a new batch.
pub async fn licence(house: &House, shop: Shop, seller: Actor) -> LicenseId {
    let asked = house.here.request_batch(&context(seller), shop.project, shop.plan, 1).await.unwrap().value;
    house.here.issue_chunk(&by_itself(house.boss), asked.batch_id).await.unwrap();
    let id: uuid::Uuid = sqlx::query_scalar(
        "select aggregate_id::uuid from events where event_type = 'LicenseIssued' order by position desc limit 1",
    )
    .fetch_one(&house.owner)
    .await
    .unwrap();
    LicenseId(id)
}

fn machine(n: usize) -> Machine {
    Machine::of(format!("machine-{n}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_machines_at_once_a_licence_for_three_takes_exactly_three() {
    let house = House::new().await;
    let there = house.another("there").await;
    let shop = house.shop(0, 3).await;
    let seller = house.seller(shop, 0).await;
    let id = licence(&house, shop, seller).await;
    let tasks = (0..200).map(|n| {
        let (process, context) = (if n % 2 == 0 { house.here.clone() } else { there.clone() }, by_itself(house.boss));
        tokio::spawn(async move {
            // A client asks again when it is told to.
            loop {
                match process.use_license(&context, shop.project, id, machine(n), UsedBy::Verification).await {
                    Err(CommandError::Contention) => {}
                    other => return other,
                }
            }
        })
    });
    let mut bound = 0;
    for outcome in join_all(tasks).await {
        match outcome.unwrap() {
            Ok(_) => bound += 1,
            Err(CommandError::Refused(Refusal::License(LicenseError::TooManyMachines(3)))) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(bound, 3);
    let stored = house.stored::<License>(id).await;
    assert_eq!(stored.machines.len(), 3);
    let head = house.head().await;
    let known: usize = stored.machines[0].fingerprint_hash.trim_start_matches("machine-").parse().unwrap();
    house
        .here
        .use_license(&by_itself(house.boss), shop.project, id, machine(known), UsedBy::Verification)
        .await
        .unwrap();
    assert_eq!(house.head().await, head, "a known machine binds nothing");
    house.leave().await;
}

#[tokio::test]
async fn a_machine_that_leaves_makes_room_and_a_revoked_licence_binds_nobody() {
    let house = House::new().await;
    let shop = house.shop(0, 1).await;
    let seller = house.seller(shop, 0).await;
    let id = licence(&house, shop, seller).await;
    let client = by_itself(house.boss);
    house.here.use_license(&client, shop.project, id, machine(1), UsedBy::Verification).await.unwrap();
    let full = house.here.use_license(&client, shop.project, id, machine(2), UsedBy::Verification).await;
    assert_eq!(refusal(full), LicenseError::TooManyMachines(1).into());
    house.here.deactivate_machine(&client, shop.project, id, "machine-1".into()).await.unwrap();
    let gone = house.here.deactivate_machine(&client, shop.project, id, "machine-1".into()).await;
    assert_eq!(refusal(gone), LicenseError::UnknownMachine.into());
    house.here.use_license(&client, shop.project, id, machine(2), UsedBy::Verification).await.unwrap();
    house.here.unbind_license(&context(seller), id).await.unwrap();
    house.here.disable_license(&context(seller), id).await.unwrap();
    assert!(house.here.use_license(&client, shop.project, id, machine(3), UsedBy::Verification).await.is_err());
    house.here.enable_license(&context(seller), id).await.unwrap();
    house.here.use_license(&client, shop.project, id, machine(3), UsedBy::Verification).await.unwrap();
    house.here.renew_license(&context(house.boss), id, 30).await.unwrap();
    house.here.revoke_license(&context(seller), id, Some("chargeback".into())).await.unwrap();
    assert!(house.here.use_license(&client, shop.project, id, machine(3), UsedBy::Verification).await.is_err());
    house.leave().await;
}

#[tokio::test]
async fn a_licence_is_its_sellers_and_its_projects_business_and_nobody_elses() {
    let house = House::new().await;
    let (shop, other_shop) = (house.shop(0, 1).await, house.shop(0, 1).await);
    let admin = house.account(Role::AgentAdmin).await;
    let seller = house.account_below(Role::Agent, vec![house.boss.account_id, admin.account_id]).await;
    house.here.grant_project(&context(admin), shop.project, seller.account_id, None).await.unwrap();
    let id = licence(&house, shop, seller).await;
    let stranger = house.agent(0).await;
    let other_admin = house.account(Role::AgentAdmin).await;
    for actor in [stranger, other_admin] {
        let outcome = house.here.disable_license(&context(actor), id).await;
        assert!(matches!(refusal(outcome), Refusal::NotFound("license") | Refusal::Forbidden), "{actor:?}");
    }
    house.here.disable_license(&context(admin), id).await.expect("whoever manages the seller may");
    house.here.enable_license(&context(house.boss), id).await.unwrap();
    let renewed = house.here.renew_license(&context(seller), id, 10).await;
    assert_eq!(refusal(renewed), Refusal::Forbidden, "days are the vendor's to give");
    let client = by_itself(house.boss);
    let elsewhere = house.here.use_license(&client, other_shop.project, id, machine(1), UsedBy::Verification).await;
    assert_eq!(refusal(elsewhere), Refusal::NotFound("license"));
    house.here.disable_project(&context(house.boss), shop.project).await.unwrap();
    let stopped = house.here.use_license(&client, shop.project, id, machine(1), UsedBy::Verification).await;
    assert_eq!(refusal(stopped), ProjectError::Disabled.into());
    house.leave().await;
}
