//! Cut connections and a database that does not answer: nothing acknowledged is lost or doubled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::poll;
use quotary_commands::{CommandError, Limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::house::{House, PATIENCE, context, keyed, quota};

/// Ends every connection of a process; answers how many.
async fn cut(house: &House, called: &str) -> i64 {
    house
        .count(&format!(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity \
             where datname = current_database() and application_name = '{called}'"
        ))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_with_connections_cut_all_the_time_each_acknowledged_command_is_in_the_log_once() {
    let house = House::new().await;
    let process = house.another("cut").await;
    let mut agents = vec![];
    for _ in 0..8 {
        agents.push(house.agent(0).await);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..16)
        .map(|worker| {
            let (process, boss, stop) = (process.clone(), house.boss, stop.clone());
            let agent = agents[worker % 8].account_id;
            tokio::spawn(async move {
                let (mut acknowledged, mut unsure) = (vec![], vec![]);
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let note = format!("w{worker}-{n}");
                    // Every other one has a key, so both kinds of lost answers are met.
                    let context = if n % 2 == 0 { keyed(boss, &note, &note) } else { context(boss) };
                    match process.top_up(&context, agent, quota(1), Some(note.clone())).await {
                        Ok(done) => acknowledged.push((note, done.position)),
                        Err(CommandError::Unavailable(_) | CommandError::Load(_) | CommandError::Database(_)) => {
                            unsure.push((context, note));
                        }
                        Err(other) => panic!("{other:?}"),
                    }
                }
                // Whatever had a key can be asked again until it is sure.
                for (context, note) in unsure {
                    if context.idempotency.is_some() {
                        let done = process.top_up(&context, agent, quota(1), Some(note.clone())).await.unwrap();
                        acknowledged.push((note, done.position));
                    }
                }
                acknowledged
            })
        })
        .collect();
    let (start, mut cuts) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(5) {
        let head = house.head().await;
        cuts += cut(&house, "cut").await;
        // The next cut comes when something was written since the last one.
        while house.head().await < head + 40 && start.elapsed() < PATIENCE {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = vec![];
    for task in tasks {
        acknowledged.extend(task.await.unwrap());
    }
    let written: Vec<(String, i64)> = sqlx::query_as(
        "select payload->'QuotaToppedUp'->>'note', position from events where event_type = 'QuotaToppedUp' order by 2",
    )
    .fetch_all(&house.owner)
    .await
    .unwrap();
    let once: std::collections::HashMap<&str, i64> = written.iter().map(|(note, at)| (note.as_str(), *at)).collect();
    assert_eq!(once.len(), written.len(), "no command is in the log twice");
    for (note, position) in &acknowledged {
        assert_eq!(once.get(note.as_str()), Some(&position.cast_signed()), "{note} was acknowledged");
    }
    assert!(cuts >= 10 && acknowledged.len() >= 400, "{cuts} cuts, {} acknowledged", acknowledged.len());
    house.give(&process, agents[0], 1).await;
    house.leave().await;
}

#[tokio::test]
async fn an_append_that_was_cut_while_it_waited_is_tried_again_and_answered() {
    let house = House::new().await;
    let agent = house.agent(1).await;
    let head = house.hold_head().await;
    let boss = context(house.boss);
    let mut asked = Box::pin(house.here.top_up(&boss, agent.account_id, quota(5), None));
    assert!(poll!(&mut asked).is_pending());
    house.appends_wait(1).await;
    cut(&house, "here").await;
    house.appends_wait(1).await;
    drop(head);
    asked.await.unwrap();
    assert_eq!(house.balance(agent).await, (6, 0));
    house.leave().await;
}

/// A cable to the server that loses the next answer when it is told to: the server has done what it was asked, and
/// whoever asked sees the connection end.
struct Cable {
    port: u16,
    loses: Arc<AtomicUsize>,
}

impl Cable {
    async fn new(host: String, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cable = Self { port: listener.local_addr().unwrap().port(), loses: Arc::default() };
        let loses = cable.loses.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect((host.as_str(), port)).await.unwrap();
                tokio::spawn(carry(client, server, loses.clone()));
            }
        });
        cable
    }

    /// Loses the next answers, one a connection.
    fn lose(&self, answers: usize) {
        self.loses.store(answers, Ordering::SeqCst);
    }

    /// How many are still to be lost.
    fn to_lose(&self) -> usize {
        self.loses.load(Ordering::SeqCst)
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, loses: Arc<AtomicUsize>) {
    let (mut asked, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => match read {
                Ok(bytes) if bytes > 0 => server.write_all(&asked[..bytes]).await.unwrap(),
                _ => return,
            },
            read = server.read(&mut answer) => match read {
                Ok(bytes) if bytes > 0 => {
                    let lost = loses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
                    if lost || client.write_all(&answer[..bytes]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_whose_answer_was_lost_after_the_commit_is_found_again_and_not_written_twice() {
    let house = House::new().await;
    let (host, port) = house.server();
    let cable = Cable::new(host, port).await;
    let process = house.another_at("behind-a-cable", cable.port).await;
    let agents = [house.agent(1).await, house.agent(1).await, house.agent(1).await];
    for agent in agents {
        house.give(&process, agent, 1).await;
    }
    let boss = context(house.boss);
    for round in 0..10 {
        let before = house.head().await;
        cable.lose(1);
        let done = process.top_up(&boss, agents[0].account_id, quota(5), None).await.unwrap();
        assert_eq!(cable.to_lose(), 0, "the answer was lost");
        assert_eq!((house.head().await, done.position.cast_signed()), (before + 1, before + 1), "round {round}");

        // A batch of several: each is answered with its own place.
        cable.lose(1);
        let (a, b, c) = tokio::join!(
            process.top_up(&boss, agents[0].account_id, quota(1), None),
            process.top_up(&boss, agents[1].account_id, quota(1), None),
            process.top_up(&boss, agents[2].account_id, quota(1), None),
        );
        let mut positions = [a.unwrap().position, b.unwrap().position, c.unwrap().position];
        positions.sort_unstable();
        let first = positions[0];
        assert_eq!((positions, house.head().await), ([first, first + 1, first + 2], before + 4));

        // A command with nothing to do but a receipt has no event to be found by: its receipt is.
        let with_key = keyed(house.boss, &format!("k{round}"), "enable");
        cable.lose(1);
        let first = process.enable_account(&with_key, agents[0].account_id).await.unwrap();
        let again = process.enable_account(&with_key, agents[0].account_id).await.unwrap();
        assert_eq!((&again.value, again.position), (&first.value, first.position));
        assert_eq!(house.head().await, before + 4);
    }
    house.leave().await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_holds_nobody_longer_than_the_bound_and_writes_at_most_once() {
    let house = House::new().await;
    let bound = Duration::from_secs(1);
    let process = house.another_within("slow", Limits { unreachable: bound, ..Limits::default() }).await;
    let agent = house.agent(1).await;
    house.give(&process, agent, 1).await;
    let head = house.hold_head().await;
    let boss = context(house.boss);
    let start = Instant::now();
    let outcome = process.top_up(&boss, agent.account_id, quota(5), None).await;
    assert!(matches!(outcome, Err(CommandError::Unavailable(_))), "{outcome:?}");
    assert!(start.elapsed() < bound * 5);
    drop(head);
    // Whether or not the server writes the one that nobody waits for any more, the next one decides on what is true.
    process.top_up(&boss, agent.account_id, quota(1), None).await.unwrap();
    let left = "select count(*) from pg_stat_activity where datname = current_database() \
                and application_name = 'slow' and state = 'active'";
    house.until(left, 0).await;
    let now = house.balance(agent).await.0;
    assert!([3, 8].contains(&now), "{now}");
    house.leave().await;
}
