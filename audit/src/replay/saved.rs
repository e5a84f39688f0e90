//! A replay's state as bytes, so that a later one goes on where it stood.
//!
//! What always holds: bytes of another shape are refused, not guessed at. Whether they are the right ones is for the caller
//! to know, by their digest.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Replay;

/// The shape of the state; another one is not read.
const SHAPE: u32 = 5;

/// Why bytes are no state.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// They have another shape, or are damaged.
    #[error("the saved state can't be read")]
    Unreadable(#[source] postcard::Error),
    /// They were written by another version.
    #[error("the saved state has shape {0}")]
    Shape(u32),
}

/// A replay with what its owner keeps beside it.
#[derive(Serialize, Deserialize)]
struct Saved<T> {
    shape: u32,
    replay: Replay,
    beside: T,
}

#[derive(Serialize)]
struct SavedRef<'a, T> {
    shape: u32,
    replay: &'a Replay,
    beside: &'a T,
}

impl Replay {
    /// The state as bytes, with something of the caller's beside it. Findings are not part of it.
    ///
    /// # Errors
    /// [`SavedError`] if it can't be written.
    pub fn save<T: Serialize>(&self, beside: &T) -> Result<Vec<u8>, SavedError> {
        postcard::to_stdvec(&SavedRef { shape: SHAPE, replay: self, beside }).map_err(SavedError::Unreadable)
    }

    /// The state in bytes that [`Replay::save`] wrote.
    ///
    /// # Errors
    /// [`SavedError`] if the bytes are no such state.
    pub fn load<T: DeserializeOwned>(bytes: &[u8]) -> Result<(Self, T), SavedError> {
        let (shape, _) = postcard::take_from_bytes::<u32>(bytes).map_err(SavedError::Unreadable)?;
        if shape != SHAPE {
            return Err(SavedError::Shape(shape));
        }
        let saved: Saved<T> = postcard::from_bytes(bytes).map_err(SavedError::Unreadable)?;
        Ok((saved.replay, saved.beside))
    }
}
