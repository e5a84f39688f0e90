//! Tenants never mix: what belongs to another does not exist, for every use case that takes an id.

use quotary_commands::project::change::ChangeProject;
use quotary_commands::{CommandError, Outcome, Refusal};
use quotary_domain::license::{Machine, UsedBy};
use quotary_domain::license_batch::ExportFormat;
use quotary_domain::project;

use crate::house::{House, context, quota, username, vendor};
use crate::licenses::licence;

fn hidden<T: std::fmt::Debug>(outcome: Outcome<T>) {
    match outcome {
        Err(CommandError::OtherTenant | CommandError::Refused(Refusal::NotFound(_))) => {}
        other => panic!("another tenant's thing was not hidden: {other:?}"),
    }
}

#[tokio::test]
async fn another_tenants_ids_do_not_exist_for_any_use_case() {
    let house = House::new().await;
    let there = house.another("there").await;
    let shop = house.shop(1, 1).await;
    let seller = house.seller(shop, 100).await;
    let license = licence(&house, shop, seller).await;
    let batch = house.here.request_batch(&context(seller), shop.project, shop.plan, 1).await.unwrap().value.batch_id;
    let payee = || "{}".to_owned().into();
    let withdrawal =
        house.here.request_withdrawal(&context(seller), quota(5), payee()).await.unwrap().value.withdrawal_id;
    let stranger = vendor(&house.here, "umbrella").await;
    let own_shop = {
        let details =
            project::ProjectDetails { name: "own".into(), description: None, version: None, callback_url: None };
        house.here.create_project(&context(stranger), details).await.unwrap().value.after.project_id
    };
    let head = house.head().await;
    let agent = seller.account_id;
    let machine = || Machine::of("m");
    let terms = quotary_domain::license::LicenseTerms::usual(None, 1, vec![]);
    let plan = project::Plan::new("x".into(), quota(0), terms);
    // A cache that knows the aggregates and one that does not give the same answers.
    for by in [&house.here, &there] {
        let c = context(stranger);
        hidden(by.disable_account(&c, agent).await);
        hidden(by.enable_account(&c, agent).await);
        hidden(by.unlock_account(&c, agent).await);
        hidden(by.change_project(&c, shop.project, ChangeProject::default()).await);
        hidden(by.disable_project(&c, shop.project).await);
        hidden(by.enable_project(&c, shop.project).await);
        hidden(by.rotate_credentials(&c, shop.project, 1).await);
        hidden(by.add_plan(&c, shop.project, plan.clone()).await);
        hidden(by.grant_project(&c, shop.project, stranger.account_id, None).await);
        hidden(by.grant_project(&c, own_shop, agent, None).await);
        hidden(by.revoke_grant(&c, shop.project, agent).await);
        hidden(by.top_up(&c, agent, quota(1), None).await);
        hidden(by.transfer_to(&c, agent, quota(1), None).await);
        hidden(by.transfer(&c, &username(agent), quota(1), None).await);
        hidden(by.request_batch(&c, shop.project, shop.plan, 1).await);
        hidden(by.issue_chunk(&c, batch).await);
        hidden(by.record_export(&c, batch, ExportFormat::Csv).await);
        hidden(by.approve_withdrawal(&c, withdrawal).await);
        hidden(by.refuse_withdrawal(&c, withdrawal, None).await);
        hidden(by.mark_withdrawal_paid(&c, withdrawal, None).await);
        hidden(by.disable_license(&c, license).await);
        hidden(by.enable_license(&c, license).await);
        hidden(by.revoke_license(&c, license, None).await);
        hidden(by.renew_license(&c, license, 1).await);
        hidden(by.unbind_license(&c, license).await);
        hidden(by.use_license(&c, shop.project, license, machine(), UsedBy::Verification).await);
        hidden(by.use_license(&c, own_shop, license, machine(), UsedBy::Verification).await);
        hidden(by.deactivate_machine(&c, shop.project, license, "m".into()).await);
    }
    assert_eq!(house.head().await, head, "nothing was written");
    house.leave().await;
}
