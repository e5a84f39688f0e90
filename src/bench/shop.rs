//! A vendor with a project and a batch of licences on a running service, and the requests of its client software.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Method, Uri};
use quotary_api::client_signature::{HmacKey, RequestToSign, sign_request};
use quotary_commands::license_batch::issue_chunk::key_purpose;
use quotary_commands::{Context, clock};
use quotary_domain::license::LicenseTerms;
use quotary_domain::project::{Plan, ProjectDetails};
use quotary_domain::{Actor, BatchId, LicenseId, ProjectId, Quota, Role, Sealed};
use uuid::Uuid;

use super::scene::Failure;
use crate::config::{Config, Secret};
use crate::service::Service;

/// Where licences are verified.
pub const VERIFY: &str = "/v1/client/licenses/verify";
const PATIENCE: Duration = Duration::from_secs(120);

/// The settings of a service on a database of its own.
///
/// # Errors
/// If no keys can be made.
pub fn config(database_url: String) -> Result<Config, Failure> {
    use base64::Engine as _;
    Ok(Config {
        database_url: Some(Secret::from(database_url)),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        master_key: Some(Secret::from(base64::engine::general_purpose::STANDARD.encode([7; 32]))),
        token_keys: Some(Secret::from(quotary_api::tokens::TokenKeys::generate_json()?.to_string())),
        ..Config::default()
    })
}

/// A vendor with one project.
pub struct Shop {
    /// Its super admin.
    pub admin: Actor,
    /// The project.
    pub project_id: ProjectId,
    /// Its licences with their keys, in the order of issue.
    pub licenses: Vec<(LicenseId, String)>,
    /// How long it took from the request for the batch until all of it was issued.
    pub issued_within: Duration,
    key_id: String,
    key: HmacKey,
}

impl Shop {
    /// Opens the shop and has `count` licences issued as an agent has them: by the request, and the worker that follows it.
    ///
    /// # Errors
    /// If a command fails or the batch is not issued in time.
    pub async fn open(service: &Service, terms: LicenseTerms, count: u32) -> Result<Self, Failure> {
        let commands = &service.commands;
        let tenant = quotary_commands::tenant::create::CreateTenant {
            name: "bench".into(),
            username: quotary_domain::account::Username::parse("admin")?,
            email: "admin@example.com".into(),
            password: zeroize::Zeroizing::new("bench-password".into()),
            must_change_password: false,
        };
        let created = commands.create_tenant(tenant).await?.value;
        let admin = Actor { tenant_id: created.tenant_id, account_id: created.account_id, role: Role::SuperAdmin };
        let context = |command| Context::of(admin, command, clock::now());
        let details = ProjectDetails { name: "Bench".into(), description: None, version: None, callback_url: None };
        let project = commands.create_project(&context("project.create"), details).await?.value;
        let project_id = project.after.project_id;
        let plan = Plan::new("Bench".into(), Quota::ZERO, terms);
        let plan_id = commands.add_plan(&context("project.add_plan"), project_id, plan).await?.value.plan_id;
        let asked = Instant::now();
        let batch = commands.request_batch(&context("license_batch.request"), project_id, plan_id, count).await?.value;
        completed(service, batch.batch_id).await?;
        let issued_within = asked.elapsed();
        let licenses = licenses(service, admin, batch.batch_id).await?;
        let key = HmacKey::new(project.credentials.api_secret.as_bytes())?;
        Ok(Self { admin, project_id, licenses, issued_within, key_id: project.credentials.api_key_id.0, key })
    }

    /// A signed verification of a licence on a machine, as bytes of HTTP/1.1.
    ///
    /// # Errors
    /// If it can't be signed.
    pub fn verify(
        &self,
        address: SocketAddr,
        number: usize,
        fingerprint: &str,
        nonce: u64,
    ) -> Result<Vec<u8>, Failure> {
        let key = &self.licenses[number % self.licenses.len()].1;
        let body = serde_json::json!({"key": key, "machine": {"fingerprint": fingerprint}}).to_string();
        self.post(address, VERIFY, &body, nonce)
    }

    fn post(&self, address: SocketAddr, path: &'static str, body: &str, nonce: u64) -> Result<Vec<u8>, Failure> {
        use std::io::Write as _;
        let now = clock::now();
        let nonce = Uuid::from_u128(u128::from(now.timestamp_micros().cast_unsigned()) << 64 | u128::from(nonce));
        let request = RequestToSign {
            method: &Method::POST,
            uri: &Uri::from_static(path),
            headers: &HeaderMap::new(),
            body: body.as_bytes(),
            extra_components: &[],
        };
        let nonce = nonce.simple().to_string();
        let signature = sign_request(&request, &self.key_id, &self.key, now.timestamp(), &nonce)?;
        let mut headers = HeaderMap::new();
        signature.apply(&mut headers);
        let mut bytes = Vec::with_capacity(1_024);
        write!(bytes, "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n")?;
        for (name, value) in &headers {
            write!(bytes, "{name}: ")?;
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        write!(bytes, "content-length: {}\r\n\r\n{body}", body.len())?;
        Ok(bytes)
    }
}

async fn completed(service: &Service, batch_id: BatchId) -> Result<(), Failure> {
    let give_up = Instant::now() + PATIENCE;
    let query = "select exists (select from events where aggregate_type = 'LicenseBatch' and aggregate_id = $1
                 and event_type = 'BatchCompleted')";
    while !sqlx::query_scalar::<_, bool>(query).bind(batch_id.to_string()).fetch_one(&service.pool).await? {
        if Instant::now() > give_up {
            return Err("the batch was not issued in time".into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn licenses(service: &Service, admin: Actor, batch_id: BatchId) -> Result<Vec<(LicenseId, String)>, Failure> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "select aggregate_id, payload->'LicenseIssued'->>'key' from events \
         where aggregate_type = 'License' and event_type = 'LicenseIssued' \
         and payload->'LicenseIssued'->>'batch_id' = $1 order by position",
    )
    .bind(batch_id.to_string())
    .fetch_all(&service.pool)
    .await?;
    let vault = service.commands.log().vault();
    let open = |(id, key): (String, String)| {
        let id = LicenseId(Uuid::parse_str(&id)?);
        let key = vault.open(admin.tenant_id, &key_purpose(id), &Sealed(key))?;
        Ok((id, std::str::from_utf8(&key)?.to_owned()))
    };
    rows.into_iter().map(open).collect()
}
