//! Password hashes: Argon2id with the parameters of RFC 9106's second choice as the crate has them by default.
//!
//! Hashing takes tens of milliseconds of a core and 19 MiB, so it runs on blocking threads, few at a time.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::refusal::Refusal;

/// How many hashes are computed at a time.
static SLOTS: Semaphore = Semaphore::const_new(2);

/// A password in the clear, wiped when dropped.
pub type Password = Zeroizing<String>;

/// Why a password could not be hashed.
#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed")]
pub struct HashingFailed;

/// Refuses passwords that are too short, too long or all one character.
///
/// # Errors
/// [`Refusal::Invalid`] for the field `password`.
pub fn check_policy(password: &str) -> Result<(), Refusal> {
    let length = password.chars().count();
    let mut characters: Vec<char> = password.chars().collect();
    characters.sort_unstable();
    characters.dedup();
    if !(10..=128).contains(&length) || characters.len() < 4 {
        return Err(Refusal::invalid("password", "must have 10 to 128 characters, at least 4 of them different"));
    }
    Ok(())
}

/// The hash of a password as a PHC string.
///
/// # Errors
/// [`HashingFailed`] if there is no randomness for the salt or no memory.
pub async fn hash(password: Password) -> Result<String, HashingFailed> {
    let _slot = SLOTS.acquire().await.map_err(|_| HashingFailed)?;
    tokio::task::spawn_blocking(move || {
        Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(|_| HashingFailed)
    })
    .await
    .map_err(|_| HashingFailed)?
}

/// Whether the password has this hash. `None` takes as long and is false, so that unknown names can't be told apart.
///
/// # Errors
/// [`HashingFailed`] if the computation could not be done.
pub async fn verify(password: Password, hash: Option<String>) -> Result<bool, HashingFailed> {
    /// The hash of a random text that nobody knows, with the same parameters.
    const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
                          AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let _slot = SLOTS.acquire().await.map_err(|_| HashingFailed)?;
    tokio::task::spawn_blocking(move || {
        let known = hash.is_some();
        let text = hash.unwrap_or_else(|| NOBODY.to_owned());
        let parsed = PasswordHash::new(&text).map_err(|_| HashingFailed)?;
        Ok(Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok() && known)
    })
    .await
    .map_err(|_| HashingFailed)?
}
