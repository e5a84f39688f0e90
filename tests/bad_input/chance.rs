//! Every route of the API's own document, with parameters, headers and bodies of chance: never a 500, and no code that
//! the document does not have for the route.

use std::collections::BTreeMap;

use axum::http::Method;
use quotary_commands::clock;
use serde_json::{Value, json};

use super::scene::{Scene, Shot, check_problem};
use crate::support::dice::Dice;

/// Requests to each route.
const TRIES: usize = 24;

/// Fires at every route; how many answers there were by status.
pub async fn every_route(scene: &Scene, seed: u64) -> BTreeMap<u16, usize> {
    let mut dice = Dice::new(seed);
    let document = scene.fire(&Shot::get("", "/openapi.json")).await.expect(200).body;
    let mut statuses = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            for _ in 0..TRIES {
                let shot = throw(scene, &mut dice, &document, &method, path, operation);
                let answer = scene.fire(&shot).await;
                check(&shot, &answer, operation);
                *statuses.entry(answer.status).or_default() += 1;
            }
        }
    }
    statuses
}

fn check(shot: &Shot, answer: &crate::support::api::Answer, operation: &Value) {
    // Nobody seals the log here, and an auditor is told so: no failure, and documented like every other code.
    let is_unsealed = answer.status == 503 && answer.code() == "not-sealed";
    assert!(answer.status < 500 || is_unsealed, "{}: {}", shot.name, answer.text);
    if answer.status < 400 {
        return;
    }
    check_problem(&shot.name, answer);
    let documented = operation["responses"][answer.status.to_string()]["description"].as_str().unwrap_or_default();
    let unrouted = ["no-such-route", "method-not-allowed"].contains(&answer.code());
    let code = format!("`{}`", answer.code());
    assert!(unrouted || documented.contains(&code), "{} answers {code}, which its document does not say", shot.name);
}

fn throw(scene: &Scene, dice: &mut Dice, document: &Value, method: &Method, path: &str, operation: &Value) -> Shot {
    let shop = &scene.shop;
    let tokens =
        [&shop.vendor.token, &shop.manager.token, &shop.seller.token, &shop.auditor.token, &shop.analyst.token];
    let token = if dice.chance(90) { (*dice.pick(&tokens)).clone() } else { String::new() };
    let parts = path.split('/').map(|part| if part.starts_with('{') { id(scene, dice) } else { part.to_owned() });
    let mut target = parts.collect::<Vec<_>>().join("/");
    let mut query = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        if parameter["in"] == "query" && dice.chance(40) {
            query.push(format!("{}={}", parameter["name"].as_str().unwrap(), id(scene, dice)));
        }
    }
    if !query.is_empty() {
        target = format!("{target}?{}", query.join("&"));
    }
    let body =
        if *method == Method::GET && dice.chance(90) { String::new() } else { body(scene, dice, document, operation) };
    let mut request = if path.starts_with("/v1/client/") && dice.chance(80) {
        let nonce = clock::new_id().simple().to_string();
        let headers = shop.project.key.sign(&target, body.as_bytes(), &nonce, clock::now().timestamp());
        Shot::new("", method.clone(), target, body).signed(headers)
    } else {
        Shot::new(&token, method.clone(), target, body)
    };
    if dice.chance(15) {
        request = request.with("idempotency-key", *dice.pick(&["a", "b", " ", "\u{e9}"]));
    }
    if dice.chance(10) {
        request = request.with("if-match", *dice.pick(&["\"1\"", "*", "x", "\"\""]));
    }
    request
}

/// A value for a path or a query. Own accounts are left out, so that nobody is disabled who still has to ask.
fn id(scene: &Scene, dice: &mut Dice) -> String {
    let own = [&scene.shop.project.id, &scene.shop.batch_id, &scene.shop.license_id, &scene.shop.withdrawal_id];
    let odd = [
        "x",
        "0",
        "-1",
        "%00",
        "%FF",
        "..%2F",
        "csv",
        "xlsx",
        "true",
        "2026-01-01T00:00:00Z",
        "2026-01-01",
        "+",
        "%27",
        "day",
    ];
    match dice.next() % 4 {
        0 => (*dice.pick(&own)).clone(),
        1 => clock::new_id().to_string(),
        2 => scene.other.seller.id.clone(),
        _ => (*dice.pick(&odd)).to_owned(),
    }
}

/// A body that nearly fits the route's schema, or does not at all.
fn body(scene: &Scene, dice: &mut Dice, document: &Value, operation: &Value) -> String {
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let schema = &document["components"]["schemas"][name];
    if dice.chance(20) {
        return (*dice.pick(&["", "{}", "[]", "null", "{\"a\":", "\u{0}", "\"x\"", "{\"id\":1}"])).to_owned();
    }
    let mut fields = serde_json::Map::new();
    for field in schema["properties"].as_object().into_iter().flat_map(|fields| fields.keys()) {
        if dice.chance(85) {
            let value = if dice.chance(65) { fitting(scene, dice, field) } else { value(scene, dice) };
            fields.insert(field.clone(), value);
        }
    }
    Value::Object(fields).to_string()
}

/// What a field of this name may well be, so that requests get as far as the rules.
fn fitting(scene: &Scene, dice: &mut Dice, field: &str) -> Value {
    let shop = &scene.shop;
    match field {
        "amount" | "unit_price" | "opening_quota" | "count" | "max_machines" | "duration_days" | "days" => {
            json!(dice.within(1, 40))
        }
        "to_username" => json!(*dice.pick(&["stranger", "manager", "seller", "auditor"])),
        "username" => json!(format!("new-{}", dice.within(0, 100_000))),
        "email" => json!(format!("new-{}@first.example", dice.within(0, 100_000))),
        "role" => json!(*dice.pick(&["agent", "agent_admin", "analyst", "auditor", "super_admin"])),
        "agent_id" => json!(*dice.pick(&[&shop.seller.id, &shop.manager.id, &shop.auditor.id, &scene.other.seller.id])),
        "project_id" => json!(shop.project.id),
        "plan_id" => json!(shop.plan_id),
        "payee" => json!({ "bank": "First", "account_number": "6222021234567890" }),
        "key" => json!(*dice.pick(&[&shop.license_key, &scene.other.license_key])),
        "machine" => json!({ "fingerprint": *dice.pick(&["a", "b"]), "name": "desk" }),
        "features" => json!(["a", "b"]),
        "callback_url" => json!("https://first.example/hook"),
        "must_change_password" => json!(dice.chance(50)),
        "expires_at" => json!("2090-01-01T00:00:00Z"),
        _ => json!("a good text for it"),
    }
}

fn value(scene: &Scene, dice: &mut Dice) -> Value {
    let values = [
        json!(null),
        json!(0),
        json!(1),
        json!(-1),
        json!(i64::MAX),
        json!(1.5),
        json!(true),
        json!("text"),
        json!(""),
        json!("a\u{0}b"),
        json!("\u{202e}\u{1f600}".repeat(40)),
        json!("x".repeat(3_000)),
        json!([]),
        json!(["a", "b"]),
        json!({}),
        json!({ "fingerprint": "a" }),
        json!({ "bank": "First" }),
        json!("agent"),
        json!("2030-01-01T00:00:00Z"),
        json!("9999999-01-01T00:00:00Z"),
        json!(clock::new_id()),
        json!(scene.shop.project.id),
        json!(scene.shop.plan_id),
        json!(scene.shop.license_key),
        json!(scene.other.seller.id),
    ];
    dice.pick(&values).clone()
}
