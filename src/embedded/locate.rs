//! Where the servers' programs are.
//!
//! What always holds: the order is the one of `deploy/bootstrap.sh`. PostgreSQL: the newest of Debian's
//! `/usr/lib/postgresql/<major>/bin`, then `PATH`. nats-server: `PATH`, then
//! `${XDG_CACHE_HOME:-$HOME/.cache}/quotary/nats/bin`. A program that is too old counts as absent.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::EmbeddedError;

const POSTGRES_MINIMUM: u32 = 15;
const NATS_MINIMUM: (u32, u32) = (2, 14);

/// The directory with `initdb` and `postgres`, of exactly `major` if a cluster already needs that.
pub(super) fn postgres(cluster: Option<(&Path, u32)>) -> Result<PathBuf, EmbeddedError> {
    let will_do = |major: u32| cluster.map_or(major >= POSTGRES_MINIMUM, |(_, needed)| major == needed);
    let newest = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(major, bin)| will_do(*major) && is_complete(bin))
        .max();
    if let Some((_, bin)) = newest {
        return Ok(bin);
    }
    let mut others = directories_on_path().into_iter().filter(|bin| is_complete(bin));
    others.find(|bin| version(&bin.join("postgres")).is_some_and(|(major, _)| will_do(major))).ok_or_else(|| {
        match cluster {
            Some((data, major)) => EmbeddedError::MajorMissing { data: data.to_owned(), major },
            None => EmbeddedError::ProgramMissing { program: "PostgreSQL", minimum: "15" },
        }
    })
}

/// The nats-server to run.
pub(super) fn nats() -> Result<PathBuf, EmbeddedError> {
    let places = directories_on_path().into_iter().map(|directory| directory.join("nats-server"));
    places
        .chain(cached_nats())
        .filter(|program| program.is_file())
        .find(|program| version(program).is_some_and(|version| version >= NATS_MINIMUM))
        .ok_or(EmbeddedError::ProgramMissing { program: "nats-server", minimum: "2.14" })
}

/// The first file of that name on `PATH`.
pub(super) fn on_path(program: &str) -> Option<PathBuf> {
    directories_on_path().into_iter().map(|directory| directory.join(program)).find(|path| path.is_file())
}

fn is_complete(bin: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|program| bin.join(program).is_file())
}

fn cached_nats() -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(cache.join("quotary/nats/bin/nats-server"))
}

fn directories_on_path() -> Vec<PathBuf> {
    variable("PATH").map(|path| env::split_paths(&path).filter(|part| part.is_absolute()).collect()).unwrap_or_default()
}

#[expect(
    clippy::disallowed_methods,
    reason = "where programs and caches are is the user's environment, not configuration"
)]
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name)
}

/// The first two numbers that `program --version` prints, as in `nats-server: v2.15.1` and `postgres (PostgreSQL) 17.2`.
fn version(program: &Path) -> Option<(u32, u32)> {
    let output = Command::new(program).arg("--version").output().ok()?;
    parse_version(&String::from_utf8(output.stdout).ok()?)
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let word = text
        .split_whitespace()
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let mut numbers = word.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    Some((numbers.next()?, numbers.next().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn versions_are_read_in_the_words_of_either_server() {
        assert_eq!(parse_version("nats-server: v2.15.1\n"), Some((2, 15)));
        assert_eq!(parse_version("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some((15, 14)));
        assert_eq!(parse_version("postgres (PostgreSQL) 19beta1"), Some((19, 0)));
        assert_eq!(parse_version("no such thing"), None);
    }
}
