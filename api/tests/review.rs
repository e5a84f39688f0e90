//! Movements under risk rules over HTTP: who is asked, who sees what, who is told.

mod stand;

use axum::http::Method;
use quotary_commands::account::secrets::known_data_key;
use quotary_commands::{CommandError, Context, VaultError, clock};
use quotary_domain::{Quota, Role};
use serde_json::{Value, json};
use stand::{Answer, Stand, id};

async fn set_rules(stand: &Stand, rules: &Value) -> Answer {
    stand.call(Method::PUT, "/v1/risk-rules", Some(&stand.token(stand.admin)), Some(&rules.to_string())).await
}

async fn give(stand: &Stand, amount: i64) {
    let body = json!({ "agent_id": id(stand.agent), "amount": amount });
    stand.post(stand.admin, "/v1/quota/top-ups", &body).await.expect(201);
}

fn kinds(notices: &Answer) -> Vec<String> {
    let items = notices.body["items"].as_array().expect("a list");
    items.iter().map(|item| item["kind"].as_str().expect("a kind").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_set_and_read_whole_and_what_makes_no_sense_is_refused() {
    let stand = Stand::new().await;
    let rules = json!({
        "min_transfer": 5, "max_withdrawn_per_day": 100, "second_person_above": 1000, "review_within_minutes": 60,
        "transfers": { "amount_above": 50, "window": { "minutes": 60, "sum_above": 80, "count_above": 10 },
                       "new_receiver_above": 20, "night_above": 30 },
        "withdrawals": { "amount_above": 40 },
        "night": { "from_minute": 1380, "to_minute": 360, "utc_offset_minutes": 480 },
    });
    let set = set_rules(&stand, &rules).await.expect(200);
    assert_eq!(set.body, rules);
    let read = stand.get(stand.agent_admin, "/v1/risk-rules").await.expect(200);
    assert_eq!((read.body, read.headers.get("etag").unwrap().to_str().unwrap()), (rules.clone(), "\"1\""));
    assert_eq!(
        stand.get(stand.other_admin, "/v1/risk-rules").await.body,
        json!({ "transfers": {}, "withdrawals": {} })
    );
    let head = stand.head().await;
    set_rules(&stand, &rules).await.expect(200);
    for (bad, status, code) in [
        (json!({ "transfers": { "night_above": 1 } }), 422, "validation-failed"),
        (json!({ "withdrawals": { "new_receiver_above": 1 } }), 422, "validation-failed"),
        (json!({ "transfers": { "window": { "minutes": 60 } } }), 422, "validation-failed"),
        (json!({ "transfers": { "window": { "minutes": 4, "sum_above": 1 } } }), 422, "validation-failed"),
        (json!({ "review_within_minutes": 0 }), 422, "validation-failed"),
        (json!({ "min_transfer": -1 }), 422, "validation-failed"),
        (json!({ "min_transfer": "5" }), 400, "wrong-type"),
        (json!({ "transfer": {} }), 400, "unknown-field"),
    ] {
        set_rules(&stand, &bad).await.refused(status, code);
    }
    assert_eq!(stand.head().await, head, "what is refused or says nothing new is not written");
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_transfer_is_listed_for_those_who_decide_and_hidden_from_others() {
    let stand = Stand::new().await;
    let stranger = stand.account(stand.admin, "stranger", Role::Agent).await;
    let other_manager = stand.account(stand.admin, "other-manager", Role::AgentAdmin).await;
    let (manager, seller, admin) = (stand.agent_admin, stand.agent, stand.admin);
    give(&stand, 500).await;
    set_rules(&stand, &json!({ "transfers": { "amount_above": 100 }, "review_within_minutes": 60 })).await.expect(200);
    let body = json!({ "to_username": "analyst", "amount": 200 });
    stand.post(seller, "/v1/quota/transfers", &body).await.refused(422, "validation-failed");
    stand
        .post(seller, "/v1/quota/transfers", &json!({ "to_username": "stranger", "amount": 501 }))
        .await
        .refused(409, "insufficient-quota");
    let body = json!({ "to_username": "stranger", "amount": 200, "note": "for May" });
    let sent = stand.post(seller, "/v1/quota/transfers", &body).await.expect(201);
    assert_eq!(sent.body["status"], "suspended");
    assert_eq!(sent.body["review"]["reasons"], json!([{ "rule": "amount-above", "limit": 100 }]));
    assert!(sent.body["review"]["expires_at"].is_string());
    let location = sent.header("location").to_owned();
    let account = format!("/v1/quota/accounts/{}", id(seller));
    let balance = stand.get(manager, &account).await.body;
    assert_eq!((&balance["available"], &balance["held"]), (&json!(300), &json!(200)));
    let holds = stand.get(manager, &format!("{account}/holds")).await.expect(200).body;
    assert_eq!((&holds["items"][0]["amount_left"], &holds["items"][0]["purpose"]), (&json!(200), &json!("transfer")));
    stand.get(stranger, &format!("{account}/holds")).await.refused(404, "not-found");

    // Both parties, those above and auditors see it; nobody else does.
    for actor in [seller, stranger, manager, admin, stand.auditor] {
        assert_eq!(stand.get(actor, &location).await.expect(200).body["status"], "suspended");
    }
    for actor in [other_manager, stand.other_admin] {
        stand.get(actor, &location).await.refused(404, "not-found");
        let listed = stand.get(actor, "/v1/quota/transfers?status=suspended&order=oldest").await.body;
        assert_eq!(listed["items"], json!([]));
    }
    let listed = stand.get(manager, "/v1/quota/transfers?status=suspended&order=oldest").await.expect(200).body;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    stand.get(manager, "/v1/quota/transfers?status=held").await.refused(400, "invalid-parameter");

    // Deciding is for the admins of the giver.
    let head = stand.head().await;
    let release = format!("{location}/release");
    stand.post(other_manager, &release, &json!({})).await.refused(404, "not-found");
    stand.post(stand.other_admin, &release, &json!({})).await.refused(404, "not-found");
    stand.post(stranger, &release, &json!({})).await.refused(403, "forbidden");
    stand.post(seller, &release, &json!({})).await.refused(403, "forbidden");
    stand.post(manager, &release, &json!({ "amount": 201 })).await.refused(422, "validation-failed");
    stand.post(manager, &release, &json!({ "amount": 0 })).await.refused(422, "validation-failed");
    assert_eq!(stand.head().await, head, "refusals change nothing");
    let released = stand.post(manager, &release, &json!({ "amount": 150 })).await.expect(200);
    assert_eq!(
        (&released.body["status"], &released.body["review"]["released_amount"]),
        (&json!("completed"), &json!(150))
    );
    stand.post(admin, &release, &json!({})).await.refused(409, "transfer-not-suspended");
    stand.post(admin, &format!("{location}/refuse"), &json!({})).await.refused(409, "transfer-not-suspended");
    let seen = stand.get(stranger, &location).await.expect(200).body;
    assert_eq!((&seen["status"], &seen["amount"]), (&json!("completed"), &json!(200)));
    assert_eq!(seen["review"]["decided_by"], json!(id(manager)));
    let balance = stand.get(manager, &account).await.body;
    assert_eq!((&balance["available"], &balance["held"]), (&json!(350), &json!(0)));
    assert_eq!(stand.get(manager, &format!("{account}/holds")).await.body["items"], json!([]));

    // Everyone concerned is told, each thing once, with a way to it.
    for actor in [stranger, manager] {
        let told = stand.get(actor, "/v1/notices").await.expect(200);
        assert_eq!(kinds(&told), ["transfer-released", "transfer-suspended"]);
        assert_eq!(told.body["items"][0]["path"], json!(location));
        assert_eq!((&told.body["items"][0]["amount"], &told.body["items"][1]["amount"]), (&json!(150), &json!(200)));
    }
    assert_eq!(
        kinds(&stand.get(seller, "/v1/notices").await),
        ["transfer-released", "transfer-suspended", "top-up-received"]
    );
    for actor in [other_manager, stand.other_admin, stand.auditor] {
        assert_eq!(kinds(&stand.get(actor, "/v1/notices").await), Vec::<String>::new());
    }
    let page = stand.get(seller, "/v1/notices?limit=2").await.body;
    let rest = format!("/v1/notices?limit=2&cursor={}", page["next_cursor"].as_str().unwrap());
    assert_eq!(kinds(&stand.get(seller, &rest).await), ["top-up-received"]);
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_top_up_waits_for_another_super_admin_and_makes_one_movement() {
    let stand = Stand::new().await;
    let second = stand.account(stand.admin, "second", Role::SuperAdmin).await;
    set_rules(&stand, &json!({ "second_person_above": 1_000 })).await.expect(200);
    let body = json!({ "agent_id": id(stand.agent), "amount": 1_001 });
    let given = stand.post(stand.admin, "/v1/quota/top-ups", &body).await.expect(201);
    assert_eq!((&given.body["status"], &given.body["from"]), (&json!("suspended"), &Value::Null));
    let release = format!("{}/release", given.header("location"));
    stand.post(stand.admin, &release, &json!({})).await.refused(403, "second-person-required");
    stand.post(stand.agent_admin, &release, &json!({})).await.refused(403, "forbidden");
    assert!(kinds(&stand.get(second, "/v1/notices").await).contains(&"transfer-suspended".to_owned()));
    stand.post(second, &release, &json!({})).await.expect(200);
    let listed = stand.get(stand.admin, "/v1/quota/transfers").await.body;
    let items = listed["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{listed}");
    assert_eq!((&items[0]["status"], &items[0]["amount"]), (&json!("completed"), &json!(1_001)));
    let account = format!("/v1/quota/accounts/{}", id(stand.agent));
    assert_eq!(stand.get(stand.agent_admin, &account).await.body["available"], 1_001);
    let (id_of, head) = (items[0]["id"].as_str().unwrap().to_owned(), stand.head().await.to_string());
    let path = format!("/v1/ledger/journals/{id_of}/reverse");
    let (body, token) = (json!({ "amount": 1, "reason": "one too many" }).to_string(), stand.token(stand.admin));
    let headers = [("quotary-min-position", head.as_str())];
    stand.call_with(axum::http::Method::POST, &path, Some(&token), Some(&body), &headers).await.expect(201);
    let seen = stand.get(stand.admin, &format!("/v1/quota/transfers/{id_of}")).await.expect(200).body;
    assert_eq!((&seen["status"], &seen["reversal"]["amount"]), (&json!("partly_reversed"), &json!(1)), "{seen}");
    assert_eq!(stand.get(stand.agent_admin, &account).await.body["available"], 1_000);
    let opening = json!({ "username": "rich", "email": "rich@acme.example", "role": "agent", "opening_quota": 2_000 });
    let rich = stand.post(stand.admin, "/v1/agents", &opening).await.expect(201);
    let account = format!("/v1/quota/accounts/{}", rich.body["id"].as_str().unwrap());
    assert_eq!(stand.get(stand.admin, &account).await.body["available"], 0, "no way around the second person");
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_is_suspended_released_by_one_and_approved_by_another() {
    let stand = Stand::new().await;
    let (manager, seller, admin) = (stand.agent_admin, stand.agent, stand.admin);
    give(&stand, 500).await;
    set_rules(
        &stand,
        &json!({ "withdrawals": { "amount_above": 100 }, "min_withdrawal": 10, "max_withdrawn_per_day": 300 }),
    )
    .await
    .expect(200);
    let payee = json!({ "bank": "First", "account_number": "6222021234567890" });
    let ask = |amount: i64| json!({ "amount": amount, "payee": payee });
    stand.post(seller, "/v1/withdrawals", &ask(9)).await.refused(422, "validation-failed");
    stand.post(seller, "/v1/withdrawals", &ask(301)).await.refused(409, "limit-reached");
    let asked = stand.post(seller, "/v1/withdrawals", &ask(200)).await.expect(201);
    assert_eq!(
        (&asked.body["status"], &asked.body["reasons"][0]["rule"]),
        (&json!("suspended"), &json!("amount-above"))
    );
    let location = asked.header("location").to_owned();
    stand.post(seller, &format!("{location}/release"), &json!({})).await.refused(403, "forbidden");
    stand.post(manager, &format!("{location}/approve"), &json!({})).await.refused(409, "wrong-status");
    let released = stand.post(manager, &format!("{location}/release"), &json!({ "amount": 120 })).await.expect(200);
    assert_eq!((&released.body["status"], &released.body["amount"]), (&json!("requested"), &json!(120)));
    stand.post(manager, &format!("{location}/approve"), &json!({})).await.refused(403, "second-person-required");
    stand.post(admin, &format!("{location}/approve"), &json!({})).await.expect(200);
    stand.post(seller, &format!("{location}/cancel"), &json!({})).await.refused(409, "wrong-status");
    stand.post(manager, &format!("{location}/mark-paid"), &json!({ "reference": "42" })).await.expect(200);
    let seen = stand.get(seller, &location).await.expect(200).body;
    assert_eq!((&seen["status"], &seen["amount"], &seen["asked_amount"]), (&json!("paid"), &json!(120), &json!(200)));
    let account = format!("/v1/quota/accounts/{}", id(seller));
    let balance = stand.get(manager, &account).await.body;
    assert_eq!((&balance["available"], &balance["held"]), (&json!(380), &json!(0)));
    assert_eq!(
        kinds(&stand.get(manager, "/v1/notices").await),
        ["withdrawal-paid", "withdrawal-approved", "withdrawal-released", "withdrawal-suspended"]
    );

    let asked = stand.post(seller, "/v1/withdrawals", &ask(50)).await.expect(201);
    let cancel = format!("{}/cancel", asked.header("location"));
    stand.post(manager, &cancel, &json!({})).await.refused(403, "forbidden");
    stand.post(stand.other_admin, &cancel, &json!({})).await.refused(404, "not-found");
    let cancelled = stand.post(seller, &cancel, &json!({})).await.expect(200);
    assert_eq!(cancelled.body["status"], "cancelled");
    let listed = stand.get(manager, "/v1/withdrawals?status=cancelled").await.expect(200).body;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(stand.get(manager, &account).await.body["available"], 380);
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_super_admins_erase_a_person_and_no_copy_can_be_read_again() {
    let stand = Stand::new().await;
    let (manager, seller, admin) = (stand.agent_admin, stand.agent, stand.admin);
    let second = stand.account(admin, "second", Role::SuperAdmin).await;
    give(&stand, 500).await;
    let payee = json!({ "bank": "First", "account_number": "6222021234567890" });
    let asked = stand.post(seller, "/v1/withdrawals", &json!({ "amount": 100, "payee": payee })).await.expect(201);
    let location = asked.header("location").to_owned();
    assert_eq!(stand.get(manager, &location).await.expect(200).body["payee"], payee);
    let erase = format!("/v1/agents/{}/erase-personal-data", id(seller));
    stand.post(manager, &erase, &json!({})).await.refused(403, "forbidden");
    stand.post(stand.other_admin, &erase, &json!({})).await.refused(404, "not-found");
    stand.post(admin, &erase, &json!({})).await.refused(409, "wrong-status");
    stand.post(admin, &format!("{location}/approve"), &json!({})).await.expect(200);
    stand.post(admin, &format!("{location}/mark-paid"), &json!({})).await.expect(200);
    stand.post(admin, &erase, &json!({})).await.refused(409, "wrong-status");
    stand.post(admin, &format!("/v1/agents/{}/disable", id(seller)), &json!({})).await.expect(200);
    for _ in 0..2 {
        let asked = stand.post(admin, &erase, &json!({})).await.expect(200);
        assert_eq!(asked.body["personal_data"], "erasure_requested", "one person alone erases nothing");
        assert_eq!(stand.get(manager, &location).await.body["payee"], payee);
    }
    for by in [second, second, admin] {
        assert_eq!(stand.post(by, &erase, &json!({})).await.expect(200).body["personal_data"], "erased");
    }
    let events = "select count(*) from events where event_type = 'PersonalDataErased'";
    let erasures: i64 = sqlx::query_scalar(events).fetch_one(&stand.state.pool).await.unwrap();
    assert_eq!(erasures, 1);

    // Everywhere the sealed text is all there is, and nothing opens it.
    for by in [manager, admin, stand.auditor] {
        let seen = stand.get(by, &location).await.expect(200).body;
        assert_eq!((&seen["payee"], &seen["payee_erased"]), (&Value::Null, &json!(true)));
    }
    let log = stand.state.commands.log();
    let kept = known_data_key(&stand.state.pool, log.vault(), admin.tenant_id, seller.account_id).await;
    assert!(matches!(kept, Err(CommandError::Vault(VaultError::Erased))), "{kept:?}");
    let everything = "select coalesce(string_agg(payload::text, ''), '') || \
        (select coalesce(string_agg(k::text, ''), '') from data_keys k where subject_id = $1) || \
        (select coalesce(string_agg(s::text, ''), '') from account_secrets s where account_id = $1 and email is not null) \
        from events where aggregate_type = 'Withdrawal'";
    let kept: String =
        sqlx::query_scalar(everything).bind(seller.account_id.0).fetch_one(&stand.state.pool).await.unwrap();
    assert!(kept.contains("p1.") && !kept.contains("6222021234567890") && !kept.contains("v1."), "{kept}");
    let trail = stand.get(stand.auditor, "/v1/audit/events?aggregate_type=Withdrawal").await.expect(200).body;
    assert!(!trail.to_string().contains("6222021234567890"));

    // No key comes back: not by enabling, not by hand, not by a new request.
    stand.post(admin, &format!("/v1/agents/{}/enable", id(seller)), &json!({})).await.refused(409, "wrong-status");
    for statement in [
        "delete from data_keys where subject_id = $1",
        "update data_keys set wrapped_key = 'v1.x.y', erased_at = null where subject_id = $1",
    ] {
        let outcome = sqlx::query(statement).bind(seller.account_id.0).execute(&stand.state.pool).await;
        assert!(outcome.is_err(), "{statement}");
    }
    let context = Context::of(seller, "test", clock::now());
    let amount = Quota::new(1).unwrap();
    let again = stand.state.commands.request_withdrawal(&context, amount, payee.to_string().into()).await;
    assert!(matches!(again, Err(CommandError::Vault(VaultError::Erased))), "{again:?}");
    stand.end().await;
}
