//! The vault: seals what must not be read in the log, and makes keyed hashes for look-up.
//!
//! Every tenant has keys of its own, derived from the master key by HKDF-SHA256 (RFC 5869). Sealing is AES-256-GCM with a
//! random nonce and the purpose as associated data, so that a sealed value can't be moved to another place.

use std::sync::Arc;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use moka::sync::Cache;
use quotary_domain::{Sealed, TenantId};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

/// Why a value could not be sealed or opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum VaultError {
    /// The master key is not 32 bytes in base64.
    #[error("the master key must be 32 bytes in base64")]
    MasterKey,
    /// The value was sealed with another key, for another purpose, or was altered.
    #[error("a sealed value can't be opened")]
    Unreadable,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random,
    /// A key pair could not be made.
    #[error("a key pair could not be made")]
    KeyPair,
    /// The key that sealed it was erased.
    #[error("the key of a sealed value was erased")]
    Erased,
}

/// A tenant's keys.
struct TenantKeys {
    sealing: Aes256Gcm,
    hashing: Hmac<Sha256>,
}

struct Inner {
    master: Zeroizing<[u8; 32]>,
    key_id: String,
    tenants: Cache<TenantId, Arc<TenantKeys>>,
}

/// Seals, opens and hashes.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({})", self.0.key_id)
    }
}

impl Vault {
    /// The vault of a master key of 32 bytes.
    #[must_use]
    pub fn new(master: Zeroizing<[u8; 32]>) -> Self {
        let id = derive(&master, b"quotary/v1/key-id");
        let key_id = URL_SAFE_NO_PAD.encode(&id[..6]);
        Self(Arc::new(Inner { master, key_id, tenants: Cache::new(10_000) }))
    }

    /// The vault of a master key in base64, as it stands in a key file.
    ///
    /// # Errors
    /// [`VaultError::MasterKey`] if it is anything but 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, VaultError> {
        let mut bytes = STANDARD.decode(text.trim()).map_err(|_| VaultError::MasterKey)?;
        let master = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| VaultError::MasterKey);
        bytes.zeroize();
        Ok(Self::new(Zeroizing::new(master?)))
    }

    /// Seals a text of a tenant; `purpose` names where it stands, e.g. `license-key/<id>`.
    ///
    /// # Errors
    /// [`VaultError::Random`] if there is no randomness for the nonce.
    pub fn seal(&self, tenant: TenantId, purpose: &str, plain: &[u8]) -> Result<Sealed, VaultError> {
        let bytes = self.seal_bytes(tenant, purpose.as_bytes(), plain)?;
        Ok(self.to_text(&bytes))
    }

    /// Opens what [`Vault::seal`] sealed for the same tenant and purpose.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`] otherwise.
    pub fn open(&self, tenant: TenantId, purpose: &str, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        self.open_bytes(tenant, purpose.as_bytes(), &self.bytes_of(sealed)?)
    }

    /// Like [`Vault::seal`], in bytes: nonce ‖ ciphertext ‖ tag.
    ///
    /// # Errors
    /// [`VaultError::Random`] if there is no randomness for the nonce.
    pub fn seal_bytes(&self, tenant: TenantId, purpose: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        encrypt(&self.keys(tenant).sealing, purpose, plain)
    }

    /// Opens what [`Vault::seal_bytes`] sealed.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`] if the key, tenant, purpose or bytes are others.
    pub fn open_bytes(
        &self,
        tenant: TenantId,
        purpose: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        decrypt(&self.keys(tenant).sealing, purpose, sealed)
    }

    /// The keyed hash (HMAC-SHA256, base64url) of a text of a tenant; `kind` keeps hashes of different things apart.
    #[must_use]
    pub fn hash(&self, tenant: TenantId, kind: &str, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.hash_bytes(tenant, kind, text))
    }

    /// Like [`Vault::hash`], in bytes.
    #[must_use]
    pub fn hash_bytes(&self, tenant: TenantId, kind: &str, text: &str) -> [u8; 32] {
        let mut mac = self.keys(tenant).hashing.clone();
        mac.update(kind.as_bytes());
        mac.update(b"\0");
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// A new data key for a person, wrapped for keeping beside the log.
    ///
    /// # Errors
    /// [`VaultError::Random`] if there is no randomness.
    pub fn new_data_key(&self, tenant: TenantId, subject: &str) -> Result<(DataKey, Sealed), VaultError> {
        let mut key = Zeroizing::new([0_u8; 32]);
        getrandom::fill(key.as_mut()).map_err(|_| VaultError::Random)?;
        let wrapped = self.seal(tenant, &format!("data-key/{subject}"), key.as_ref())?;
        Ok((DataKey(Aes256Gcm::new((&*key).into())), wrapped))
    }

    /// The data key in its wrapped form.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`] if it is another's or was altered.
    pub fn data_key(&self, tenant: TenantId, subject: &str, wrapped: &Sealed) -> Result<DataKey, VaultError> {
        let key = self.open(tenant, &format!("data-key/{subject}"), wrapped)?;
        Ok(DataKey(Aes256Gcm::new_from_slice(&key).map_err(|_| VaultError::Unreadable)?))
    }

    fn keys(&self, tenant: TenantId) -> Arc<TenantKeys> {
        self.0.tenants.get_with(tenant, || {
            let sealing = derive(&self.0.master, format!("quotary/v1/seal/{tenant}").as_bytes());
            let hashing = derive(&self.0.master, format!("quotary/v1/hash/{tenant}").as_bytes());
            Arc::new(TenantKeys {
                sealing: Aes256Gcm::new((&*sealing).into()),
                hashing: Hmac::new_from_slice(hashing.as_ref()).expect("HMAC takes a key of any length"),
            })
        })
    }

    fn to_text(&self, bytes: &[u8]) -> Sealed {
        Sealed(format!("v1.{}.{}", self.0.key_id, URL_SAFE_NO_PAD.encode(bytes)))
    }

    fn bytes_of(&self, sealed: &Sealed) -> Result<Vec<u8>, VaultError> {
        let mut parts = sealed.0.splitn(3, '.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("v1"), Some(key_id), Some(body)) if key_id == self.0.key_id => {
                URL_SAFE_NO_PAD.decode(body).map_err(|_| VaultError::Unreadable)
            }
            _ => Err(VaultError::Unreadable),
        }
    }
}

/// The key of one person's data.
pub struct DataKey(Aes256Gcm);

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey(…)")
    }
}

impl DataKey {
    /// Seals with the person's key.
    ///
    /// # Errors
    /// [`VaultError::Random`] if there is no randomness for the nonce.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<Sealed, VaultError> {
        Ok(Sealed(format!("p1.{}", URL_SAFE_NO_PAD.encode(encrypt(&self.0, purpose.as_bytes(), plain)?))))
    }

    /// Opens what [`DataKey::seal`] sealed.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`] if the key, purpose or bytes are others.
    pub fn open(&self, purpose: &str, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let body = sealed.0.strip_prefix("p1.").ok_or(VaultError::Unreadable)?;
        decrypt(&self.0, purpose.as_bytes(), &URL_SAFE_NO_PAD.decode(body).map_err(|_| VaultError::Unreadable)?)
    }
}

/// `length` random bytes of the operating system.
///
/// # Errors
/// [`VaultError::Random`] if it gives none.
pub fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, VaultError> {
    let mut bytes = Zeroizing::new([0_u8; N]);
    getrandom::fill(bytes.as_mut()).map_err(|_| VaultError::Random)?;
    Ok(bytes)
}

const NONCE: usize = 12;

fn encrypt(cipher: &Aes256Gcm, purpose: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
    let nonce = random::<NONCE>()?;
    let payload = Payload { msg: plain, aad: purpose };
    let body = cipher.encrypt(&Nonce::from(*nonce), payload).map_err(|_| VaultError::Unreadable)?;
    let mut sealed = Vec::with_capacity(NONCE + body.len());
    sealed.extend_from_slice(nonce.as_ref());
    sealed.extend_from_slice(&body);
    Ok(sealed)
}

fn decrypt(cipher: &Aes256Gcm, purpose: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let (nonce, body) = sealed.split_first_chunk::<NONCE>().ok_or(VaultError::Unreadable)?;
    let payload = Payload { msg: body, aad: purpose };
    cipher.decrypt(&Nonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| VaultError::Unreadable)
}

fn derive(master: &[u8; 32], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0_u8; 32]);
    Hkdf::<Sha256>::new(None, master)
        .expand(info, key.as_mut())
        .expect("32 bytes are within what HKDF-SHA256 can give");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(byte: u8) -> Vault {
        Vault::new(Zeroizing::new([byte; 32]))
    }

    #[test]
    fn a_sealed_value_opens_only_for_its_tenant_and_purpose_and_unaltered() {
        let (a, b) = (TenantId(uuid::Uuid::from_u128(1)), TenantId(uuid::Uuid::from_u128(2)));
        let sealed = vault(1).seal(a, "x", b"secret").unwrap();
        assert_eq!(vault(1).open(a, "x", &sealed).unwrap().as_slice(), b"secret");
        assert!(vault(1).open(b, "x", &sealed).is_err());
        assert!(vault(1).open(a, "y", &sealed).is_err());
        assert!(vault(2).open(a, "x", &sealed).is_err());
        let bytes = vault(1).seal_bytes(a, b"x", b"secret").unwrap();
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(vault(1).open_bytes(a, b"x", &altered).is_err(), "byte {at}");
        }
    }

    #[test]
    fn hashes_of_tenants_and_kinds_differ() {
        let (a, b) = (TenantId(uuid::Uuid::from_u128(1)), TenantId(uuid::Uuid::from_u128(2)));
        assert_eq!(vault(1).hash(a, "k", "t"), vault(1).hash(a, "k", "t"));
        assert_ne!(vault(1).hash(a, "k", "t"), vault(1).hash(b, "k", "t"));
        assert_ne!(vault(1).hash(a, "k", "t"), vault(1).hash(a, "l", "t"));
    }
}
