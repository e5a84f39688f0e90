//! The tables: what is wrong, and what it is answered.

use axum::http::Method;
use quotary_commands::clock;
use serde_json::json;

use super::scene::{Scene, Shot};

/// Bodies that are no JSON, have other fields or other types, for a transfer.
pub async fn bodies(scene: &mut Scene) {
    let token = scene.shop.seller.token.clone();
    let transfer = |body: Vec<u8>| Shot::post(&token, "/v1/quota/transfers", body);
    let long = "x".repeat(1_000_000);
    let good = json!({ "to_username": "stranger", "amount": 5 }).to_string();
    let malformed: Vec<Vec<u8>> = vec![
        b"{".to_vec(),
        b"nonsense".to_vec(),
        b"\xff\xfe{}".to_vec(),
        b"{\"to_username\":\"\xff\",\"amount\":5}".to_vec(),
        format!("{good} x").into_bytes(),
        b"{\"amount\":5,\"amount\":5,\"to_username\":\"stranger\"}".to_vec(),
        b"{\"amount\":05,\"to_username\":\"stranger\"}".to_vec(),
        b"{\"amount\":NaN,\"to_username\":\"stranger\"}".to_vec(),
        b"{'amount':5}".to_vec(),
        format!("{{\"note\":\"a\",\"to_username\":\"stranger\",{}", "[".repeat(100_000)).into_bytes(),
        "[".repeat(100_000).into_bytes(),
        b"{\"to_username\":\"\\ud800\",\"amount\":5}".to_vec(),
    ];
    scene.refuse_all(malformed.into_iter().map(transfer), 400, "malformed-json").await;
    let wrong_type = [
        "[]",
        "null",
        "5",
        "\"text\"",
        "true",
        r#"{"to_username":5,"amount":5}"#,
        r#"{"to_username":null,"amount":5}"#,
        r#"{"to_username":["stranger"],"amount":5}"#,
        r#"{"to_username":"stranger","amount":"5"}"#,
        r#"{"to_username":"stranger","amount":1.5}"#,
        r#"{"to_username":"stranger","amount":5.0}"#,
        r#"{"to_username":"stranger","amount":5e0}"#,
        r#"{"to_username":"stranger","amount":null}"#,
        r#"{"to_username":"stranger","amount":true}"#,
        r#"{"to_username":"stranger","amount":[5]}"#,
        r#"{"to_username":"stranger","amount":{"minor":5}}"#,
        r#"{"to_username":"stranger","amount":5,"note":5}"#,
    ];
    scene.refuse_all(wrong_type.map(|body| transfer(body.into())), 400, "wrong-type").await;
    let deep = format!("{{\"amount\":{}", "[".repeat(100_000));
    scene.refuse(transfer(deep.into()), 400, "wrong-type").await;
    let unknown = [
        r#"{"to_username":"stranger","amount":5,"x":1}"#,
        r#"{"to_username":"stranger","amount":5,"Amount":5}"#,
        r#"{"to_username":"stranger","amount":5,"__proto__":{}}"#,
        r#"{"to_username":"stranger","amount":5,"from":"manager"}"#,
        r#"{"to_username":"stranger","amount":5,"":0}"#,
    ];
    scene.refuse_all(unknown.map(|body| transfer(body.into())), 400, "unknown-field").await;
    let not_allowed = [
        "{}".to_owned(),
        r#"{"to_username":"stranger"}"#.to_owned(),
        r#"{"to_username":"","amount":5}"#.to_owned(),
        r#"{"to_username":"a b","amount":5}"#.to_owned(),
        r#"{"to_username":"stranger\u0000","amount":5}"#.to_owned(),
        json!({ "to_username": long, "amount": 5 }).to_string(),
        json!({ "to_username": "stranger", "amount": 5, "note": long }).to_string(),
        json!({ "to_username": "stranger", "amount": 5, "note": "a\u{0}b" }).to_string(),
        json!({ "to_username": "seller", "amount": 5 }).to_string(),
        json!({ "to_username": "auditor", "amount": 5 }).to_string(),
    ];
    scene.refuse_all(not_allowed.map(|body| transfer(body.into())), 422, "validation-failed").await;
    let nobody = transfer(json!({ "to_username": "nobody.here", "amount": 5 }).to_string().into());
    scene.refuse(nobody, 404, "not-found").await;
    let large = json!({ "to_username": "stranger", "amount": 5, "note": "x".repeat(1 << 20) }).to_string();
    scene.refuse(transfer(large.into()), 413, "payload-too-large").await;
    let media =
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json", "", "a/b/c"];
    for media in media {
        let shot = transfer(good.clone().into()).without("content-type").with("content-type", media);
        scene.refuse(shot, 415, "unsupported-media-type").await;
    }
    scene.refuse(transfer(good.into()).without("content-type"), 415, "unsupported-media-type").await;
}

/// Amounts and counts that nobody has, wherever one stands in a body.
pub async fn amounts(scene: &mut Scene) {
    let (root, seller) = (scene.shop.vendor.token.clone(), scene.shop.seller.token.clone());
    let (agent, project, plan) = (&scene.shop.seller.id, &scene.shop.project.id, &scene.shop.plan_id);
    let forms: Vec<(String, String, String, bool)> = vec![
        (root.clone(), "/v1/quota/top-ups".into(), format!(r#"{{"agent_id":"{agent}","amount":#}}"#), true),
        (seller.clone(), "/v1/quota/transfers".into(), r#"{"to_username":"stranger","amount":#}"#.into(), true),
        (seller.clone(), "/v1/withdrawals".into(), r#"{"payee":{"bank":"First"},"amount":#}"#.into(), true),
        (
            seller.clone(),
            "/v1/license-batches".into(),
            format!(r#"{{"project_id":"{project}","plan_id":"{plan}","count":#}}"#),
            true,
        ),
        (root.clone(), format!("/v1/projects/{project}/plans"), r#"{"name":"P","unit_price":#}"#.into(), false),
        (
            root.clone(),
            format!("/v1/projects/{project}/plans"),
            r#"{"name":"P","unit_price":1,"max_machines":#}"#.into(),
            true,
        ),
        (
            root.clone(),
            format!("/v1/projects/{project}/plans"),
            r#"{"name":"P","unit_price":1,"duration_days":#}"#.into(),
            true,
        ),
        (root.clone(), format!("/v1/licenses/{}/renew", scene.shop.license_id), r#"{"days":#}"#.into(), true),
        (
            root.clone(),
            "/v1/agents".into(),
            r#"{"username":"new.one","email":"new@first.example","role":"agent","opening_quota":#}"#.into(),
            false,
        ),
    ];
    for (token, path, form, zero_is_wrong) in forms {
        let shot = |amount: &str| Shot::post(&token, path.clone(), form.replace('#', amount));
        for amount in [
            "-1",
            "-9223372036854775808",
            "-99999999999999999999999",
            "9007199254740992",
            "18446744073709551616",
            "1e300",
            "1e400",
        ] {
            scene.refuse(shot(amount), 422, "validation-failed").await;
        }
        for amount in ["\"5\"", "1.5", "5.0", "true", "[]", "{}"] {
            scene.refuse(shot(amount), 400, "wrong-type").await;
        }
        if zero_is_wrong {
            scene.refuse(shot("0"), 422, "validation-failed").await;
        }
    }
    let too_much = [
        Shot::post(&seller, "/v1/quota/transfers", r#"{"to_username":"stranger","amount":9007199254740991}"#),
        Shot::post(&seller, "/v1/withdrawals", r#"{"payee":{"bank":"First"},"amount":9007199254740991}"#),
        Shot::post(
            &seller,
            "/v1/license-batches",
            json!({ "project_id": project_of(scene), "plan_id": scene.shop.plan_id, "count": 1_000_000 }).to_string(),
        ),
    ];
    scene.refuse_all(too_much, 409, "insufficient-quota").await;
    let overflow = json!({ "agent_id": scene.shop.seller.id, "amount": 9_007_199_254_740_991_i64 }).to_string();
    scene.refuse(Shot::post(&root, "/v1/quota/top-ups", overflow), 422, "validation-failed").await;
}

fn project_of(scene: &Scene) -> String {
    scene.shop.project.id.clone()
}

/// What the roles may not do.
pub async fn rights(scene: &mut Scene) {
    let shop = &scene.shop;
    let (manager, seller, analyst, auditor) =
        (&shop.manager.token, &shop.seller.token, &shop.analyst.token, &shop.auditor.token);
    let project = format!("/v1/projects/{}", shop.project.id);
    let withdrawal = format!("/v1/withdrawals/{}", shop.withdrawal_id);
    let agent = format!("/v1/agents/{}", shop.stranger.id);
    let license = format!("/v1/licenses/{}", shop.license_id);
    let batch = format!("/v1/license-batches/{}", shop.batch_id);
    let top_up = json!({ "agent_id": shop.stranger.id, "amount": 5 }).to_string();
    let buy = json!({ "project_id": shop.project.id, "plan_id": shop.plan_id, "count": 1 }).to_string();
    let mut forbidden = Vec::new();
    for token in [manager, seller, analyst, auditor] {
        forbidden.push(Shot::post(token, "/v1/projects", r#"{"name":"Mine"}"#));
        forbidden.push(Shot::new(token, Method::PATCH, project.clone(), r#"{"name":"Mine"}"#));
        for step in ["disable", "enable", "rotate-credentials"] {
            forbidden.push(Shot::post(token, format!("{project}/{step}"), ""));
        }
        forbidden.push(Shot::post(token, format!("{project}/plans"), r#"{"name":"P","unit_price":1}"#));
        forbidden.push(Shot::post(token, format!("{license}/renew"), r#"{"days":1}"#));
    }
    for token in [seller, analyst, auditor] {
        forbidden.push(Shot::post(
            token,
            "/v1/agents",
            r#"{"username":"new.one","email":"a@b.example","role":"agent"}"#,
        ));
        forbidden.push(Shot::post(token, "/v1/quota/top-ups", top_up.clone()));
        forbidden.push(Shot::new(token, Method::PUT, format!("{project}/grants/{}", shop.seller.id), ""));
        forbidden.push(Shot::new(token, Method::DELETE, format!("{project}/grants/{}", shop.seller.id), ""));
        for step in ["approve", "refuse", "mark-paid"] {
            forbidden.push(Shot::post(token, format!("{withdrawal}/{step}"), "{}"));
        }
        for step in ["disable", "enable", "unlock"] {
            forbidden.push(Shot::post(token, format!("{agent}/{step}"), ""));
        }
    }
    for token in [analyst, auditor] {
        forbidden.push(Shot::post(token, "/v1/quota/transfers", r#"{"to_username":"seller","amount":1}"#));
        forbidden.push(Shot::post(token, "/v1/withdrawals", r#"{"payee":{"bank":"First"},"amount":1}"#));
        forbidden.push(Shot::post(token, "/v1/license-batches", buy.clone()));
        forbidden.push(Shot::get(token, format!("{batch}/export")));
        for step in ["unbind", "disable", "enable", "revoke"] {
            forbidden.push(Shot::post(token, format!("{license}/{step}"), "{}"));
        }
    }
    for token in [manager, seller, analyst] {
        forbidden.push(Shot::get(token, "/v1/audit/events"));
    }
    for role in ["super_admin", "auditor", "analyst"] {
        let body = json!({ "username": "new.one", "email": "a@b.example", "role": role }).to_string();
        forbidden.push(Shot::post(manager, "/v1/agents", body));
    }
    // Keys in the clear are for the owner alone.
    forbidden.push(Shot::get(&shop.vendor.token, format!("{batch}/export")));
    let (stranger, root) = (shop.stranger.token.clone(), shop.vendor.token.clone());
    let (seller_id, manager_token) = (shop.seller.id.clone(), manager.clone());
    scene.refuse_all(forbidden, 403, "forbidden").await;
    // Outside of one's sight there is nothing.
    let unseen = vec![
        Shot::get(&stranger, format!("/v1/agents/{seller_id}")),
        Shot::get(&stranger, format!("/v1/quota/accounts/{seller_id}")),
        Shot::get(&stranger, format!("/v1/quota/accounts/{seller_id}/statement")),
        Shot::get(&stranger, license.clone()),
        Shot::post(&stranger, format!("{license}/revoke"), "{}"),
        Shot::get(&stranger, batch.clone()),
        Shot::get(&stranger, format!("{batch}/licenses")),
        Shot::get(&stranger, format!("{batch}/export")),
        Shot::get(&stranger, withdrawal.clone()),
        Shot::post(&manager_token, "/v1/quota/top-ups", top_up),
        Shot::post(&manager_token, format!("{agent}/disable"), ""),
    ];
    scene.refuse_all(unseen, 404, "not-found").await;
    scene.refuse(Shot::post(&root, format!("{withdrawal}/mark-paid"), "{}"), 409, "wrong-status").await;
}

/// Ids of another tenant, and ids of nothing: the same answer, so that nobody learns which.
pub async fn strangers_ids(scene: &mut Scene) {
    let nothing = clock::new_id().to_string();
    let root = scene.shop.vendor.token.clone();
    let auditor = scene.shop.auditor.token.clone();
    let own_project = scene.shop.project.id.clone();
    let own_plan = scene.shop.plan_id.clone();
    let ids = [
        [&scene.other.seller.id, &scene.other.project.id, &scene.other.batch_id, &scene.other.license_id],
        [&nothing; 4],
    ];
    let ids = ids.map(|row| row.map(String::clone));
    let more = [
        [scene.other.withdrawal_id.clone(), scene.other.transfer_id.clone(), scene.other.plan_id.clone()],
        [nothing.clone(), nothing.clone(), nothing.clone()],
    ];
    for ([agent, project, batch, license], [withdrawal, transfer, plan]) in ids.into_iter().zip(more) {
        let mut shots = Vec::new();
        let (agents, projects) = (format!("/v1/agents/{agent}"), format!("/v1/projects/{project}"));
        let (batches, licenses) = (format!("/v1/license-batches/{batch}"), format!("/v1/licenses/{license}"));
        let (withdrawals, transfers) =
            (format!("/v1/withdrawals/{withdrawal}"), format!("/v1/quota/transfers/{transfer}"));
        for token in [&root, &auditor] {
            shots.extend(
                [&agents, &projects, &batches, &licenses, &withdrawals, &transfers].map(|path| Shot::get(token, path)),
            );
            shots.push(Shot::get(token, format!("{projects}/plans")));
            shots.push(Shot::get(token, format!("{projects}/grants")));
            shots.push(Shot::get(token, format!("{batches}/licenses")));
            shots.push(Shot::get(token, format!("/v1/quota/accounts/{agent}")));
            shots.push(Shot::get(token, format!("/v1/quota/accounts/{agent}/statement")));
        }
        let steps = [
            (&agents, vec!["disable", "enable", "unlock"]),
            (&projects, vec!["disable", "enable", "rotate-credentials"]),
            (&licenses, vec!["unbind", "disable", "enable", "revoke"]),
            (&withdrawals, vec!["approve", "refuse", "mark-paid"]),
            (&transfers, vec!["release", "refuse"]),
        ];
        for (path, steps) in steps {
            shots.extend(steps.into_iter().map(|step| Shot::post(&root, format!("{path}/{step}"), "{}")));
        }
        shots.push(Shot::post(&root, format!("{licenses}/renew"), r#"{"days":1}"#));
        shots.push(Shot::get(&root, format!("{batches}/export")));
        shots.push(Shot::new(&root, Method::PATCH, projects.clone(), r#"{"name":"Mine"}"#));
        shots.push(Shot::post(&root, format!("{projects}/plans"), r#"{"name":"P","unit_price":1}"#));
        shots.push(Shot::new(&root, Method::PUT, format!("/v1/projects/{own_project}/grants/{agent}"), ""));
        shots.push(Shot::new(&root, Method::PUT, format!("{projects}/grants/{}", scene.shop.seller.id), ""));
        shots.push(Shot::new(&root, Method::DELETE, format!("{projects}/grants/{}", scene.shop.seller.id), ""));
        shots.push(Shot::post(&root, "/v1/quota/top-ups", json!({ "agent_id": agent, "amount": 1 }).to_string()));
        for (project, plan) in [(&project, &own_plan), (&own_project, &plan), (&project, &plan)] {
            let body = json!({ "project_id": project, "plan_id": plan, "count": 1 }).to_string();
            shots.push(Shot::post(&root, "/v1/license-batches", body));
        }
        scene.refuse_all(shots, 404, "not-found").await;
    }
    // A token of one tenant is no login at another; lists never show what is another's.
    for list in ["agents", "projects", "license-batches", "licenses", "withdrawals", "quota/transfers"] {
        let answer = scene.fire(&Shot::get(&root, format!("/v1/{list}?limit=200"))).await.expect(200);
        for id in [&scene.other.seller.id, &scene.other.project.id, &scene.other.batch_id, &scene.other.license_id] {
            assert!(!answer.text.contains(id.as_str()), "{list} shows what is another tenant's");
        }
    }
}
