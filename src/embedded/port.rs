//! Free ports for the embedded servers.
//!
//! What always holds: a chosen port lies below the system's ephemeral range. A client that reconnects to a server on an
//! ephemeral port while it is down can be given that very port as its own end, connect to itself, and keep the server out.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use super::error::EmbeddedError;
use super::files;

const LOWEST: u16 = 20_000;
/// Linux's default start of the ephemeral range, for when the system does not say.
const EPHEMERAL_START: u16 = 32_768;
const ATTEMPTS: usize = 200;

/// Whether a server could listen on `port` now.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The port written in `path` by an earlier run if it is free, else another one.
///
/// Between this answer and the server's own bind somebody else can take the port; the caller tries again then.
pub(super) fn choose(path: &Path) -> Result<u16, EmbeddedError> {
    let earlier = files::read_if_there(path)?.and_then(|text| text.trim().parse().ok());
    if let Some(port) = earlier.filter(|&port| is_free(port)) {
        return Ok(port);
    }
    let range = highest().saturating_sub(LOWEST);
    for _ in 0..ATTEMPTS {
        let mut bytes = [0_u8; 2];
        getrandom::fill(&mut bytes).map_err(EmbeddedError::Random)?;
        let port = LOWEST + u16::from_le_bytes(bytes) % range;
        if is_free(port) {
            return Ok(port);
        }
    }
    Err(EmbeddedError::NoFreePort)
}

fn highest() -> u16 {
    fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .filter(|&start| start > LOWEST + 1_000)
        .unwrap_or(EPHEMERAL_START)
}
