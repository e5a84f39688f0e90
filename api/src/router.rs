//! All routes: the table of contents of the API.
//!
//! Each area lists its routes with who may call them and which problems they answer with, beside those that every such
//! route has ([`Route::codes`]).

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::TraceLayer;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::access::Access;
use crate::problem::{Code, Problem};
use crate::route::{Route, route};
use crate::state::AppState;
use crate::{
    agents, audit, auth, callbacks, cases, client, health, ledger, license_batches, licenses, me, metrics, notices,
    openapi, orders, projects, proposals, quota, reconciliations, risk_rules, stats, withdrawals,
};

/// How long a stop waits for requests that are under way.
const DRAIN: Duration = Duration::from_secs(20);

/// Every route of the API.
#[must_use]
pub fn routes() -> Vec<Route> {
    [
        operations(),                                          // /healthz /readyz /metrics /openapi.json
        auth::routes(),                                        // /v1/auth/…                 sessions and passwords
        vec![route!(Access::AnyToken, me, [ReadModelBehind])], // /v1/me
        agents::routes(),                                      // /v1/agents…                accounts below an admin
        projects::routes(),                                    // /v1/projects…              projects, plans, grants
        callbacks::routes(),                                   // /v1/projects/…/callbacks   what is told, and to whom
        license_batches::routes(),                             // /v1/license-batches…    issuing and export
        licenses::routes(),                                    // /v1/licenses…           licences of agents
        ledger::routes(),     // /v1/ledger/…               accounts, statements, journals, trial balance
        quota::routes(),      // /v1/quota/…                top-ups, transfers, balances, statements
        risk_rules::routes(), // /v1/risk-rules             what suspends a movement
        vec![route!(Access::Account, notices, [])], // /v1/notices           what one is told
        orders::routes(),     // /v1/orders…             payments at providers, refunds
        withdrawals::routes(), // /v1/withdrawals…           quota turned into money
        stats::routes(),      // /v1/stats/…             statistics
        reconciliations::routes(), // /v1/reconciliations…  what we say, compared
        proposals::routes(),  // /v1/proposals…         what waits for a second super admin
        cases::routes(),      // /v1/cases…             differences until they are explained
        audit::routes(),      // /v1/audit/…                the log, for auditors
        client::routes(),     // /v1/client/…            signed calls of client software
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn operations() -> Vec<Route> {
    vec![
        route!(Access::Anyone, health::live, []),
        route!(Access::Anyone, health::ready, [NotReady]),
        route!(Access::Anyone, metrics, []),
        route!(Access::Anyone, openapi, []),
    ]
}

/// The whole API over a state.
pub fn router(state: AppState) -> Router {
    router_of(routes(), state)
}

fn router_of(routes: Vec<Route>, state: AppState) -> Router {
    let mut served = Router::new();
    for route in routes {
        let path = route.path.clone();
        served = served.route(&path, route.into_handler(&state));
    }
    let docs = SwaggerUi::new("/docs").config(Config::from("/openapi.json"));
    served
        .merge(docs)
        .fallback(async || Problem::of(Code::NoSuchRoute))
        .method_not_allowed_fallback(async || Problem::of(Code::MethodNotAllowed))
        .layer(CatchPanicLayer::custom(|_| {
            // The panic's own text is in the log already, by the panic hook.
            Problem::internal(&HandlerPanicked).into_response()
        }))
        .layer(from_fn_with_state(state.clone(), observe))
        .layer(TraceLayer::new_for_http().make_span_with(|request: &Request| {
            // Never the path itself: ids are harmless, but nobody can promise that for every path.
            tracing::info_span!("request", method = %request.method(), route = template(request))
        }))
        .with_state(state)
}

#[derive(Debug, thiserror::Error)]
#[error("a handler panicked")]
struct HandlerPanicked;

fn template(request: &Request) -> String {
    let known = request.extensions().get::<MatchedPath>();
    known.map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned())
}

/// Bounds every request's time, and counts it.
async fn observe(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = known_method(request.method());
    let route = template(&request);
    let response = match tokio::time::timeout(state.request_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::of(Code::TimedOut).into_response(),
    };
    state.metrics.record(method, &route, response.status().as_u16(), start.elapsed());
    response
}

/// The method as a label; anybody can make up methods.
fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Serves the API until `cancel`; requests under way are finished first, for a bounded time.
///
/// # Errors
/// If the listener fails.
pub async fn serve(listener: TcpListener, state: AppState, cancel: CancellationToken) -> std::io::Result<()> {
    serve_router(listener, router(state), cancel).await
}

/// Serves health and metrics alone, for a process of workers, until `cancel`.
///
/// # Errors
/// If the listener fails.
pub async fn serve_operations(
    listener: TcpListener,
    state: AppState,
    cancel: CancellationToken,
) -> std::io::Result<()> {
    serve_router(listener, router_of(operations(), state), cancel).await
}

async fn serve_router(listener: TcpListener, app: Router, cancel: CancellationToken) -> std::io::Result<()> {
    let stop = cancel.clone();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move { stop.cancelled().await });
    tokio::select! {
        ended = server.into_future() => ended,
        () = async { cancel.cancelled().await; tokio::time::sleep(DRAIN).await } => {
            tracing::warn!("requests were still under way at the end of the time to finish them");
            Ok(())
        }
    }
}
