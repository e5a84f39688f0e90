//! Where callbacks may go: the rule for addresses that tenants give, checked when one is set and again at every sending.
//!
//! What must always hold: unless the installation allows it, nothing of a private network is ever asked for: not by its
//! address in any notation, not by a name (who connects checks what a name resolves to by [`Reach::check`]), not in clear
//! text. A tenant can't change that.

use std::net::IpAddr;

use quotary_domain::callback::{AddressClass, class_of};
use url::{Host, Url};

/// The longest address of callbacks, in bytes.
pub const MAX_URL: usize = 2_000;
/// Ports below are those of services that speak no HTTP, but for 443 and 80.
const FIRST_FREE_PORT: u16 = 1_024;

/// What callbacks of an installation may reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// The public internet, over TLS.
    #[default]
    Public,
    /// Private networks and clear text too: for an installation within a company, and for tests.
    Anything,
}

/// Why an address can't be used for callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Too long, or no URL.
    #[error("must be a URL of at most {MAX_URL} bytes")]
    NoUrl,
    /// Another scheme.
    #[error("must be an https URL")]
    NotHttps,
    /// Another scheme, where clear text is allowed.
    #[error("must be an http or https URL")]
    NotHttp,
    /// User name or password.
    #[error("must have no user name and no password")]
    UserInfo,
    /// `#…`.
    #[error("must have no fragment")]
    Fragment,
    /// A port of another service.
    #[error("must have port 443 or one from {FIRST_FREE_PORT}")]
    Port,
    /// The host is no public one.
    #[error("must be a public host")]
    Name,
    /// The host is an address that is not public.
    #[error("must be a public host and not {0}")]
    Address(AddressClass),
}

impl Reach {
    /// Checks an address that callbacks are about to be sent to.
    ///
    /// # Errors
    /// [`TargetError::Address`] if it may not be reached.
    pub fn check(self, address: IpAddr) -> Result<(), TargetError> {
        match (self, class_of(address)) {
            (Self::Public, Some(class)) => Err(TargetError::Address(class)),
            (Self::Anything, _) | (Self::Public, None) => Ok(()),
        }
    }

    /// Reads an address of callbacks.
    ///
    /// # Errors
    /// [`TargetError`] if callbacks may not be sent there.
    pub fn parse(self, text: &str) -> Result<Url, TargetError> {
        let has_blanks = text.chars().any(|letter| letter.is_whitespace() || letter.is_control());
        if text.len() > MAX_URL || has_blanks {
            return Err(TargetError::NoUrl);
        }
        let url = Url::parse(text).map_err(|_| TargetError::NoUrl)?;
        match (self, url.scheme()) {
            (_, "https") | (Self::Anything, "http") => {}
            (Self::Public, _) => return Err(TargetError::NotHttps),
            (Self::Anything, _) => return Err(TargetError::NotHttp),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(TargetError::Fragment);
        }
        // The parser has read every notation of an IPv4 address (0x7f.1, 2130706433) as one.
        match url.host() {
            Some(Host::Ipv4(address)) => self.check(address.into())?,
            Some(Host::Ipv6(address)) => self.check(address.into())?,
            Some(Host::Domain(name)) => self.check_name(name)?,
            None => return Err(TargetError::NoUrl),
        }
        let port = url.port_or_known_default().unwrap_or_default();
        if port != 443 && port < FIRST_FREE_PORT && !(self == Self::Anything && port == 80) {
            return Err(TargetError::Port);
        }
        Ok(url)
    }

    /// Refuses names that never are public; what others resolve to is checked when it is known.
    fn check_name(self, name: &str) -> Result<(), TargetError> {
        let name = name.trim_end_matches('.');
        let last = name.rsplit('.').next().unwrap_or_default();
        let is_local = !name.contains('.') || matches!(last, "localhost" | "local" | "internal" | "localdomain");
        if self == Self::Public && is_local { Err(TargetError::Name) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_https_addresses_are_taken() {
        for text in [
            "https://example.com/hook",
            "https://example.com:8443/a?b=c",
            "https://example.com:443",
            "https://1.1.1.1/",
            "https://[2606:4700::1111]/",
            "https://[::ffff:1.1.1.1]/",
            "https://münchen.example/hook",
            "HTTPS://EXAMPLE.COM",
        ] {
            assert!(Reach::Public.parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_for_its_reason() {
        use AddressClass::{CarrierGrade, LinkLocal, Loopback, Multicast, Private, Unspecified};
        use TargetError::{Address, Fragment, Name, NoUrl, NotHttps, Port, UserInfo};
        for (text, expected) in [
            ("", NoUrl),
            ("example.com", NoUrl),
            ("https://", NoUrl),
            ("https:// example.com", NoUrl),
            ("https://example.com/\n", NoUrl),
            ("ftp://example.com", NotHttps),
            ("file:///etc/passwd", NotHttps),
            ("gopher://127.0.0.1:25/", NotHttps),
            ("http://example.com/", NotHttps),
            ("https://user@example.com/", UserInfo),
            ("https://:secret@example.com/", UserInfo),
            ("https://example.com@127.0.0.1/", UserInfo),
            ("https://example.com/#x", Fragment),
            ("https://example.com:22/", Port),
            ("https://example.com:80/", Port),
            ("https://example.com:25/", Port),
            ("https://localhost/", Name),
            ("https://LOCALHOST./", Name),
            ("https://metadata/", Name),
            ("https://metadata.google.internal/", Name),
            ("https://db.local/", Name),
            ("https://a.localhost/", Name),
            ("https://127.0.0.1/", Address(Loopback)),
            ("https://127.1/", Address(Loopback)),
            ("https://2130706433/", Address(Loopback)),
            ("https://0x7f000001/", Address(Loopback)),
            ("https://0177.0.0.1/", Address(Loopback)),
            ("https://0/", Address(Unspecified)),
            ("https://0.0.0.0/", Address(Unspecified)),
            ("https://10.0.0.1/", Address(Private)),
            ("https://192.168.1.1:8443/", Address(Private)),
            ("https://172.20.0.1/", Address(Private)),
            ("https://169.254.169.254/latest/meta-data", Address(LinkLocal)),
            ("https://100.64.0.1/", Address(CarrierGrade)),
            ("https://224.0.0.1/", Address(Multicast)),
            ("https://[::]/", Address(Unspecified)),
            ("https://[::1]/", Address(Loopback)),
            ("https://[::ffff:127.0.0.1]/", Address(Loopback)),
            ("https://[::ffff:a9fe:a9fe]/", Address(LinkLocal)),
            ("https://[64:ff9b::10.0.0.1]/", Address(Private)),
            ("https://[fe80::1]/", Address(LinkLocal)),
            ("https://[fd00::1]/", Address(Private)),
            ("https://[ff02::1]/", Address(Multicast)),
        ] {
            assert_eq!(Reach::Public.parse(text), Err(expected), "{text}");
        }
        assert_eq!(Reach::Public.parse(&format!("https://a.example/{}", "x".repeat(2_000))), Err(NoUrl));
    }

    #[test]
    fn an_installation_may_allow_private_addresses_and_clear_text_and_nothing_more() {
        for text in ["http://127.0.0.1:8080/hook", "http://localhost/", "http://db.internal/", "https://[::1]:9000/"] {
            assert!(Reach::Anything.parse(text).is_ok(), "{text}");
        }
        assert_eq!(Reach::Anything.parse("ftp://127.0.0.1/"), Err(TargetError::NotHttp));
        assert_eq!(Reach::Anything.parse("http://a@127.0.0.1/"), Err(TargetError::UserInfo));
        assert_eq!(Reach::Anything.parse("http://127.0.0.1:25/"), Err(TargetError::Port));
    }
}
