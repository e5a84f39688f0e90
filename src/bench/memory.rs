//! The memory of this process as the kernel counts it.

use std::time::Duration;

use super::scene::Failure;

/// Resident bytes of this process.
///
/// # Errors
/// If `/proc` can't be read.
pub fn resident_bytes() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS in /proc/self/status")?;
    let kilobytes: u64 = line.split_whitespace().nth(1).ok_or("no number in VmRSS")?.parse()?;
    Ok(kilobytes * 1024)
}

/// Runs `work`, and answers with the most resident bytes that were seen meanwhile, looked at every few milliseconds.
///
/// # Errors
/// If `/proc` can't be read.
pub async fn peak_during<T>(work: impl Future<Output = T>) -> Result<(T, u64), Failure> {
    let mut peak = resident_bytes()?;
    let mut look = tokio::time::interval(Duration::from_millis(5));
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok((done, peak.max(resident_bytes()?))),
            _ = look.tick() => peak = peak.max(resident_bytes()?),
        }
    }
}
