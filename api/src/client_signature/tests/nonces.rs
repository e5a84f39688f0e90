//! The nonce store: once within the window, bounded, forgetful only when it is safe.
//!
//! Time is a number that the tests choose.

use super::super::{NONCE_RETENTION_SECONDS, NonceError, NonceStore, ParsedSignature, SignatureError};
use super::{NOW, Request};

#[test]
fn a_nonce_is_taken_once_per_key() {
    let store = NonceStore::new(1000);
    assert!(store.is_empty());
    assert_eq!(store.insert("a", "n", NOW, NOW), Ok(()));
    assert_eq!(store.insert("a", "n", NOW, NOW), Err(NonceError::Replayed));
    assert_eq!(store.insert("a", "n", NOW + 100, NOW + 200), Err(NonceError::Replayed));
    assert_eq!(store.insert("b", "n", NOW, NOW), Ok(()));
    assert_eq!(store.insert("ab", "c", NOW, NOW), Ok(()));
    assert_eq!(store.insert("a", "bc", NOW, NOW), Ok(()));
    assert_eq!(store.len(), 4);
}

#[test]
fn a_replayed_request_is_refused_for_as_long_as_its_signature_is_good() {
    let store = NonceStore::new(1000);
    let request = Request::signed();
    let accept = |now: i64| {
        request.check_at(now)?;
        let parsed = ParsedSignature::parse(&request.headers)?;
        store.insert(parsed.key_id(), parsed.nonce(), parsed.created(), now).map_err(SignatureError::from)
    };
    assert_eq!(accept(NOW - 300), Ok(()));
    for now in NOW - 300..=NOW + 300 {
        assert_eq!(accept(now), Err(SignatureError::NonceReplayed), "{now}");
    }
    assert!(matches!(accept(NOW + 301), Err(SignatureError::TooOld { .. })));
    // A clock that is set back by less than the slack does not open a gap.
    assert_eq!(accept(NOW + 290), Err(SignatureError::NonceReplayed));
}

#[test]
fn a_refused_signature_burns_no_nonce() {
    let store = NonceStore::new(1000);
    let mut forged = Request::signed();
    forged.body.clear();
    assert!(forged.check().is_err());
    let parsed = ParsedSignature::parse(&Request::signed().headers).expect("parsed");
    assert_eq!(store.insert(parsed.key_id(), parsed.nonce(), parsed.created(), NOW), Ok(()));
}

#[test]
fn a_full_store_refuses_rather_than_forgets_and_recovers_when_entries_expire() {
    let store = NonceStore::new(640);
    assert_eq!(store.capacity(), 640);
    let mut taken = Vec::new();
    let mut full = 0;
    for number in 0..5000 {
        let nonce = number.to_string();
        match store.insert("k", &nonce, NOW, NOW) {
            Ok(()) => taken.push(nonce),
            Err(NonceError::Full) => full += 1,
            Err(NonceError::Replayed) => panic!("{nonce} is new"),
        }
    }
    assert_eq!((store.len(), taken.len(), full), (640, 640, 5000 - 640));
    for nonce in &taken {
        assert_eq!(store.insert("k", nonce, NOW, NOW + 300), Err(NonceError::Replayed));
    }
    let later = NOW + NONCE_RETENTION_SECONDS + 1;
    for nonce in &taken {
        assert_eq!(store.insert("k", nonce, later, later), Ok(()));
    }
    assert_eq!(store.len(), 640);
}

#[test]
fn entries_leave_after_the_retention_and_not_before() {
    let store = NonceStore::new(1_000_000);
    for number in 0..1000 {
        assert_eq!(store.insert("k", &number.to_string(), NOW + 300, NOW), Ok(()));
    }
    let end = NOW + NONCE_RETENTION_SECONDS;
    for number in 0..1000 {
        assert_eq!(store.insert("k", &number.to_string(), NOW + 300, end), Err(NonceError::Replayed));
    }
    for number in 0..1000 {
        assert_eq!(store.insert("k", &number.to_string(), end + 1, end + 1), Ok(()));
    }
    assert_eq!(store.len(), 1000);
    // Neither a `created` far off nor extreme clocks overflow or stay for good.
    assert_eq!(store.insert("k", "far", i64::MAX, NOW), Ok(()));
    assert_eq!(store.insert("k", "far", NOW, NOW + NONCE_RETENTION_SECONDS + 1), Ok(()));
    assert_eq!(store.insert("k", "max", i64::MAX, i64::MAX), Ok(()));
    assert_eq!(store.insert("k", "min", i64::MIN, i64::MIN), Ok(()));
}

#[test]
fn of_many_threads_with_one_nonce_one_wins() {
    let store = NonceStore::new(1000);
    let wins: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..200).filter(|n| store.insert("k", &n.to_string(), NOW, NOW).is_ok()).count()))
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(wins, 200);
}
