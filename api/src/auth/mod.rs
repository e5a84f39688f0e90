//! Sessions and passwords (rows U4–U6).

pub mod change_password;
pub mod login;
pub mod logout;
pub mod refresh;
mod session;

use crate::access::Access;
use crate::route::{Route, route};

/// `/v1/auth/…`.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(Access::Anyone, login, [WrongCredentials, AccountLocked]),
        route!(Access::Anyone, refresh, [InvalidRefreshToken]),
        route!(Access::Anyone, logout, []),
        route!(Access::AnyToken, change_password, [WrongPassword, Forbidden, Contention]),
    ]
}
