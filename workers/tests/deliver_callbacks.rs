//! Callbacks reach the vendor's server: in order, at least once, signed, whatever the server does.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

#[path = "../../projections/tests/read_model_fixture/mod.rs"]
mod fixture;
#[path = "callbacks/scene.rs"]
mod scene;
#[path = "callbacks/verifier.rs"]
mod verifier;

use std::time::Duration;

use chrono::TimeDelta;
use quotary_commands::callback::refused::{RefusalQueue, Refused};
use quotary_domain::callback::CallbackType;
use quotary_domain::license::{LicenseEvent, Machine};
use quotary_domain::project::ProjectError;
use quotary_workers::deliver_callbacks::DeliverOptions;
use scene::{Reply, Scene, Seen, eventually, license};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use verifier::verify;

fn kinds(seen: &[Seen]) -> Vec<String> {
    seen.iter().map(Seen::kind).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_of_a_licence_is_told_once_in_order_and_signed_by_the_specification() {
    let scene = Scene::new().await;
    let worker = scene.start();
    let bound = Machine::of("keyed-hash-2");
    let end = scene.now() + TimeDelta::days(40);
    let facts = vec![
        scene.issued(1),
        scene.activated(1),
        scene.of(1, &LicenseEvent::MachineBound { machine: bound, over_limit: false }),
        scene.of(1, &LicenseEvent::MachineDeactivated { fingerprint_hash: "keyed-hash-2".to_owned() }),
        scene.of(1, &LicenseEvent::LicenseUnbound { unbound_at: None }),
        scene.of(1, &LicenseEvent::LicenseDisabled {}),
        scene.of(1, &LicenseEvent::LicenseEnabled {}),
        scene.of(1, &LicenseEvent::LicenseRenewed { days: 10, expires_at: Some(end) }),
        scene.of(1, &LicenseEvent::LicenseExpired { expires_at: end }),
        scene.of(1, &LicenseEvent::LicenseRevoked { reason: Some("stolen by Eve".to_owned()) }),
    ];
    scene.append(facts).await;
    let expected = [
        "license.activated",
        "license.machine_bound",
        "license.machine_deactivated",
        "license.unbound",
        "license.disabled",
        "license.enabled",
        "license.renewed",
        "license.expired",
        "license.revoked",
    ];
    scene.until_standing(&["delivered"; 9]).await;
    let seen = scene.receiver.seen();
    assert_eq!(kinds(&seen), expected);
    for (number, told) in seen.iter().enumerate() {
        verify(told, &scene.secret, scene.now().timestamp()).unwrap();
        assert_eq!(verify(told, &scene.secret, scene.now().timestamp() + 301), Err("too old or too new"));
        assert_eq!((told.path.as_str(), told.header("content-type")), ("/hook", "application/json"));
        let data = &told.json()["data"];
        assert_eq!(data["sequence"], number + 2);
        assert_eq!(data["license_id"], license(1).to_string());
        for secret in ["hash-of-key", "sealed-key", "Eve"] {
            assert!(!told.body.contains(secret), "{}", told.body);
        }
        let mut altered = told.clone();
        altered.body.push(' ');
        assert_eq!(verify(&altered, &scene.secret, scene.now().timestamp()), Err("no signature is right"));
        let (record, attempts) = scene.delivery(&told.id()).await;
        assert_eq!((record.body.as_str(), attempts.len()), (told.body.as_str(), 1));
        assert_eq!((attempts[0].outcome.as_str(), attempts[0].http_status), ("delivered", Some(204)));
    }
    let activated = &seen[0].json();
    assert_eq!(activated["data"]["status"], "active");
    assert_eq!((&activated["data"]["machines"], &activated["data"]["max_machines"]), (&json!(1), &json!(2)));
    assert_eq!(activated["data"]["fingerprint_hash"], "keyed-hash-1");
    assert_eq!(seen[4].json()["data"]["status"], "disabled");
    assert_eq!(seen[6].json()["data"]["days"], 10);
    worker.stop().await;
    // Who reads the log anew writes the same ids down, so nothing is told twice.
    sqlx::query("update callback_intake set position = 0").execute(&scene.fixture.owner).await.unwrap();
    let worker = scene.start();
    scene.append(vec![scene.issued(2), scene.activated(2)]).await;
    scene.until_standing(&["delivered"; 10]).await;
    assert_eq!(scene.receiver.seen().len(), 10);
    worker.stop().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_without_workers_loses_nothing() {
    let scene = Scene::new().await;
    scene.append((1..=30).flat_map(|n| [scene.issued(n), scene.activated(n)]).collect()).await;
    scene.append((1..=30).map(|n| scene.of(n, &LicenseEvent::LicenseDisabled {})).collect()).await;
    scene.later(TimeDelta::days(1));
    let worker = scene.start();
    scene.until_standing(&["delivered"; 60]).await;
    let seen = scene.receiver.seen();
    assert_eq!(seen.len(), 60);
    for number in 1..=30 {
        let of_one: Vec<Seen> =
            seen.iter().filter(|told| told.license() == license(number).to_string()).cloned().collect();
        assert_eq!(kinds(&of_one), ["license.activated", "license.disabled"]);
    }
    worker.stop().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_callback_of_a_licence_waits_for_an_earlier_one_and_other_licences_go_on() {
    let scene = Scene::new().await;
    let first = license(1).to_string();
    let failing = first.clone();
    scene.receiver.answer(move |told| Reply::Status(if told.license() == failing { 500 } else { 200 }));
    let worker = scene.start();
    scene.append(vec![scene.issued(1), scene.activated(1), scene.of(1, &LicenseEvent::LicenseDisabled {})]).await;
    scene.append(vec![scene.issued(2), scene.activated(2), scene.of(2, &LicenseEvent::LicenseDisabled {})]).await;
    let standing = scene.until_standing(&["pending", "pending", "delivered", "delivered"]).await;
    assert!(standing[1].next_attempt_at.is_none(), "it waits for the one before");
    let of_first = |seen: Vec<Seen>| seen.into_iter().filter(|told| told.license() == first).collect::<Vec<_>>();
    eventually("the first attempt is recorded", || async {
        (scene.deliveries(scene.project).await[0].attempts == 1).then_some(())
    })
    .await;
    assert_eq!(kinds(&of_first(scene.receiver.seen())), ["license.activated"]);
    // The second attempt fails too; the third is taken, and only then comes the next.
    scene.later(TimeDelta::seconds(12));
    eventually("the second attempt", || async {
        (scene.deliveries(scene.project).await[0].attempts == 2).then_some(())
    })
    .await;
    scene.receiver.answer(|_| Reply::Status(200));
    scene.later(TimeDelta::seconds(40));
    scene.until_standing(&["delivered"; 4]).await;
    let seen = of_first(scene.receiver.seen());
    assert_eq!(kinds(&seen), ["license.activated", "license.activated", "license.activated", "license.disabled"]);
    assert_eq!((seen[0].id(), seen[0].body.clone()), (seen[2].id(), seen[2].body.clone()), "the same is sent again");
    assert!(seen[0].header("webhook-timestamp") < seen[2].header("webhook-timestamp"), "signed anew");
    verify(&seen[2], &scene.secret, scene.now().timestamp()).unwrap();
    worker.stop().await;
    scene.end().await;
}

/// Moves the clock to the next attempt again and again until the first delivery has ended.
async fn until_ended(scene: &Scene) -> Vec<TimeDelta> {
    let (start, mut times) = (scene.now(), vec![TimeDelta::zero()]);
    for attempts in 1.. {
        let found = eventually("an attempt", || async {
            let first = scene.deliveries(scene.project).await.into_iter().next()?;
            (first.attempts == attempts).then_some(first)
        })
        .await;
        let Some(next) = found.next_attempt_at else { break };
        scene.later(next - scene.now());
        times.push(next - start);
    }
    times
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_given_up_after_three_days_and_then_the_next_of_the_licence_has_its_turn() {
    let scene = Scene::new().await;
    scene.receiver.answer(|told| Reply::Status(if told.kind() == "license.activated" { 500 } else { 200 }));
    let worker = scene.start();
    scene.append(vec![scene.issued(1), scene.activated(1), scene.of(1, &LicenseEvent::LicenseDisabled {})]).await;
    let times = until_ended(&scene).await;
    assert!((13..=16).contains(&times.len()), "{times:?}");
    assert_eq!(times.last(), Some(&TimeDelta::days(3)));
    let ended = scene.until_standing(&["dead", "delivered"]).await;
    assert_eq!(ended[0].outcome.as_deref(), Some("status"));
    let (_, attempts) = scene.delivery(&ended[0].delivery_id.to_string()).await;
    assert_eq!(attempts.len(), times.len());
    assert!(attempts.iter().all(|attempt| attempt.http_status == Some(500)));
    // A replay has a life of its own, the same id and the same body.
    scene.receiver.answer(|_| Reply::Status(200));
    scene.commands.replay_callback(&scene.by_boss(), scene.project, ended[0].delivery_id).await.unwrap();
    let replayed = scene.until_standing(&["delivered", "delivered"]).await;
    assert_eq!(
        (replayed[1].delivery_id, replayed[1].replays),
        (ended[0].delivery_id, 1),
        "the last replayed is newest"
    );
    assert_eq!(usize::try_from(replayed[1].attempts).unwrap(), times.len() + 1);
    let seen = scene.receiver.seen();
    let last = seen.last().unwrap();
    assert_eq!((last.id(), &last.body), (ended[0].delivery_id.to_string(), &ended[0].body));
    worker.stop().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_gone_is_stopped_until_it_is_set_again() {
    let scene = Scene::new().await;
    scene.receiver.answer(|_| Reply::Status(410));
    let worker = scene.start();
    scene.append(vec![scene.issued(1), scene.activated(1), scene.of(1, &LicenseEvent::LicenseDisabled {})]).await;
    let stopped = scene.until_standing(&["dead", "dead"]).await;
    assert_eq!(stopped[0].outcome.as_deref(), Some("gone"));
    let stopped_event = "select count(*) from events where event_type = 'CallbacksStopped'";
    let count = || async {
        let count: i64 = sqlx::query_scalar(stopped_event).fetch_one(&scene.fixture.pool).await.unwrap();
        (count == 1).then_some(())
    };
    eventually("the log says so", count).await;
    scene.append(vec![scene.issued(2), scene.activated(2)]).await;
    let dead = scene.until_standing(&["dead", "dead", "dead"]).await;
    assert_eq!((dead[2].outcome.as_deref(), dead[2].attempts), (Some("stopped"), 0), "nothing is asked any more");
    let refused = scene.commands.test_callback(&scene.by_boss(), scene.project).await.unwrap_err();
    assert!(format!("{refused:?}").contains(&format!("{:?}", ProjectError::NoCallbacks)));
    let asked = scene.receiver.seen().len();
    assert!(asked <= 2);
    scene.receiver.answer(|_| Reply::Status(200));
    let url = Some(scene.receiver.url.clone());
    scene.commands.set_callbacks(&scene.by_boss(), scene.project, url, None).await.unwrap();
    for delivery in &dead {
        scene.commands.replay_callback(&scene.by_boss(), scene.project, delivery.delivery_id).await.unwrap();
    }
    scene.until_standing(&["delivered"; 3]).await;
    assert_eq!(scene.receiver.seen().len(), asked + 3);
    worker.stop().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_redirect_is_followed_and_an_answer_without_end_is_one() {
    let scene = Scene::new().await;
    let to_itself: &'static str = format!("{}/elsewhere", scene.receiver.url).leak();
    scene.receiver.answer(move |told| match told.kind().as_str() {
        "license.activated" => Reply::With(302, "location", to_itself),
        _ => Reply::Endless,
    });
    let worker = scene.start();
    scene.append(vec![scene.issued(1), scene.activated(1)]).await;
    scene.append(vec![scene.issued(2), scene.of(2, &LicenseEvent::LicenseDisabled {})]).await;
    let standing = scene.until_standing(&["pending", "delivered"]).await;
    eventually("the attempt is recorded", || async {
        let (_, attempts) = scene.delivery(&standing[0].delivery_id.to_string()).await;
        (attempts.first()?.outcome == "redirected").then_some(())
    })
    .await;
    let (_, attempts) = scene.delivery(&standing[0].delivery_id.to_string()).await;
    assert_eq!((attempts[0].http_status, attempts[0].answer.as_deref()), (Some(302), Some("said the server")));
    assert!(scene.receiver.seen().iter().all(|told| told.path == "/hook"));
    worker.stop().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_never_answers_keeps_no_other_project_waiting_and_is_asked_by_few_at_a_time() {
    let scene = Scene::new().await;
    let (other, _) = scene.project_at(&format!("{}?other", scene.receiver.url)).await;
    scene.receiver.answer(|told| if told.path.ends_with("other") { Reply::Status(200) } else { Reply::Hang });
    let options = DeliverOptions { answer_within: Duration::from_millis(700), ..scene.options() };
    let status = options.status.clone();
    let worker = scene.start_with(options);
    scene.append((1..=40).flat_map(|n| [scene.issued(n), scene.activated(n)]).collect()).await;
    let hanging = scene.receiver.until(4).await;
    assert!(hanging.iter().all(|told| told.path == "/hook"));
    let others = (101..=140).flat_map(|n| {
        let issued = scene.issued_of(other, n);
        [issued, scene.activated(n)]
    });
    scene.append(others.collect()).await;
    eventually("the other project's callbacks", || async {
        let found = scene.deliveries(other).await;
        (found.len() == 40 && found.iter().all(|delivery| delivery.status == "delivered")).then_some(())
    })
    .await;
    assert_eq!(status.report().delivered, 40);
    eventually("the first ones timed out", || async { (status.report().failed >= 5).then_some(()) }).await;
    let found = scene.deliveries(scene.project).await;
    assert!(found.iter().any(|delivery| delivery.outcome.as_deref() == Some("timed_out")));
    assert!(found.iter().all(|delivery| delivery.status == "pending"));
    worker.stop().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_asks_to_be_left_alone_is_for_as_long_as_it_says_within_bounds() {
    let scene = Scene::new().await;
    scene.receiver.answer(|_| Reply::With(429, "retry-after", "600"));
    let worker = scene.start();
    scene.append(vec![scene.issued(1), scene.activated(1)]).await;
    let first = eventually("the first attempt", || async {
        let first = scene.deliveries(scene.project).await.into_iter().next()?;
        (first.attempts == 1).then_some(first)
    })
    .await;
    assert_eq!(first.next_attempt_at, Some(scene.now() + TimeDelta::seconds(600)));
    // The whole project waits, not the one callback alone.
    scene.append(vec![scene.issued(2), scene.activated(2)]).await;
    scene.later(TimeDelta::seconds(599));
    scene.until_standing(&["pending", "pending"]).await;
    let test = scene.commands.test_callback(&scene.by_boss(), scene.project).await.unwrap();
    assert!(test.position > 0);
    scene.until_standing(&["pending"; 3]).await;
    assert_eq!(scene.receiver.seen().len(), 1);
    scene.receiver.answer(|_| Reply::Status(200));
    scene.later(TimeDelta::seconds(1));
    scene.until_standing(&["delivered"; 3]).await;
    worker.stop().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_an_answer_and_its_record_sends_again_under_the_same_id() {
    let scene = Scene::new().await;
    scene.receiver.answer(|_| Reply::Hang);
    let worker = scene.start();
    scene.append(vec![scene.issued(1), scene.activated(1), scene.of(1, &LicenseEvent::LicenseDisabled {})]).await;
    scene.receiver.until(1).await;
    worker.kill().await;
    scene.receiver.answer(|_| Reply::Status(200));
    let worker = scene.start();
    scene.until_standing(&["delivered", "delivered"]).await;
    let seen = scene.receiver.seen();
    assert_eq!(kinds(&seen), ["license.activated", "license.activated", "license.disabled"]);
    assert_eq!(seen[0].id(), seen[1].id());
    worker.stop().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_workers_one_delivers_and_the_other_takes_over_when_it_is_gone() {
    let scene = Scene::new().await;
    let (one, two) = (scene.start(), scene.start());
    scene.append((1..=20).flat_map(|n| [scene.issued(n), scene.activated(n)]).collect()).await;
    scene.until_standing(&["delivered"; 20]).await;
    assert_eq!(scene.receiver.seen().len(), 20, "each once");
    one.kill().await;
    scene.append((21..=40).flat_map(|n| [scene.issued(n), scene.activated(n)]).collect()).await;
    scene.until_standing(&["delivered"; 40]).await;
    two.stop().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn during_an_overlap_both_secrets_sign_and_after_it_the_new_one_alone() {
    let scene = Scene::new().await;
    let rotated = scene.commands.rotate_callback_secret(&scene.by_boss(), scene.project, 24).await.unwrap();
    let new = rotated.value.callback_secret.unwrap();
    let worker = scene.start();
    scene.append(vec![scene.issued(1), scene.activated(1)]).await;
    scene.until_standing(&["delivered"]).await;
    scene.later(TimeDelta::hours(25));
    scene.append(vec![scene.of(1, &LicenseEvent::LicenseDisabled {})]).await;
    scene.until_standing(&["delivered", "delivered"]).await;
    let seen = scene.receiver.seen();
    let during = scene.now().timestamp() - 25 * 3_600;
    verify(&seen[0], &scene.secret, during).unwrap();
    verify(&seen[0], &new, during).unwrap();
    assert_eq!(seen[0].header("webhook-signature").split(' ').count(), 2);
    verify(&seen[1], &new, scene.now().timestamp()).unwrap();
    assert!(verify(&seen[1], &scene.secret, scene.now().timestamp()).is_err());
    worker.stop().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chosen_types_are_told_from_the_choice_on_and_the_test_button_always_works() {
    let scene = Scene::new().await;
    let worker = scene.start();
    let url = || Some(scene.receiver.url.clone());
    let types = Some(vec![CallbackType::LicenseRevoked]);
    scene.append(vec![scene.issued(1), scene.activated(1)]).await;
    scene.until_standing(&["delivered"]).await;
    scene.commands.set_callbacks(&scene.by_boss(), scene.project, url(), types).await.unwrap();
    scene.append(vec![scene.of(1, &LicenseEvent::LicenseDisabled {})]).await;
    scene.append(vec![scene.of(1, &LicenseEvent::LicenseRevoked { reason: None })]).await;
    scene.until_standing(&["delivered", "delivered"]).await;
    let test = scene.commands.test_callback(&scene.by_boss(), scene.project).await.unwrap().value;
    scene.until_standing(&["delivered"; 3]).await;
    let seen = scene.receiver.seen();
    assert_eq!(kinds(&seen), ["license.activated", "license.revoked", "test"]);
    assert_eq!(seen[2].id(), test.to_string());
    assert_eq!(seen[2].json()["data"], json!({ "project_id": scene.project.to_string() }));
    // Without an address nothing is written down.
    scene.commands.set_callbacks(&scene.by_boss(), scene.project, None, None).await.unwrap();
    scene.append(vec![scene.issued(2), scene.activated(2)]).await;
    scene.commands.set_callbacks(&scene.by_boss(), scene.project, url(), None).await.unwrap();
    scene.append(vec![scene.issued(3), scene.activated(3)]).await;
    scene.until_standing(&["delivered"; 4]).await;
    assert_eq!(scene.receiver.seen()[3].license(), license(3).to_string());
    worker.stop().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_and_memories_are_bounded() {
    let scene = Scene::new().await;
    scene.receiver.answer(|_| Reply::Status(500));
    let options = DeliverOptions { most_pending: 3, ..scene.options() };
    let worker = scene.start_with(options);
    for number in 1..=5 {
        scene.append(vec![scene.issued(number), scene.activated(number)]).await;
        eventually("it is written down", || async {
            (scene.deliveries(scene.project).await.len() as u128 == number).then_some(())
        })
        .await;
    }
    let found = scene.until_standing(&["pending", "pending", "pending", "dead", "dead"]).await;
    assert_eq!(found[3].outcome.as_deref(), Some("queue_full"));
    worker.stop().await;
    // What happened too long ago is not told, for all to see; long after that it is not even written down.
    scene.append(vec![scene.issued(6), scene.activated(6)]).await;
    scene.later(TimeDelta::days(4));
    scene.receiver.answer(|_| Reply::Status(200));
    let worker = scene.start();
    let found = scene.until_standing(&["delivered", "delivered", "delivered", "dead", "dead", "dead"]).await;
    assert_eq!((found[5].outcome.as_deref(), found[5].attempts), (Some("too_late"), 0));
    worker.stop().await;
    scene.append(vec![scene.issued(7), scene.activated(7)]).await;
    scene.later(TimeDelta::days(31));
    let worker = scene.start();
    eventually("what ended is forgotten", || async {
        let attempts: i64 =
            sqlx::query_scalar("select count(*) from callback_attempts").fetch_one(&scene.fixture.pool).await.unwrap();
        (attempts == 0 && scene.deliveries(scene.project).await.is_empty()).then_some(())
    })
    .await;
    worker.stop().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_refusals_of_a_licence_with_one_code_one_is_told_an_hour_whichever_node_refused() {
    let scene = Scene::new().await;
    let worker = scene.start();
    scene.append(vec![scene.issued(1), scene.activated(1)]).await;
    scene.until_standing(&["delivered"]).await;
    let cancel = CancellationToken::new();
    let nodes = [RefusalQueue::default(), RefusalQueue::default()];
    for node in &nodes {
        tokio::spawn(node.clone().run(scene.fixture.pool.clone(), cancel.clone()));
    }
    let offer = |license_id, code, at| {
        for node in &nodes {
            let (tenant_id, project_id) = (scene.boss.tenant_id, scene.project);
            node.offer(Refused { tenant_id, project_id, license_id, code, at });
        }
    };
    let first = scene.now();
    // Nodes find out within seconds that the project wants to be told.
    eventually("the first refusal is told", || async {
        offer(license(1), "revoked", first);
        (scene.receiver.seen().len() == 2).then_some(())
    })
    .await;
    for _ in 0..100 {
        offer(license(1), "revoked", first);
        offer(license(1), "expired", first);
        offer(license(1), "revoked", first + TimeDelta::hours(1));
    }
    scene.until_standing(&["delivered"; 4]).await;
    let seen = scene.receiver.seen();
    assert_eq!(kinds(&seen[1..]), ["verification.refused"; 3]);
    verify(&seen[1], &scene.secret, scene.now().timestamp()).unwrap();
    let data = &seen[1].json()["data"];
    let (project, license_id) = (scene.project.to_string(), license(1).to_string());
    assert_eq!(data, &json!({ "project_id": project, "license_id": license_id, "code": "revoked" }));
    cancel.cancel();
    // Both nodes and the worker see the same again, from their beginnings: the ids are known.
    let inbox: i64 =
        sqlx::query_scalar("select count(*) from callback_refusals").fetch_one(&scene.fixture.pool).await.unwrap();
    assert_eq!((inbox, scene.receiver.seen().len()), (0, 4));
    worker.stop().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_without_room_is_dropped_and_counted_and_waits_for_nothing() {
    let scene = Scene::new().await;
    let worker = scene.start();
    scene.append(vec![scene.issued(1), scene.activated(1)]).await;
    scene.until_standing(&["delivered"]).await;
    let (queue, cancel) = (RefusalQueue::with_room(2), CancellationToken::new());
    let running = tokio::spawn(queue.clone().run(scene.fixture.pool.clone(), cancel.clone()));
    let offer = |number, project_id| {
        let (tenant_id, license_id, at) = (scene.boss.tenant_id, license(number), scene.now());
        queue.offer(Refused { tenant_id, project_id, license_id, code: "revoked", at });
    };
    eventually("the project is known", || async {
        offer(1, scene.project);
        (scene.receiver.seen().len() == 2).then_some(())
    })
    .await;
    // Nobody empties the queue any more.
    cancel.cancel();
    running.await.unwrap();
    assert_eq!(queue.dropped(), 0);
    for number in 2..=10 {
        offer(number, scene.project);
    }
    let dropped = queue.dropped();
    assert!((7..=9).contains(&dropped), "{dropped}");
    offer(11, quotary_domain::ProjectId::default());
    assert_eq!(queue.dropped(), dropped, "nobody wants to be told of it");
    worker.stop().await;
    scene.end().await;
}
