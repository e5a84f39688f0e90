//! Who asks: the bearer of an access token, checked against the account as it is now.
//!
//! What must always hold: authorisation runs before anything of the request is looked at, for every route whose
//! [`Access`] asks for it; a disabled account and a session that was ended are refused whatever the token says.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use quotary_commands::clock;
use quotary_commands::log::stream;
use quotary_domain::account::Account;
use quotary_domain::{AccountId, Actor, TenantId};
use quotary_projections::directory::DirectoryEntry;

use crate::access::Access;
use crate::problem::{Code, Problem};
use crate::state::AppState;
use crate::tokens::{Claims, Scope};

/// The account behind a request.
#[derive(Clone, Debug)]
pub struct Authed {
    /// Who acts.
    pub actor: Actor,
    /// The account as the directory knows it.
    pub account: Arc<DirectoryEntry>,
    /// Whether nothing but a change of the password is open.
    pub must_change_password: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Authed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::of(Code::Unauthenticated))
    }
}

/// Lets a request through to a route with this access, or refuses it.
///
/// # Errors
/// `unauthenticated`, `token-expired`, `password-change-required`, `forbidden`.
pub async fn authorize(
    State((state, access)): State<(AppState, Access)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let claims = state.tokens.load().verify(bearer(request.headers())?, clock::now())?;
    let authed = authenticate(&state, &claims).await?;
    if authed.must_change_password && access != Access::AnyToken {
        return Err(Problem::of(Code::PasswordChangeRequired));
    }
    match access {
        Access::Roles(roles) if !roles.contains(&authed.actor.role) => {
            return Err(Problem::new(Code::Forbidden, "accounts of this role can't do this"));
        }
        Access::Anyone | Access::Client | Access::AnyToken | Access::Account | Access::Roles(_) => {}
    }
    request.extensions_mut().insert(authed);
    Ok(next.run(request).await)
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Problem::of(Code::Unauthenticated)) };
    let text = value.to_str().map_err(|_| Problem::of(Code::Unauthenticated))?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(Problem::of(Code::Unauthenticated)),
    }
}

async fn authenticate(state: &AppState, claims: &Claims) -> Result<Authed, Problem> {
    let (tenant_id, account_id) = (TenantId(claims.tenant), AccountId(claims.sub));
    let refused = || Problem::new(Code::Unauthenticated, "the session has ended");
    let account = account(state, tenant_id, account_id).await?.ok_or_else(refused)?;
    if account.disabled || account.tenant_id != tenant_id || account.role != claims.role {
        return Err(refused());
    }
    if claims.issued_at() < state.sessions.valid_from(&state.pool, account_id).await? {
        return Err(refused());
    }
    let must_change_password = claims.scope == Some(Scope::PasswordChange);
    Ok(Authed { actor: account.actor(), account, must_change_password })
}

/// The account from the directory, or from the log while the directory is behind or does not know it yet.
async fn account(
    state: &AppState,
    tenant_id: TenantId,
    account_id: AccountId,
) -> Result<Option<Arc<DirectoryEntry>>, Problem> {
    let known = state.directory.get(account_id).filter(|entry| !entry.doubtful);
    if let Some(entry) = known.filter(|_| state.directory.is_trusted(Instant::now())) {
        return Ok(Some(entry));
    }
    let loaded = stream::load::<Account>(&state.pool, account_id.0).await?;
    if loaded.tenant_id == Some(tenant_id) {
        state.directory.observe(tenant_id, account_id, &loaded.aggregate, loaded.sequence);
        Ok(state.directory.get(account_id))
    } else {
        Ok(None)
    }
}
