//! `quotary generate`: rewrites the files that are made from code, so that a check can see whether they are up to date.

use std::path::{Path, PathBuf};
use std::process::Command;

use quotary::embedded::{EmbeddedConfig, Profile, Servers};
use quotary::{database, service};

use super::Failure;

/// Writes `schema/openapi.json` and `schema/schema.sql`.
pub async fn run() -> Result<(), Failure> {
    let root = PathBuf::from("schema");
    if !root.join("migrations").is_dir() {
        return Err("run this in the repository's root".into());
    }
    std::fs::write(root.join("openapi.json"), quotary_api::openapi_json())?;
    let folder = tempfile::tempdir()?;
    let servers = Servers::start(&EmbeddedConfig::new(folder.path().join("servers"), Profile::Test)).await?;
    let dumped = dump(&servers.database_url).await;
    servers.destroy().await?;
    write_schema(&root.join("schema.sql"), &dumped?)
}

/// The schema that the migrations and the read models make.
async fn dump(url: &str) -> Result<String, Failure> {
    let owner = database::owner_pool(url, 2).await?;
    database::migrate(&owner).await?;
    service::ensure_read_models(&owner).await?;
    owner.close().await;
    let dumped = Command::new(pg_dump()).args(["--schema-only", "--no-owner", "--dbname", url]).output()?;
    if !dumped.status.success() {
        return Err(String::from_utf8_lossy(&dumped.stderr).into_owned().into());
    }
    Ok(String::from_utf8(dumped.stdout)?)
}

fn write_schema(file: &Path, dump: &str) -> Result<(), Failure> {
    // What differs between versions of the tool, and names that are random, are no part of the schema.
    let kept = dump.lines().filter(|line| {
        !line.starts_with("--") && !line.starts_with("SET ") && !line.starts_with('\\') && !line.contains("set_config")
    });
    let mut text = String::from("-- Made by `make generate` from schema/migrations and the read models; don't edit.\n");
    let mut blank = false;
    for line in kept {
        if !(line.is_empty() && blank) {
            text.push_str(line);
            text.push('\n');
        }
        blank = line.is_empty();
    }
    Ok(std::fs::write(file, text)?)
}

/// The tool of the newest server on this machine.
fn pg_dump() -> PathBuf {
    let newest = std::fs::read_dir("/usr/lib/postgresql").ok().and_then(|versions| {
        let found = versions.flatten().map(|version| version.path().join("bin/pg_dump"));
        found.filter(|tool| tool.is_file()).max()
    });
    newest.unwrap_or_else(|| PathBuf::from("pg_dump"))
}
