//! `GET /v1/audit/events`.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use quotary_domain::event::AGGREGATE_TYPES;
use quotary_domain::{AccountId, Metadata, RecordedEvent};
use quotary_projections::audit::{self, ActionFilter};
use quotary_projections::moment::Moment;
use quotary_projections::page::{decode_cursor, encode_cursor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::extract::{ApiQuery, Authed, MinPosition, Paging};
use crate::problem::Problem;
use crate::quota::account::moment;
use crate::reply::Items;
use crate::state::AppState;

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// How many items at most, 1 to 200; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only what came after this position, or after this time of recording.
    after: Option<String>,
    /// Only what came up to this position, or up to this time of recording.
    until: Option<String>,
    /// One type of aggregate, e.g. `License`.
    aggregate_type: Option<String>,
    /// One aggregate.
    aggregate_id: Option<Uuid>,
    /// What one account did.
    actor: Option<Uuid>,
    /// One business step.
    correlation_id: Option<Uuid>,
}

/// An event as it stands in the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoggedEvent {
    /// Its place in the whole log.
    position: u64,
    /// Its own id.
    event_id: Uuid,
    /// What it happened to.
    aggregate_type: String,
    /// Which one.
    aggregate_id: Uuid,
    /// Its place in its aggregate's stream.
    sequence: u64,
    /// What happened.
    event_type: String,
    /// The version of the payload's shape.
    event_version: String,
    /// The payload's exact bytes; secrets in it are sealed.
    #[schema(value_type = Object)]
    payload: Box<RawValue>,
    /// Its circumstances.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    metadata: Metadata,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
}

impl From<RecordedEvent> for LoggedEvent {
    fn from(event: RecordedEvent) -> Self {
        Self {
            position: event.position,
            event_id: event.event_id,
            aggregate_type: event.aggregate_type,
            aggregate_id: event.aggregate_id,
            sequence: event.sequence,
            event_type: event.event_type,
            event_version: event.event_version,
            payload: event.payload,
            metadata: event.metadata,
            recorded_at: event.recorded_at,
        }
    }
}

/// Reads the tenant's part of the log, in its order.
///
/// # Errors
/// `invalid-parameter`.
#[utoipa::path(get, path = "/v1/audit/events", tag = "audit", params(Filter),
    responses((status = 200, description = "A page of events", body = Items<LoggedEvent>)))]
pub async fn handle(
    State(state): State<AppState>,
    Authed { actor, .. }: Authed,
    position: MinPosition,
    ApiQuery(filter): ApiQuery<Filter>,
) -> Result<Json<Items<LoggedEvent>>, Problem> {
    let limit = Paging { limit: filter.limit, cursor: None }.request()?.limit();
    let mut asked = ActionFilter {
        after: filter.after.as_deref().map(|text| moment("after", text)).transpose()?,
        until: filter.until.as_deref().map(|text| moment("until", text)).transpose()?,
        aggregate_type: filter.aggregate_type,
        aggregate_id: filter.aggregate_id,
        actor: filter.actor.map(AccountId),
        correlation_id: filter.correlation_id.map(|id| id.to_string()),
    };
    if asked.aggregate_type.as_deref().is_some_and(|name| !AGGREGATE_TYPES.contains(&name)) {
        return Err(Problem::parameter("aggregate_type", format!("must be one of {}", AGGREGATE_TYPES.join(", "))));
    }
    if let Some(cursor) = filter.cursor {
        let position: i64 = decode_cursor(&cursor).map_err(|error| Problem::parameter("cursor", error.to_string()))?;
        asked.after = Some(Moment::Position(position.max(0).cast_unsigned()));
    }
    position.wait(&state, &[audit::NAME]).await?;
    // One more than is shown tells whether there is a next page.
    let mut events = audit::events(&state.pool, actor.tenant_id, &asked, limit + 1).await?;
    let more = events.len() > limit as usize;
    events.truncate(limit as usize);
    let next_cursor = events.last().filter(|_| more).map(|last| encode_cursor(&last.position));
    Ok(Json(Items { items: events.into_iter().map(LoggedEvent::from).collect(), next_cursor }))
}
