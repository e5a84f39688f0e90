//! Calls over real HTTP, and what they are answered.

use std::time::Duration;

use axum::http::{HeaderMap, Method, Uri};
use quotary_api::client_signature::{HmacKey, RequestToSign, sign_request};
use quotary_commands::clock;
use reqwest::Client;
use serde_json::{Value, json};

/// An HTTP client as an integrator would have it.
pub fn http() -> Client {
    Client::builder().timeout(Duration::from_secs(40)).build().unwrap()
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as JSON; null if it is none.
    pub body: Value,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// Reads a response to its end.
    pub async fn read(response: reqwest::Response) -> Result<Self, reqwest::Error> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = String::from_utf8_lossy(&response.bytes().await?).into_owned();
        Ok(Self { status, headers, body: serde_json::from_str(&text).unwrap_or_default(), text })
    }

    /// A header as text; empty if it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The stable code of a problem.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// A text of the body.
    pub fn text_of(&self, field: &str) -> String {
        self.body[field].as_str().unwrap_or_else(|| panic!("no {field} in {}", self.text)).to_owned()
    }

    /// Fails unless the status is this one.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

/// A call with a JSON body by the bearer of a token.
pub async fn call(http: &Client, token: &str, method: Method, url: &str, body: &Value) -> Answer {
    let request = http.request(method, url).bearer_auth(token);
    let request = if body.is_null() { request } else { request.json(body) };
    Answer::read(request.send().await.unwrap()).await.unwrap()
}

/// An access token.
pub async fn log_in(http: &Client, url: &str, tenant: &str, username: &str, password: &str) -> Answer {
    let body = json!({ "tenant": tenant, "username": username, "password": password });
    let request = http.post(format!("{url}/v1/auth/login")).json(&body);
    Answer::read(request.send().await.unwrap()).await.unwrap()
}

/// The API key of a project.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its public half.
    pub id: String,
    /// Its secret half.
    pub secret: String,
}

impl ApiKey {
    /// A signed request of client software, as of now with a new nonce.
    pub fn request(&self, http: &Client, server: &str, path: &str, body: &Value) -> reqwest::RequestBuilder {
        let nonce = clock::new_id().simple().to_string();
        let text = body.to_string();
        let headers = self.sign(path, text.as_bytes(), &nonce, clock::now().timestamp());
        http.post(format!("{server}{path}")).headers(headers).header("content-type", "application/json").body(text)
    }

    /// The headers that sign a body.
    pub fn sign(&self, path: &str, body: &[u8], nonce: &str, created: i64) -> HeaderMap {
        let (key, uri) = (HmacKey::new(self.secret.as_bytes()).unwrap(), path.parse::<Uri>().unwrap());
        let request =
            RequestToSign { method: &Method::POST, uri: &uri, headers: &HeaderMap::new(), body, extra_components: &[] };
        let mut headers = HeaderMap::new();
        sign_request(&request, &self.id, &key, created, nonce).unwrap().apply(&mut headers);
        headers
    }
}
