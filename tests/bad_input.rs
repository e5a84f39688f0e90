//! Bad input over real HTTP: each gets the right 4xx problem with a stable code, nothing is written, and no request ever
//! gets a 500.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]
#![allow(clippy::print_stdout, reason = "the figures are what this is for")]

#[path = "bad_input/chance.rs"]
mod chance;
#[path = "bad_input/edges.rs"]
mod edges;
#[path = "bad_input/scene.rs"]
mod scene;
mod support;
#[path = "bad_input/tables.rs"]
mod tables;

use scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_with_its_code_and_writes_nothing() {
    let mut scene = Scene::new().await;
    let before = scene.installation.head().await;
    tables::bodies(&mut scene).await;
    scene.nothing_written(before, "bodies").await;
    tables::amounts(&mut scene).await;
    scene.nothing_written(before, "amounts").await;
    tables::rights(&mut scene).await;
    scene.nothing_written(before, "rights").await;
    tables::strangers_ids(&mut scene).await;
    scene.nothing_written(before, "ids of others").await;
    edges::headers(&mut scene).await;
    scene.nothing_written(before, "headers").await;
    edges::parameters(&mut scene).await;
    scene.nothing_written(before, "parameters").await;
    edges::sessions(&mut scene).await;
    scene.nothing_written(before, "sessions").await;
    edges::reused_keys(&mut scene).await;
    edges::signatures(&mut scene).await;
    println!("{} refusals, each with its code", scene.refused);
    scene.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_answers_chance_with_a_failure() {
    let seed = support::number_from_environment("QUOTARY_FAULT_SEED").unwrap_or(20_261_121);
    let scene = Scene::new().await;
    let statuses = chance::every_route(&scene, seed).await;
    println!("seed {seed}, answers by status: {statuses:?}");
    assert!(statuses.keys().any(|status| *status < 300) && statuses.contains_key(&422));
    scene.finish().await;
}
