//! Snapshots make loading fast and never change what is loaded.

use futures::future::join_all;
use quotary_commands::log::stream::load;
use quotary_commands::snapshot::EVERY;
use quotary_domain::agent_quota::AgentQuota;

use crate::house::{House, context, quota};

/// An agent whose stream has 2,500 events, with its snapshots written.
async fn long_stream(house: &House) -> quotary_domain::Actor {
    let agent = house.agent(0).await;
    let other = house.agent(0).await;
    house.give(&house.here, agent, 10_000).await;
    for _ in 0..10 {
        let tasks = (0..250).map(|n| {
            let (process, boss, own) = (house.here.clone(), context(house.boss), context(agent));
            let (to, other) = (agent.account_id, other.account_id);
            tokio::spawn(async move {
                if n % 2 == 0 {
                    process.top_up(&boss, to, quota(3), None).await.map(|_| ()).unwrap();
                } else {
                    process.transfer_to(&own, other, quota(2), None).await.map(|_| ()).unwrap();
                }
            })
        });
        join_all(tasks).await.into_iter().for_each(Result::unwrap);
    }
    let newest = i64::try_from(EVERY * 2).unwrap();
    let id = agent.account_id;
    let written = format!("select coalesce(max(sequence), 0) from snapshots where aggregate_id = '{id}'");
    house.until(&written, newest).await;
    agent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_loads_the_same_from_a_snapshot_from_none_and_past_one_of_another_shape() {
    let house = House::new().await;
    let agent = long_stream(&house).await;
    let id = agent.account_id.0;
    let from_snapshot = load::<AgentQuota>(&house.owner, id).await.unwrap();
    assert_eq!(from_snapshot.sequence, 2_501);
    assert_eq!(from_snapshot.aggregate.available, quota(10_000 + 1_250 * 3 - 1_250 * 2));

    // That it is really read shows in a snapshot that lies.
    let lie = "update snapshots set state = jsonb_set(state::jsonb, '{available}', '1')::json";
    let truth: String = sqlx::query_scalar("select state::text from snapshots where aggregate_id = $1")
        .bind(id.to_string())
        .fetch_one(&house.owner)
        .await
        .unwrap();
    sqlx::query(lie).execute(&house.owner).await.unwrap();
    assert_ne!(load::<AgentQuota>(&house.owner, id).await.unwrap().aggregate, from_snapshot.aggregate);

    // One of another shape is not read, whatever it says; nor is one that can't be read.
    sqlx::query("update snapshots set shape = 'another'").execute(&house.owner).await.unwrap();
    assert_eq!(load::<AgentQuota>(&house.owner, id).await.unwrap().aggregate, from_snapshot.aggregate);
    sqlx::query("delete from snapshots").execute(&house.owner).await.unwrap();
    let folded = load::<AgentQuota>(&house.owner, id).await.unwrap();
    assert_eq!((&folded.aggregate, folded.sequence), (&from_snapshot.aggregate, from_snapshot.sequence));
    assert!(truth.contains("available"));

    // And another process, with nothing in its cache, goes on from there.
    house.give(&house.another("there").await, agent, 1).await;
    house.leave().await;
}
