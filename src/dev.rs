//! The embedded default: a private PostgreSQL and a private nats-server as children, API and workers in this process, a
//! tenant and a super admin. Starts again on the same data.

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quotary_api::tokens::TokenKeys;
use quotary_audit::note::{Algorithm, SignerKey};
use quotary_commands::account::claims::find_tenant;
use quotary_commands::tenant::create::CreateTenant;
use quotary_commands::vault::random;
use quotary_domain::account::Username;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::{Config, Secret};
use crate::embedded::{EmbeddedConfig, Profile, Servers};
use crate::service::{Halves, Service};
use crate::{demo, files};

/// How the embedded default is started.
#[derive(Clone, Debug)]
pub struct DevOptions {
    /// Where all data is.
    pub data_dir: PathBuf,
    /// The API's port on 127.0.0.1; 0 takes any that is free.
    pub port: u16,
    /// Whether to make demo data at the first start.
    pub demo: bool,
}

/// What `dev.json` says; written when everything is ready, removed at the stop.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DevFile {
    /// The API.
    pub url: String,
    /// PostgreSQL, as its owner.
    pub database_url: String,
    /// NATS.
    pub nats_url: String,
    /// The super admin's login name.
    pub username: String,
    /// The super admin's password.
    pub password: String,
}

/// Any error ends the process.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The name of the first tenant.
const TENANT: &str = "dev";
/// The name of the log.
const ORIGIN: &str = "localhost/quotary-dev";
/// The folder that keeps the last sealed head, beside the servers' data.
pub const SEAL: &str = "seal";
/// The super admin's login name.
const USERNAME: &str = "admin";

/// Runs until `stop`.
///
/// # Errors
/// If a server can't be started, or one ends by itself.
pub async fn run(options: &DevOptions, stop: impl Future<Output = ()>) -> Result<(), Failure> {
    std::fs::create_dir_all(&options.data_dir)?;
    let data_dir = options.data_dir.canonicalize()?;
    // Ends with this process however it ends. Before anything is touched: the ready file may be another process's.
    let _turn = take_turn(&data_dir)?;
    let ready_file = data_dir.join("dev.json");
    files::remove_if_there(&ready_file)?;
    let secrets = Secrets::load_or_make(&data_dir)?;
    let servers = Servers::start(&EmbeddedConfig::new(data_dir.join("servers"), Profile::Dev)).await?;
    let outcome = serve(options, &data_dir, &ready_file, &secrets, &servers, stop).await;
    let removed = files::remove_if_there(&ready_file);
    servers.stop().await?;
    removed?;
    outcome
}

/// Makes this process the only one on a data directory.
fn take_turn(data_dir: &Path) -> Result<File, Failure> {
    let file = File::options().write(true).create(true).truncate(false).open(data_dir.join("dev.lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(format!("another process runs on {}", data_dir.display()).into()),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

async fn serve(
    options: &DevOptions,
    data_dir: &Path,
    ready_file: &Path,
    secrets: &Secrets,
    servers: &Servers,
    stop: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let config = Config {
        database_url: Some(Secret::from(servers.database_url.clone())),
        nats_url: Some(Secret::from(servers.nats_url.clone())),
        listen: SocketAddr::from(([127, 0, 0, 1], options.port)),
        master_key: Some(Secret::from(secrets.master_key.to_string())),
        token_keys: Some(Secret::from(secrets.token_keys.to_string())),
        seal_key: Some(Secret::from(secrets.seal_key.to_string())),
        seal_dir: Some(data_dir.join(SEAL)),
        ..Config::default()
    };
    let service = Service::start(&config, Halves::Both).await?;
    let prepared = async {
        if find_tenant(&service.pool, Some(TENANT)).await?.is_none() {
            make_tenant(&service, secrets).await?;
        }
        if options.demo {
            demo::make(&service.commands, &service.pool, TENANT).await?;
        }
        let url = format!("http://{}", service.address);
        let ready = DevFile {
            url: url.clone(),
            database_url: servers.database_url.clone(),
            nats_url: servers.nats_url.clone(),
            username: USERNAME.to_owned(),
            password: secrets.admin_password.to_string(),
        };
        files::write_secret(ready_file, serde_json::to_string_pretty(&ready)?.as_bytes())?;
        tell(&url, ready_file, &secrets.admin_password);
        Ok::<_, Failure>(())
    };
    if let Err(error) = prepared.await {
        service.run_until(std::future::ready(())).await?;
        return Err(error);
    }
    let stopped = async {
        tokio::select! {
            () = stop => None,
            exit = servers.wait_for_exit() => Some(exit),
        }
    };
    let mut exit = None;
    service.run_until(async { exit = stopped.await }).await?;
    match exit {
        None => Ok(()),
        Some(exit) => Err(format!("{:?} ended by itself: {:?}", exit.server, exit.status).into()),
    }
}

async fn make_tenant(service: &Service, secrets: &Secrets) -> Result<(), Failure> {
    let tenant = CreateTenant {
        name: TENANT.to_owned(),
        username: Username::parse(USERNAME)?,
        email: "admin@example.com".to_owned(),
        password: secrets.admin_password.clone(),
        must_change_password: false,
    };
    service.commands.create_tenant(tenant).await?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is where to go next")]
fn tell(url: &str, ready_file: &Path, password: &str) {
    println!(
        "Quotary is ready.\n\n  API            {url}\n  documentation  {url}/docs\n  log in as      {USERNAME} / {password}\n  \
         all of this    {}\n\nCtrl-C stops it; the next start finds the same data.",
        ready_file.display()
    );
}

/// The secrets of a data directory, made at the first start.
struct Secrets {
    master_key: Zeroizing<String>,
    token_keys: Zeroizing<String>,
    seal_key: Zeroizing<String>,
    admin_password: Zeroizing<String>,
}

impl Secrets {
    fn load_or_make(data_dir: &Path) -> Result<Self, Failure> {
        let folder = data_dir.join("secrets");
        Ok(Self {
            master_key: files::load_or_make(&folder.join("master.key"), || {
                Ok(Zeroizing::new(STANDARD.encode(random::<32>()?.as_ref())))
            })?,
            token_keys: files::load_or_make(&folder.join("tokens.json"), || Ok(TokenKeys::generate_json()?))?,
            seal_key: files::load_or_make(&folder.join("seal.key"), || {
                let key = SignerKey::from_seed(ORIGIN, Algorithm::Ed25519, &*random::<32>()?)?;
                Ok(Zeroizing::new(key.to_secret_text()))
            })?,
            admin_password: files::load_or_make(&folder.join("admin.password"), || {
                let bytes = random::<12>()?;
                Ok(Zeroizing::new(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes.as_ref())))
            })?,
        })
    }
}
