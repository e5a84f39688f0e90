//! A superuser changes what stands in the database, behind the service's back. An auditor finds it from an exported bundle alone, and is told
//! the first position that is wrong.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

#[path = "tampering/kinds.rs"]
mod kinds;
#[path = "tampering/scene.rs"]
mod scene;
mod support;

use kinds::{KINDS, Kind};
use scene::Scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_tampering_is_found_and_its_first_position_named() {
    let scene = Scene::set().await;
    let sound = scene.untouched().await;
    assert_eq!(sound["findings"], serde_json::json!([]), "the untouched log passes");
    assert_eq!(sound["entries"], scene.marks.size);
    assert_eq!(sound["is_pinned"], true);
    let mut table = vec![];
    let mut wrong = vec![];
    for (number, Kind { name, tamper, expected, needs_kept_checkpoint }) in KINDS.iter().enumerate() {
        let report = scene.tampered(number, tamper, *needs_kept_checkpoint).await;
        let (first, kind) =
            (report["first"]["position"].as_u64(), report["first"]["kind"].as_str().unwrap_or_default());
        let (position, what) = expected(&scene.marks);
        if (first, kind) != (Some(position), what) {
            wrong.push(format!("{name}: expected {position} {what}, got {}", report["first"]));
        }
        table.push(format!("| {name} | {} | {kind} | {} |", first.unwrap_or_default(), report["first"]["what"]));
    }
    println!("| tampering | first wrong position | kind | what is said |\n|---|---|---|---|\n{}", table.join("\n"));
    assert_eq!(wrong, Vec::<String>::new());
    assert!(KINDS.len() >= 12);
    scene.strike().await;
}
