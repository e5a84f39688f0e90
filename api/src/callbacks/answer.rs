//! Callbacks as answers show them.

use chrono::{DateTime, Utc};
use quotary_commands::callback::set::CallbacksChanged;
use quotary_domain::callback::CallbackType;
use quotary_domain::project::Project;
use serde::Serialize;
use utoipa::ToSchema;

/// The callbacks of a project.
#[derive(Debug, Serialize, ToSchema)]
pub struct Callbacks {
    /// Where they go.
    pub url: Option<String>,
    /// The types that are told; null is all.
    #[schema(value_type = Option<Vec<String>>)]
    pub events: Option<Vec<CallbackType>>,
    /// `active`; `off` without an address; `no_secret` if the address is of before callbacks were sent, until the secret is
    /// rotated; `stopped` if the address answered that it is gone, until it is set again.
    #[schema(example = "active")]
    pub status: &'static str,
    /// The name of the secret that signs.
    pub secret_id: Option<String>,
    /// The name of the secret before, while it signs too.
    pub previous_secret_id: Option<String>,
    /// Until when.
    pub previous_until: Option<DateTime<Utc>>,
    /// The secret itself, shown only in the answer to the command that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl Callbacks {
    /// The callbacks of a project as they are at `now`.
    pub(super) fn of(project: &Project, now: DateTime<Utc>) -> Self {
        let url = project.details.as_ref().and_then(|details| details.callback_url.clone());
        let known = &project.callbacks;
        let status = match (&url, &known.secret) {
            (None, _) => "off",
            (Some(_), None) => "no_secret",
            (Some(_), Some(_)) if known.stopped => "stopped",
            (Some(_), Some(_)) => "active",
        };
        let previous = known.previous_secret.as_ref().filter(|(_, until)| *until > now);
        Self {
            url,
            events: known.types.clone(),
            status,
            secret_id: known.secret.as_ref().map(|secret| secret.secret_id.clone()),
            previous_secret_id: previous.map(|(secret, _)| secret.secret_id.clone()),
            previous_until: previous.map(|(_, until)| *until),
            secret: None,
        }
    }

    /// The callbacks after a command, with the secret if it made one.
    pub(super) fn after(changed: CallbacksChanged, now: DateTime<Utc>) -> Self {
        Self { secret: changed.callback_secret, ..Self::of(&changed.after.project, now) }
    }
}
