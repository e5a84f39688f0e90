//! Providers' bills on their way in: kept once, whole, and only for their tenant.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

mod stand;

use axum::body::Body;
use axum::http::Request;
use futures::StreamExt as _;
use quotary_commands::bill;
use quotary_domain::Actor;
use stand::{Answer, Stand};

const PATH: &str = "/v1/reconciliations/bills";

async fn upload(stand: &Stand, actor: Actor, media_type: &str, body: impl Into<Body>) -> Answer {
    let request = Request::builder().method("POST").uri(PATH).header("content-type", media_type);
    let request = request.header("authorization", format!("Bearer {}", stand.token(actor)));
    stand.send(request.body(body.into()).unwrap()).await
}

fn digest(answer: &Answer) -> [u8; 32] {
    let text = answer.body["sha256"].as_str().unwrap();
    let byte = |place: usize| u8::from_str_radix(&text[2 * place..2 * place + 2], 16).unwrap();
    std::array::from_fn(byte)
}

async fn count(stand: &Stand, table: &str) -> i64 {
    sqlx::query_scalar(&format!("select count(*) from {table}")).fetch_one(&stand.state.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bill_is_kept_once_as_the_bytes_that_came() {
    let stand = Stand::new().await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| u8::try_from(n * 7 % 251).unwrap()).collect();
    let first = upload(&stand, stand.admin, "application/octet-stream", bytes.clone()).await.expect(201);
    assert_eq!(first.body["size"], 3_000_000);
    assert_eq!(first.body["uploaded_by"], stand.admin.account_id.to_string());
    let again = upload(&stand, stand.admin, "text/csv; charset=gbk", bytes.clone()).await.expect(200);
    assert_eq!(again.body, first.body);
    assert_eq!((count(&stand, "bills").await, count(&stand, "bill_parts").await), (1, 3));
    let read = |actor: Actor| bill::read(&stand.state.pool, actor.tenant_id, digest(&first));
    assert_eq!(read(stand.admin).await.unwrap(), Some(bytes.clone()));
    assert_eq!(read(stand.other_admin).await.unwrap(), None);
    // Another tenant keeps its own.
    upload(&stand, stand.other_admin, "text/csv", bytes.clone()).await.expect(201);
    assert_eq!(count(&stand, "bills").await, 2);
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bills_that_can_not_be_kept_are_refused_and_leave_nothing() {
    let stand = Stand::new().await;
    upload(&stand, stand.admin, "text/csv", "").await.refused(422, "validation-failed");
    upload(&stand, stand.admin, "application/json", "{}").await.refused(415, "unsupported-media-type");
    let huge = vec![b'x'; usize::try_from(bill::MOST_BYTES).unwrap() + 1];
    upload(&stand, stand.admin, "text/csv", huge.clone()).await.refused(413, "payload-too-large");
    // Without an announced length, the limit holds while it comes in.
    let parts = futures::stream::iter(
        huge.chunks(1 << 20).map(|part| Ok::<_, std::io::Error>(part.to_vec())).collect::<Vec<_>>(),
    );
    upload(&stand, stand.admin, "text/csv", Body::from_stream(parts)).await.refused(413, "payload-too-large");
    let broken = futures::stream::iter([Ok(vec![b'x'; 2 << 20]), Err(std::io::Error::other("gone"))]).boxed();
    upload(&stand, stand.admin, "text/csv", Body::from_stream(broken)).await.refused(400, "malformed-json");
    for actor in [stand.agent_admin, stand.agent, stand.analyst, stand.auditor] {
        upload(&stand, actor, "text/csv", "a,b").await.refused(403, "forbidden");
    }
    assert_eq!((count(&stand, "bills").await, count(&stand, "bill_parts").await), (0, 0));
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bill_from_many_at_once_is_kept_once() {
    let stand = Stand::new().await;
    let bytes = vec![b'7'; 1_500_000];
    let uploads = (0..6).map(|_| upload(&stand, stand.admin, "text/csv", bytes.clone()));
    let answers = futures::future::join_all(uploads).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(answers.iter().all(|answer| answer.body == answers[0].body));
    assert_eq!((count(&stand, "bills").await, count(&stand, "bill_parts").await), (1, 2));
    stand.end().await;
}
