//! Access tokens: JWT with the account, its tenant and role, good for 30 minutes.
//!
//! What must always hold: every key has one algorithm, and a token is verified with the key that its `kid` names and with
//! that key's algorithm, whatever its header says. The first key signs, all verify, so that keys can be rotated.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use quotary_commands::clock;
use quotary_commands::vault::random;
use quotary_domain::{Actor, Role};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::extract::Secret;
use crate::problem::{Code, Problem};

/// How long a token is good, in seconds.
pub const EXPIRES_IN_SECONDS: i64 = 30 * 60;
const ISSUER: &str = "quotary";
/// The fixed beginning of an Ed25519 private key in PKCS #8 (RFC 8410); the 32 bytes of the seed follow.
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A restriction of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Opens nothing but the change of the password.
    PasswordChange,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    /// The account.
    pub sub: Uuid,
    /// The account's tenant.
    pub tenant: Uuid,
    /// The account's role.
    pub role: Role,
    iat: i64,
    /// The microseconds of `iat`, so that a session ended within the same second is told apart.
    iat_us: u32,
    exp: i64,
    jti: Uuid,
    /// A restriction, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
}

impl Claims {
    /// When the token was issued.
    #[must_use]
    pub fn issued_at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.iat, self.iat_us.saturating_mul(1_000)).unwrap_or(DateTime::UNIX_EPOCH)
    }
}

/// A key as it stands in a key file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    kid: String,
    alg: KeyAlgorithm,
    /// Base64: the 32 bytes of an Ed25519 seed, or at least 32 bytes of an HMAC secret.
    key: Secret,
}

#[derive(Clone, Copy, Deserialize)]
enum KeyAlgorithm {
    #[serde(rename = "EdDSA")]
    EdDsa,
    #[serde(rename = "HS256")]
    Hs256,
}

/// Why a set of keys can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeysError {
    /// It is not the JSON of a key file.
    #[error("the token keys must be a JSON array of objects with kid, alg and key")]
    Json(#[source] serde_json::Error),
    /// It has no key.
    #[error("there must be at least one token key")]
    Empty,
    /// Two keys have one name.
    #[error("the token key {0} is there twice")]
    Twice(String),
    /// A key has the wrong length or is no base64.
    #[error("the token key {0} must be base64 of 32 bytes (EdDSA) or at least 32 bytes (HS256)")]
    Key(String),
    /// There is no randomness for a new key.
    #[error("there is no randomness for a token key")]
    Random,
}

struct Key {
    kid: String,
    algorithm: Algorithm,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

/// The keys that sign and verify tokens.
pub struct TokenKeys(Vec<Key>);

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| (&key.kid, key.algorithm))).finish()
    }
}

impl TokenKeys {
    /// The keys of a key file: `[{"kid": …, "alg": "EdDSA" | "HS256", "key": <base64>}, …]`, of which the first signs.
    ///
    /// # Errors
    /// [`TokenKeysError`] if they can't be used.
    pub fn from_json(text: &str) -> Result<Self, TokenKeysError> {
        let files: Vec<KeyFile> = serde_json::from_str(text).map_err(TokenKeysError::Json)?;
        let mut keys: Vec<Key> = Vec::with_capacity(files.len());
        for file in files {
            if keys.iter().any(|key| key.kid == file.kid) {
                return Err(TokenKeysError::Twice(file.kid));
            }
            keys.push(Key::read(file)?);
        }
        if keys.is_empty() { Err(TokenKeysError::Empty) } else { Ok(Self(keys)) }
    }

    /// The JSON of a key file with one new Ed25519 key.
    ///
    /// # Errors
    /// [`TokenKeysError::Random`] if the operating system gives no randomness.
    pub fn generate_json() -> Result<Zeroizing<String>, TokenKeysError> {
        let seed = random::<32>().map_err(|_| TokenKeysError::Random)?;
        let (kid, key) = (clock::new_id().simple(), Zeroizing::new(STANDARD.encode(seed.as_ref())));
        Ok(Zeroizing::new(format!(r#"[{{"kid":"{kid}","alg":"EdDSA","key":"{}"}}]"#, *key)))
    }

    /// A token for an account.
    ///
    /// # Errors
    /// `internal` if it can't be signed.
    pub fn issue(&self, actor: Actor, scope: Option<Scope>, now: DateTime<Utc>) -> Result<String, Problem> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: actor.account_id.0,
            tenant: actor.tenant_id.0,
            role: actor.role,
            iat: now.timestamp(),
            iat_us: now.timestamp_subsec_micros(),
            exp: (now + TimeDelta::seconds(EXPIRES_IN_SECONDS)).timestamp(),
            jti: clock::new_id(),
            scope,
        };
        // There is at least one key, see `from_json`.
        let key = &self.0[0];
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(key.algorithm) };
        jsonwebtoken::encode(&header, &claims, &key.encoding).map_err(|error| Problem::internal(&error))
    }

    /// What a token says, if it is one of ours and good at `now`.
    ///
    /// # Errors
    /// `unauthenticated`, or `token-expired`.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Claims, Problem> {
        let refused = || Problem::of(Code::Unauthenticated);
        let kid = jsonwebtoken::decode_header(token).map_err(|_| refused())?.kid;
        let key = self.0.iter().find(|key| kid.as_deref() == Some(&key.kid)).ok_or_else(refused)?;
        let mut validation = Validation::new(key.algorithm);
        // The times are checked below, by our clock.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        validation.set_issuer(&[ISSUER]);
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation).map_err(|_| refused())?.claims;
        if claims.exp <= now.timestamp() { Err(Problem::of(Code::TokenExpired)) } else { Ok(claims) }
    }
}

impl Key {
    fn read(file: KeyFile) -> Result<Self, TokenKeysError> {
        let KeyFile { kid, alg, key } = file;
        let Ok(bytes) = STANDARD.decode(key.0.as_bytes()).map(Zeroizing::new) else {
            return Err(TokenKeysError::Key(kid));
        };
        match alg {
            KeyAlgorithm::Hs256 if bytes.len() >= 32 => Ok(Self {
                kid,
                algorithm: Algorithm::HS256,
                encoding: EncodingKey::from_secret(&bytes),
                decoding: DecodingKey::from_secret(&bytes),
            }),
            KeyAlgorithm::EdDsa => {
                let Ok(seed) = <[u8; 32]>::try_from(bytes.as_slice()).map(Zeroizing::new) else {
                    return Err(TokenKeysError::Key(kid));
                };
                let der = Zeroizing::new([PKCS8.as_slice(), seed.as_ref()].concat());
                let public = SigningKey::from_bytes(&seed).verifying_key();
                Ok(Self {
                    kid,
                    algorithm: Algorithm::EdDSA,
                    encoding: EncodingKey::from_ed_der(&der),
                    decoding: DecodingKey::from_ed_der(public.as_bytes()),
                })
            }
            KeyAlgorithm::Hs256 => Err(TokenKeysError::Key(kid)),
        }
    }
}

#[cfg(test)]
mod tests {
    use quotary_domain::{AccountId, TenantId};

    use super::*;

    const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn actor() -> Actor {
        Actor {
            tenant_id: TenantId(Uuid::from_u128(1)),
            account_id: AccountId(Uuid::from_u128(2)),
            role: Role::AgentAdmin,
        }
    }

    fn keys(entries: &[(&str, &str)]) -> TokenKeys {
        let entries: Vec<_> =
            entries.iter().map(|(kid, alg)| serde_json::json!({ "kid": kid, "alg": alg, "key": SECRET })).collect();
        TokenKeys::from_json(&serde_json::to_string(&entries).unwrap()).unwrap()
    }

    #[test]
    fn a_token_says_who_until_it_is_over() {
        for alg in ["EdDSA", "HS256"] {
            let keys = keys(&[("a", alg)]);
            let now = clock::now();
            let token = keys.issue(actor(), Some(Scope::PasswordChange), now).unwrap();
            let claims = keys.verify(&token, now).unwrap();
            assert_eq!(
                (claims.sub, claims.role, claims.scope),
                (actor().account_id.0, Role::AgentAdmin, Some(Scope::PasswordChange))
            );
            assert_eq!(claims.issued_at(), now);
            let over = now + TimeDelta::seconds(EXPIRES_IN_SECONDS);
            assert_eq!(keys.verify(&token, over).unwrap_err().code(), Code::TokenExpired);
        }
    }

    #[test]
    fn keys_can_be_rotated_and_algorithms_can_not_be_chosen_by_the_token() {
        let now = clock::now();
        let old = keys(&[("a", "EdDSA")]).issue(actor(), None, now).unwrap();
        assert!(keys(&[("b", "HS256"), ("a", "EdDSA")]).verify(&old, now).is_ok());
        assert!(keys(&[("b", "EdDSA")]).verify(&old, now).is_err());
        assert!(keys(&[("a", "HS256")]).verify(&old, now).is_err());
        for bad in ["", "x", "a.b.c", &format!("{old}x"), &old[..old.len() - 4]] {
            assert_eq!(keys(&[("a", "EdDSA")]).verify(bad, now).unwrap_err().code(), Code::Unauthenticated);
        }
    }

    #[test]
    fn bad_key_files_are_refused() {
        for bad in ["", "[]", r#"[{"kid":"a","alg":"none","key":""}]"#, r#"[{"kid":"a","alg":"HS256","key":"AAAA"}]"#] {
            assert!(TokenKeys::from_json(bad).is_err(), "{bad}");
        }
        assert!(TokenKeys::from_json(&TokenKeys::generate_json().unwrap()).is_ok());
    }
}
