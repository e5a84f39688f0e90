//! The seal on a real PostgreSQL: what is committed is under a checkpoint within a second, and a log that is not the one that was sealed is never
//! signed, whatever happens to sealer, database, heads or witness.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

#[path = "../../projections/tests/log_fixture/fixture.rs"]
mod fixture;
#[path = "seal/stand.rs"]
mod stand;

use std::time::{Duration, Instant};

use fixture::{Fixture, until};
use quotary_audit::keys;
use quotary_audit::note::{Checkpoint, Note};
use quotary_audit::tree::{Appender, check_consistency, leaf_hash};
use quotary_workers::seal::heads::Heads;
use stand::{Sealer, Witness, events, key, published};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_is_sealed_within_a_second_and_has_the_root_of_its_events() {
    let fixture = Fixture::new().await;
    let folder = tempfile::tempdir().unwrap();
    let sealer = Sealer::start(&fixture, &[1], folder.path());
    for count in [1, 3, 300, 17, 600] {
        let head = fixture.append(count).await;
        let committed = Instant::now();
        sealer.sealed(head).await;
        assert!(committed.elapsed() < Duration::from_secs(1), "sealed {:?} behind the commit", committed.elapsed());
    }
    let mut appender = Appender::default();
    appender.extend(events(&fixture).await.iter().map(|entry| leaf_hash(entry)));
    let chain = published(&fixture).await;
    let (last, note) = chain.last().unwrap();
    assert_eq!((last.size, last.root), (921, appender.root()));
    assert_eq!(note.signed_by(&[key(1).verifier()]).unwrap().len(), 1);
    let (head, kept) = Heads::new().in_folder(folder.path()).newest().await.unwrap().unwrap();
    assert_eq!((&head, &kept), (last, note));
    sealer.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealer_that_is_stopped_at_any_time_goes_on_where_it_was() {
    let fixture = Fixture::new().await;
    let folder = tempfile::tempdir().unwrap();
    for round in 0..12_u64 {
        let head = fixture.append(150).await;
        let sealer = Sealer::start(&fixture, &[1], folder.path());
        // In the middle of whatever it does then; only every third time it may finish.
        if round % 3 == 0 {
            sealer.sealed(head).await;
        } else {
            until("the sealer to begin", async || sealer.has_begun(round).then_some(())).await;
        }
        sealer.abort().await;
    }
    let head = fixture.append(1).await;
    let sealer = Sealer::start(&fixture, &[1], folder.path());
    sealer.sealed(head).await;
    let mut appender = Appender::default();
    appender.extend(events(&fixture).await.iter().map(|entry| leaf_hash(entry)));
    assert_eq!(published(&fixture).await.last().unwrap().0.root, appender.root());
    assert!(!sealer.status.report().is_refused);
    sealer.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_sealers_one_works_and_the_other_takes_over() {
    let fixture = Fixture::new().await;
    let folder = tempfile::tempdir().unwrap();
    let sealers = [Sealer::start(&fixture, &[1], folder.path()), Sealer::start(&fixture, &[1], folder.path())];
    let head = fixture.append(500).await;
    let leads = |sealer: &Sealer| sealer.status.report().is_leader;
    until("one to lead", async || sealers.iter().any(leads).then_some(())).await;
    stand::sealed(&fixture, head).await;
    assert_eq!(sealers.iter().filter(|sealer| leads(sealer)).count(), 1);
    let [first, second] = sealers;
    let (leader, other) = if leads(&first) { (first, second) } else { (second, first) };
    leader.abort().await;
    let head = fixture.append(10).await;
    other.sealed(head).await;
    let sizes: Vec<u64> = published(&fixture).await.iter().map(|(checkpoint, _)| checkpoint.size).collect();
    assert!(sizes.is_sorted() && sizes.last() == Some(&head));
    other.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hashes_without_a_checkpoint_are_compared_and_used() {
    let fixture = Fixture::new().await;
    let folder = tempfile::tempdir().unwrap();
    let sealer = Sealer::start(&fixture, &[1], folder.path());
    let first = fixture.append(700).await;
    sealer.sealed(first).await;
    let second = fixture.append(90).await;
    sealer.sealed(second).await;
    sealer.stop().await;
    // As if the process had died between the tiles and the head: neither head nor checkpoint were written.
    let (old, note) = published(&fixture).await.into_iter().rfind(|(checkpoint, _)| checkpoint.size == first).unwrap();
    sqlx::query("delete from seal_checkpoints where size > $1")
        .bind(first.cast_signed())
        .execute(&fixture.pool)
        .await
        .unwrap();
    std::fs::write(folder.path().join("head"), note.to_string()).unwrap();
    let sealer = Sealer::start(&fixture, &[1], folder.path());
    sealer.sealed(second).await;
    sealer.stop().await;
    let (new, _) = published(&fixture).await.pop().unwrap();
    assert!(old.size < new.size && new.size == second);
    // Between head and checkpoint: the head is published.
    sqlx::query("delete from seal_checkpoints where size > $1")
        .bind(first.cast_signed())
        .execute(&fixture.pool)
        .await
        .unwrap();
    let sealer = Sealer::start(&fixture, &[1], folder.path());
    sealer.sealed(second).await;
    assert_eq!(published(&fixture).await.pop().unwrap().0, new);
    sealer.stop().await;
    // And if an event is not the one that was hashed, nothing is signed.
    sqlx::query("delete from seal_checkpoints where size > $1")
        .bind(first.cast_signed())
        .execute(&fixture.pool)
        .await
        .unwrap();
    std::fs::write(folder.path().join("head"), note.to_string()).unwrap();
    sqlx::query("update events set metadata = '{}' where position = 750").execute(&fixture.pool).await.unwrap();
    let sealer = Sealer::start(&fixture, &[1], folder.path());
    let cause = sealer.refused().await;
    assert!(cause.contains("must not be signed"), "{cause}");
    sealer.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_or_a_cut_log_is_not_signed() {
    let fixture = Fixture::new().await;
    let folder = tempfile::tempdir().unwrap();
    let sealer = Sealer::start(&fixture, &[1], folder.path());
    let first = fixture.append(300).await;
    sealer.sealed(first).await;
    let head = fixture.append(300).await;
    sealer.sealed(head).await;
    // The tail is cut while it works.
    fixture.restore_log_to(450).await;
    sealer.refused().await;
    sealer.stop().await;
    // The whole database is restored: log, tiles and checkpoints agree, and only the head outside knows better. The log
    // grows again beyond it, with other events.
    for statement in [
        "delete from events where position > 300",
        "update log_head set position = 300",
        "delete from seal_checkpoints where size > 300",
        "delete from seal_tiles where level = 0 and (tile > 1 or tile = 1 and first >= 44)",
        "delete from seal_tiles where level > 0 and first > 0",
    ] {
        sqlx::query(statement).execute(&fixture.pool).await.unwrap();
    }
    fixture.append(500).await;
    let sealer = Sealer::start(&fixture, &[1], folder.path());
    sealer.refused().await;
    assert_eq!(published(&fixture).await.last().unwrap().0.size, 300);
    sealer.stop().await;
    // Without any head nothing is signed either, until somebody says that this log is the right one.
    let moved = tempfile::tempdir().unwrap();
    let sealer = Sealer::start(&fixture, &[1], moved.path());
    sealer.refused().await;
    sealer.stop().await;
    quotary_workers::seal::adopt(&fixture.pool, &Heads::new().in_folder(moved.path())).await.unwrap();
    let sealer = Sealer::start(&fixture, &[1], moved.path());
    sealer.sealed(800).await;
    sealer.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_altered_tile_or_a_forged_checkpoint_is_not_continued() {
    let fixture = Fixture::new().await;
    let folder = tempfile::tempdir().unwrap();
    let sealer = Sealer::start(&fixture, &[1], folder.path());
    let head = fixture.append(600).await;
    sealer.sealed(head).await;
    sealer.stop().await;
    for (alter, restore) in [
        (
            "update seal_tiles set hashes = set_byte(hashes, 40, get_byte(hashes, 40) # 1) where level = 1 and first = 0",
            "update seal_tiles set hashes = set_byte(hashes, 40, get_byte(hashes, 40) # 1) where level = 1 and first = 0",
        ),
        (
            "update seal_checkpoints set note = replace(note, E'\\n600\\n', E'\\n599\\n') where size = 600",
            "update seal_checkpoints set note = replace(note, E'\\n599\\n', E'\\n600\\n') where size = 600",
        ),
        (
            "update seal_keys set note = replace(note, ' 0 -', ' 9 -')",
            "update seal_keys set note = replace(note, ' 9 -', ' 0 -')",
        ),
    ] {
        sqlx::query(alter).execute(&fixture.pool).await.unwrap();
        let sealer = Sealer::start(&fixture, &[1], folder.path());
        sealer.refused().await;
        sqlx::query(restore).execute(&fixture.pool).await.unwrap();
        let head = fixture.append(1).await;
        sealer.sealed(head).await;
        sealer.stop().await;
        fixture.restore_log_to(600).await;
        for table in [
            "delete from seal_checkpoints where size > 600",
            "delete from seal_tiles where level = 0 and tile = 2 and first >= 88",
        ] {
            sqlx::query(table).execute(&fixture.pool).await.unwrap();
        }
        let note = published(&fixture).await.pop().unwrap().1;
        std::fs::write(folder.path().join("head"), note.to_string()).unwrap();
    }
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_rotated_with_an_overlap_and_old_checkpoints_still_verify() {
    let fixture = Fixture::new().await;
    let folder = tempfile::tempdir().unwrap();
    for keys in [&[1][..], &[1, 2], &[2]] {
        let sealer = Sealer::start(&fixture, keys, folder.path());
        let head = fixture.append(40).await;
        sealer.sealed(head).await;
        sealer.stop().await;
    }
    let issues: Vec<Note> = stand::key_issues(&fixture).await;
    assert_eq!(issues.len(), 3);
    let chain = published(&fixture).await;
    for pinned in [1, 2] {
        let list = keys::trusted(&issues, &[key(pinned).verifier()]).unwrap();
        for (checkpoint, note) in &chain {
            assert_eq!(list.check(note).as_ref(), Ok(checkpoint));
        }
    }
    let signers = |note: &Note| {
        let keys = [key(1).verifier(), key(2).verifier()];
        note.signed_by(&keys).unwrap().len()
    };
    let counts: Vec<usize> = chain.iter().map(|(_, note)| signers(note)).collect();
    assert!(counts.contains(&2) && *counts.first().unwrap() == 1 && *counts.last().unwrap() == 1, "{counts:?}");
    // A key that nobody has handed over to is not taken.
    let sealer = Sealer::start(&fixture, &[3], folder.path());
    sealer.refused().await;
    sealer.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_cosigns_and_its_silence_stops_nothing() {
    let fixture = Fixture::new().await;
    let folder = tempfile::tempdir().unwrap();
    let witness = Witness::start(&[key(1).verifier()]).await;
    let sealer = Sealer::start_with(&fixture, &[1], folder.path(), Some(&witness));
    let head = fixture.append(400).await;
    sealer.sealed(head).await;
    let head = fixture.append(30).await;
    sealer.sealed(head).await;
    let cosigned = |note: &Note| note.signed_by(&[witness.key.verifier()]).is_ok();
    assert!(published(&fixture).await.iter().all(|(_, note)| cosigned(note)));
    assert_eq!(sealer.status.report().witnessed, head);
    witness.silence();
    let head = fixture.append(30).await;
    let committed = Instant::now();
    sealer.sealed(head).await;
    assert!(committed.elapsed() < Duration::from_secs(2), "{:?}", committed.elapsed());
    assert!(!cosigned(&published(&fixture).await.pop().unwrap().1));
    assert!(!sealer.status.report().is_refused);
    sealer.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_the_witness_has_not_seen_is_not_signed() {
    let (fixture, fork) = (Fixture::new().await, Fixture::new().await);
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let witness = Witness::start(&[key(1).verifier()]).await;
    let sealer = Sealer::start_with(&fixture, &[1], folder.path(), Some(&witness));
    let head = fixture.append(200).await;
    sealer.sealed(head).await;
    sealer.stop().await;
    // Another database under the same key: shorter, then longer than what the witness has seen.
    let sealer = Sealer::start_with(&fork, &[1], other.path(), Some(&witness));
    fork.append(100).await;
    sealer.refused().await;
    fork.append(150).await;
    sealer.refused().await;
    assert!(published(&fork).await.is_empty(), "a fork was published");
    sealer.stop().await;
    fork.finish().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_of_nats_keeps_the_head_for_all_hosts() {
    let fixture = Fixture::new().await;
    let config =
        async_nats::jetstream::kv::Config { bucket: format!("{}_seal", fixture.names.stream()), ..Default::default() };
    let bucket = fixture.nats.create_key_value(config).await.unwrap();
    let heads = || Heads::new().in_bucket(bucket.clone());
    let sealer = Sealer::start_on(&fixture, &[1], heads(), None);
    let head = fixture.append(100).await;
    sealer.sealed(head).await;
    let head = fixture.append(100).await;
    sealer.sealed(head).await;
    sealer.stop().await;
    let (kept, _) = heads().newest().await.unwrap().unwrap();
    let chain = published(&fixture).await;
    assert_eq!(chain.last().unwrap().0, kept);
    // A folder on another host that knows an older head is brought up; a foreign head is not overwritten.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("head"), chain[0].1.to_string()).unwrap();
    let sealer = Sealer::start_on(&fixture, &[1], heads().in_folder(folder.path()), None);
    let head = fixture.append(5).await;
    sealer.sealed(head).await;
    sealer.stop().await;
    assert_eq!(Heads::new().in_folder(folder.path()).newest().await.unwrap().unwrap().0.size, head);
    let foreign = Checkpoint { origin: stand::ORIGIN.to_owned(), size: 7, root: [7; 32] };
    let forged = Note::sign(foreign.to_string(), [&key(1)]).unwrap();
    bucket.put("head", forged.to_string().into()).await.unwrap();
    let sealer = Sealer::start_on(&fixture, &[1], heads(), None);
    sealer.refused().await;
    sealer.stop().await;
    fixture.nats.delete_key_value(format!("{}_seal", fixture.names.stream())).await.unwrap();
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chain_of_checkpoints_is_consistent_from_the_first_to_the_last() {
    let fixture = Fixture::new().await;
    let folder = tempfile::tempdir().unwrap();
    let sealer = Sealer::start(&fixture, &[1], folder.path());
    for count in [1, 255, 1, 300, 70] {
        let head = fixture.append(count).await;
        sealer.sealed(head).await;
    }
    let chain = published(&fixture).await;
    for pair in chain.windows(2) {
        let (old, new) = (&pair[0].0, &pair[1].0);
        let proof = stand::consistency(&fixture, old.size, new.size).await;
        assert_eq!(check_consistency(old.size, &old.root, new.size, &new.root, &proof), Ok(()));
    }
    sealer.stop().await;
    fixture.finish().await;
}
