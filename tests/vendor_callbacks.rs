//! Callbacks as a vendor's engineer meets them: real processes over HTTP, a worker that is killed while it sends, and the receiver
//! of the documentation.
//!
//! What always holds: what docs/callbacks.md shows is what runs here.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

mod support;

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use parking_lot::Mutex;
use reqwest::Client;
use serde_json::{Value, json};
use support::api::{Answer, call, http};
use support::eventually;
use support::installation::{Installation, Server};
use support::vendor::{Project, Vendor};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

const BOUND: Duration = Duration::from_secs(60);

/// The first block of a language in the documentation.
fn block(language: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/callbacks.md");
    let text = std::fs::read_to_string(file).unwrap();
    let start = text.split(&format!("```{language}\n")).nth(1).unwrap();
    start.split("```").next().unwrap().to_owned()
}

struct Scene {
    installation: Installation,
    http: Client,
    api: Server,
    vendor: Vendor,
    project: Project,
}

impl Scene {
    async fn new() -> Self {
        let mut installation = Installation::new("callbacks").await;
        installation.set("QUOTARY_CALLBACKS_TO_PRIVATE", "true");
        let (http, api) = (http(), installation.start("api").await);
        let vendor = Vendor::create(&installation, &http, &api.url, "acme").await;
        let project = vendor.project(&http, &api.url, "Paintbox").await;
        Self { installation, http, api, vendor, project }
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        let url = format!("{}/v1/projects/{}/callbacks{path}", self.api.url, self.project.id);
        call(&self.http, &self.vendor.token, method, &url, body).await
    }

    /// Sets the address; the secret, if it is the first.
    async fn set(&self, url: &str) -> Value {
        self.call(Method::PUT, "", &json!({ "url": url })).await.expect(200).body["secret"].clone()
    }

    async fn press_the_button(&self) -> String {
        self.call(Method::POST, "/test", &json!({})).await.expect(202).text_of("id")
    }

    /// Waits until a delivery is so.
    async fn until(&self, id: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(what, BOUND, async || {
            let found = self.call(Method::GET, &format!("/deliveries/{id}"), &Value::Null).await;
            (found.status == 200 && is_so(&found.body)).then_some(found.body)
        })
        .await
    }

    async fn end(mut self, mut worker: Server) {
        assert!(worker.process.terminate().await.success());
        assert!(self.api.process.terminate().await.success());
        assert_eq!(self.installation.failures(), Vec::<String>::new());
        self.installation.finish().await;
    }
}

#[derive(Clone, Default)]
struct Hanging {
    ids: Arc<Mutex<Vec<String>>>,
    answers: Arc<AtomicBool>,
}

async fn take(State(state): State<Hanging>, headers: HeaderMap) -> StatusCode {
    state.ids.lock().push(headers["webhook-id"].to_str().unwrap().to_owned());
    if !state.answers.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    StatusCode::OK
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_while_it_sends_is_followed_by_one_that_sends_the_same_again() {
    let scene = Scene::new().await;
    let state = Hanging::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let app = axum::Router::new().fallback(take).with_state(state.clone());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    scene.set(&url).await;
    let mut killed = scene.installation.start("worker").await;
    let id = scene.press_the_button().await;
    eventually("the first sending", BOUND, async || (state.ids.lock().len() == 1).then_some(())).await;
    killed.process.kill().await;
    state.answers.store(true, Ordering::Relaxed);
    let worker = scene.installation.start("worker").await;
    let delivered = scene.until(&id, "the delivery", |found| found["status"] == "delivered").await;
    assert_eq!(delivered["attempts"], 1, "the attempt of the killed one has no record");
    assert_eq!(*state.ids.lock(), [id.clone(), id.clone()]);
    // The button after the end: once more, with the same id.
    scene.call(Method::POST, &format!("/deliveries/{id}/replay"), &json!({})).await.expect(202);
    let replayed = |found: &Value| found["status"] == "delivered" && found["replays"] == 1;
    scene.until(&id, "the replay", replayed).await;
    assert_eq!(state.ids.lock().len(), 3);
    let metrics = scene.http.get(format!("{}/metrics", worker.url)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("\nquotary_callbacks_delivered 2\n"), "{metrics}");
    assert!(metrics.contains("\nquotary_callbacks_pending 0\n"), "{metrics}");
    scene.end(worker).await;
}

/// The receiver of the documentation with a secret, listening on a port.
async fn receiver(secret: &str, port: u16) -> Child {
    let mut python = Command::new("python3");
    python.args(["-c", &block("python")]).env("SECRET", secret).env("PORT", port.to_string());
    python.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let child = python.spawn().expect("python3 runs the example of docs/callbacks.md");
    eventually("python listens", BOUND, async || TcpStream::connect(("127.0.0.1", port)).await.ok()).await;
    child
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receiver_of_the_documentation_takes_what_is_genuine_and_nothing_else() {
    let scene = Scene::new().await;
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let secret = scene.set(&format!("http://127.0.0.1:{port}/")).await;
    let secret = secret.as_str().unwrap();
    let worker = scene.installation.start("worker").await;
    let mut stranger = receiver("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=", port).await;
    let first = scene.press_the_button().await;
    let refused = scene.until(&first, "the refusal", |found| found["attempts"] == 1).await;
    assert_eq!((&refused["status"], &refused["outcome"]), (&json!("pending"), &json!("status")));
    assert_eq!(refused["attempt_log"][0]["http_status"], 401);
    stranger.kill().await.unwrap();
    let mut genuine = receiver(secret, port).await;
    let second = scene.press_the_button().await;
    let mut lines = BufReader::new(genuine.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(BOUND, lines.next_line()).await.unwrap().unwrap();
    assert_eq!(line.as_deref(), Some("test None"));
    scene.until(&second, "the delivery", |found| found["status"] == "delivered").await;
    genuine.kill().await.unwrap();
    scene.end(worker).await;
}
