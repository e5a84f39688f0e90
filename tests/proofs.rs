//! What the running service hands to auditors, read by somebody else's implementation of C2SP and RFC 6962 (the crates
//! `signed_note` and `tlog_tiles`): checkpoints, keys, inclusion and consistency proofs, tiles.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

mod support;

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quotary_audit::note::{Algorithm, SignerKey};
use reqwest::Client;
use serde_json::{Value, json};
use signed_note::{Note, StandardVerifier, VerifierList};
use support::api::{Answer, call, http};
use support::installation::Installation;
use support::vendor::Vendor;
use tlog_tiles::{Checkpoint, Hash, Tile, check_record, check_tree, record_hash};

const ORIGIN: &str = "ledger.example/proofs";

/// A checkpoint as the other crates read it, its signature checked.
fn checkpoint(note: &str, vkey: &str) -> Checkpoint {
    let note = Note::from_bytes(note.as_bytes()).unwrap();
    let known = VerifierList::new(vec![Box::new(StandardVerifier::new(vkey).unwrap())]);
    let (verified, unverified) = note.verify(&known).unwrap();
    assert_eq!((verified.len(), unverified.len()), (1, 0));
    let checkpoint = Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!((checkpoint.origin(), checkpoint.extension()), (ORIGIN, ""));
    checkpoint
}

fn hash(text: &str) -> Hash {
    Hash(STANDARD.decode(text).unwrap().try_into().unwrap())
}

/// An auditor over HTTP.
struct Auditor<'a> {
    http: &'a Client,
    token: &'a str,
    server: &'a str,
}

impl Auditor<'_> {
    async fn get(&self, path: &str) -> Answer {
        call(self.http, self.token, Method::GET, &format!("{}/v1/audit/{path}", self.server), &Value::Null).await
    }

    async fn bytes(&self, path: &str) -> Vec<u8> {
        let url = format!("{}/v1/audit/{path}", self.server);
        let answer = self.http.get(url).bearer_auth(self.token).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.bytes().await.unwrap().to_vec()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_implementation_verifies_what_the_service_hands_out() {
    let folder = tempfile::tempdir().unwrap();
    let key = SignerKey::from_seed(ORIGIN, Algorithm::Ed25519, &[3; 32]).unwrap();
    let vkey = key.verifier().to_string();
    let mut installation = Installation::new("proofs").await;
    installation.set("QUOTARY_SEAL_KEY", &key.to_secret_text());
    installation.set("QUOTARY_SEAL_DIR", folder.path().to_str().unwrap());
    let mut server = installation.start("serve").await;
    let http = http();
    let vendor = Vendor::create(&installation, &http, &server.url, "acme").await;
    let other = Vendor::create(&installation, &http, &server.url, "other").await;
    let agent = vendor.account(&http, &server.url, &vendor.token, "anna", "agent", 1_000_000).await;
    vendor.account(&http, &server.url, &vendor.token, "bert", "agent", 0).await;
    let transfers = format!("{}/v1/quota/transfers", server.url);
    let transfer = async |count: usize| {
        let mut position = String::new();
        for _ in 0..count {
            let body = json!({ "to_username": "bert", "amount": 3 });
            position = call(&http, &agent.token, Method::POST, &transfers, &body)
                .await
                .expect(201)
                .header("quotary-position")
                .to_owned();
        }
        position.parse::<u64>().unwrap()
    };
    let auditor = Auditor { http: &http, token: &vendor.token, server: &server.url };

    transfer(20).await;
    let old = checkpoint(&auditor.get("checkpoint").await.expect(200).text, &vkey);
    // More than one full tile, so that proofs go through two levels of them.
    let head = transfer(140).await;
    let url = format!("{}/v1/audit/checkpoint", server.url);
    let asked = http.get(url).bearer_auth(&vendor.token).header("quotary-min-position", head.to_string());
    let new = checkpoint(&Answer::read(asked.send().await.unwrap()).await.unwrap().expect(200).text, &vkey);
    assert!(old.size() < new.size() && new.size() >= head && head > 300);

    for position in [2, old.size(), 256, 257, head] {
        let entry = auditor.bytes(&format!("entries/{position}")).await;
        let proof = auditor.get(&format!("proofs/inclusion/{position}")).await.expect(200).text;
        let (proof, note) = proof.split_once("\n\n").unwrap();
        let mut lines = proof.lines();
        assert_eq!(lines.next(), Some("c2sp.org/tlog-proof@v1"));
        let index: u64 = lines.next().unwrap().strip_prefix("index ").unwrap().parse().unwrap();
        assert_eq!(index, position - 1);
        let (path, seal) = (lines.map(hash).collect(), checkpoint(note, &vkey));
        check_record(&path, seal.size(), *seal.hash(), index, record_hash(&entry)).unwrap();
        assert!(check_record(&path, seal.size(), *seal.hash(), index, record_hash(b"other")).is_err());
    }

    let proof = auditor.get(&format!("proofs/consistency?from={}&to={}", old.size(), new.size())).await.expect(200);
    let path: Vec<Hash> = proof.body["hashes"].as_array().unwrap().iter().map(|h| hash(h.as_str().unwrap())).collect();
    check_tree(&path, new.size(), *new.hash(), old.size(), *old.hash()).unwrap();
    assert!(check_tree(&path, new.size(), *old.hash(), old.size(), *old.hash()).is_err());

    let full = auditor.bytes("tile/0/000").await;
    let above = auditor.bytes("tile/1/000.p/1").await;
    assert_eq!(Tile::subtree_hash(&full).0.as_slice(), above);
    auditor.get("tile/0/000.p/0").await.expect(400);
    auditor.get("tile/0/001").await.expect(404);

    let keys = auditor.get("keys").await.expect(200).text;
    let list = Note::from_bytes(keys.as_bytes()).unwrap();
    list.verify(&VerifierList::new(vec![Box::new(StandardVerifier::new(&vkey).unwrap())])).unwrap();
    assert!(keys.contains(&vkey));

    // Hashes are everybody's who audits; events are their tenant's.
    let stranger = Auditor { http: &http, token: &other.token, server: &server.url };
    stranger.get("checkpoint").await.expect(200);
    stranger.get(&format!("entries/{head}")).await.expect(404);
    stranger.get(&format!("proofs/inclusion/{head}")).await.expect(404);
    let nobody = Auditor { http: &http, token: &agent.token, server: &server.url };
    nobody.get("checkpoint").await.expect(403);
    let late = auditor.get(&format!("proofs/consistency?from=1&to={}", head + 1_000_000)).await.expect(503);
    assert_eq!(late.code(), "not-sealed");

    assert!(server.process.terminate().await.success());
    installation.finish().await;
}
