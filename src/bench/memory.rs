//! The memory of this process as the kernel counts it.

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
