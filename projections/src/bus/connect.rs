//! Connects to NATS with the user and password of the URL, which the client does not take from there by itself.
//!
//! The client goes on trying, so a server that is away makes the bus late and nothing else.

use async_nats::{Client, ConnectOptions, ServerAddr};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL can't be read.
    #[error("the URL of the bus can't be read")]
    Url(#[source] std::io::Error),
    /// The server refuses.
    #[error("the bus refuses the connection")]
    Refused(#[source] async_nats::ConnectError),
}

/// Connects to the server of `url`.
///
/// # Errors
/// [`ConnectError`] if the URL can't be read or the server refuses.
pub async fn connect(url: &str) -> Result<Client, ConnectError> {
    let address: ServerAddr = url.parse().map_err(ConnectError::Url)?;
    let options = match (address.username(), address.password()) {
        (Some(user), Some(password)) => ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned()),
        _ => ConnectOptions::new(),
    };
    options.retry_on_initial_connect().connect(address).await.map_err(ConnectError::Refused)
}
