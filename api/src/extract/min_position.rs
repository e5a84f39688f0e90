//! Reading one's own writes: `Quotary-Min-Position` makes a query wait for its read models.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use quotary_projections::callbacks;
use quotary_projections::wait::wait_for;

use crate::problem::{Code, Problem};
use crate::state::AppState;

/// The header's name.
pub const MIN_POSITION: &str = "quotary-min-position";

/// How long a query waits.
const BOUND: Duration = Duration::from_secs(2);

/// The position that a query's read models must contain.
#[derive(Clone, Copy, Debug)]
pub struct MinPosition(pub Option<u64>);

impl<S: Send + Sync> FromRequestParts<S> for MinPosition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(MIN_POSITION) else { return Ok(Self(None)) };
        let position = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
        match position.filter(|position| i64::try_from(*position).is_ok()) {
            Some(position) => Ok(Self(Some(position))),
            None => Err(Problem::new(Code::InvalidHeader, "quotary-min-position must be a position of the log")),
        }
    }
}

impl MinPosition {
    /// Waits until the read models contain the position.
    ///
    /// # Errors
    /// `read-model-behind` after two seconds.
    pub async fn wait(self, state: &AppState, read_models: &[&str]) -> Result<(), Problem> {
        match self.0 {
            None | Some(0) => Ok(()),
            Some(position) => Ok(wait_for(&state.pool, &state.checkpoints, read_models, position, BOUND).await?),
        }
    }

    /// Waits until callbacks are written down for all events up to the position.
    ///
    /// # Errors
    /// `read-model-behind` after two seconds.
    pub async fn wait_for_callbacks(self, state: &AppState) -> Result<(), Problem> {
        match self.0 {
            None | Some(0) => Ok(()),
            Some(position) => Ok(callbacks::wait_for(&state.pool, position, BOUND).await?),
        }
    }
}
