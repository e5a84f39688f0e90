//! Query parameters: known ones only, each at most once.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use quotary_projections::page::{MAX_LIMIT, PageRequest};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::problem::{Code, Problem};

/// Query parameters.
#[derive(Debug)]
pub struct ApiQuery<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(value)) => Ok(Self(value)),
            Err(error) => {
                let text = error.body_text();
                let detail = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                Err(Problem::new(Code::InvalidParameter, detail))
            }
        }
    }
}

/// Which page of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// How many items at most, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl Paging {
    /// The page to ask a read model for.
    ///
    /// # Errors
    /// `invalid-parameter` for a limit out of bounds.
    pub fn request(self) -> Result<PageRequest, Problem> {
        match self.limit {
            Some(limit) if !(1..=MAX_LIMIT).contains(&limit) => {
                Err(Problem::parameter("limit", format!("must be from 1 to {MAX_LIMIT}")))
            }
            limit => Ok(PageRequest::new(limit, self.cursor)),
        }
    }
}

/// Refuses texts of parameters that a database can't hold or nobody would send.
///
/// # Errors
/// `invalid-parameter` for control characters and more than 200 characters.
pub fn storable(name: &str, text: Option<&str>) -> Result<(), Problem> {
    match text {
        Some(text) if text.chars().count() > 200 || text.chars().any(char::is_control) => {
            Err(Problem::parameter(name, "must have at most 200 characters and no control characters"))
        }
        _ => Ok(()),
    }
}
