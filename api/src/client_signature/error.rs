//! The one error of the client signature: why a signed request or response is refused.
//!
//! Every variant has a stable kebab-case code that clients may match on; a code is never renamed or reused, and no
//! variant carries a secret or an expected signature.

use super::nonce::NonceError;

/// Why a signature was refused. [`SignatureError::code`] is part of the public HTTP contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// `Signature-Input` or `Signature` is not there, or holds no signature.
    #[error("the {header} header is missing or empty")]
    Missing {
        /// The header that is missing.
        header: &'static str,
    },
    /// A header that takes part in the signature, or their number of parts, is over the limit.
    #[error("{subject} is over the limit of {limit}")]
    TooLarge {
        /// What is too large.
        subject: String,
        /// The limit, in bytes for a header and in pieces for a list.
        limit: usize,
    },
    /// A header is not the structured field that RFC 9421 asks for.
    #[error("the {header} header is malformed: {reason}")]
    Malformed {
        /// The header that could not be read.
        header: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More than one reading is possible: repeated header lines, labels, parameters, or several suitable signatures.
    #[error("the signature is ambiguous: {reason}")]
    Ambiguous {
        /// What occurs more than once.
        reason: &'static str,
    },
    /// The signature's label in `Signature-Input` has no value in `Signature`.
    #[error("no value for the label {label} in the signature header")]
    LabelUnmatched {
        /// The label of `Signature-Input`.
        label: String,
    },
    /// `alg` is missing or is not the one algorithm that is accepted here.
    #[error("signature algorithm {} is not accepted", found.as_deref().unwrap_or("(none)"))]
    AlgorithmUnsupported {
        /// The `alg` parameter, if there was one.
        found: Option<String>,
    },
    /// A signature parameter that this server does not know.
    #[error("signature parameter {parameter} is not supported")]
    ParameterUnsupported {
        /// The name of the parameter.
        parameter: String,
    },
    /// The `keyid` parameter is missing or empty.
    #[error("the keyid parameter is missing")]
    KeyIdMissing,
    /// No project has this API key. Raised by the caller, who looks keys up.
    #[error("the api key is unknown")]
    ApiKeyUnknown,
    /// The `created` parameter is missing.
    #[error("the created parameter is missing")]
    CreatedMissing,
    /// `created` lies further back than the window.
    #[error("the signature was created {age_seconds} s ago")]
    TooOld {
        /// Seconds between `created` and now.
        age_seconds: i64,
    },
    /// `created` lies further ahead than the window.
    #[error("the signature was created {ahead_seconds} s in the future")]
    InFuture {
        /// Seconds between now and `created`.
        ahead_seconds: i64,
    },
    /// The signer's own `expires` has passed.
    #[error("the signature expired at {expires}")]
    Expired {
        /// The `expires` parameter, in seconds since 1970.
        expires: i64,
    },
    /// A component that must be covered is not.
    #[error("the signature does not cover {component}")]
    ComponentsMissing {
        /// The first uncovered component.
        component: &'static str,
    },
    /// A component is listed twice.
    #[error("the signature covers {component} twice")]
    ComponentDuplicated {
        /// The repeated component.
        component: String,
    },
    /// A component that this server cannot derive.
    #[error("signature component {component} is not supported")]
    ComponentUnsupported {
        /// The component as it was written.
        component: String,
    },
    /// A component parameter (`;sf`, `;bs`, `;key`, `;req`, `;tr`, `;name`) that this server does not support.
    #[error("parameter {parameter} of signature component {component} is not supported")]
    ComponentParameterUnsupported {
        /// The component as it was written.
        component: String,
        /// The parameter.
        parameter: String,
    },
    /// The signature covers something that the message does not have, or has in a form that cannot be signed.
    #[error("the message has no usable {component}")]
    ComponentAbsent {
        /// The component without a value.
        component: String,
    },
    /// The `nonce` parameter is missing or empty.
    #[error("the nonce parameter is missing")]
    NonceMissing,
    /// A response carries another nonce than the request that it should answer.
    #[error("the nonce is not the one of the request")]
    NonceMismatch,
    /// The nonce is longer than the limit.
    #[error("the nonce has {length} characters, which is over the limit of {limit}")]
    NonceTooLong {
        /// Characters of the nonce.
        length: usize,
        /// Characters that are accepted.
        limit: usize,
    },
    /// The nonce was used before by this key within the window.
    #[error("the nonce was used before")]
    NonceReplayed,
    /// The process remembers as many nonces as it may; the caller answers 503, for the request itself is in order.
    #[error("no more nonces can be remembered at the moment")]
    NonceStoreFull,
    /// The `Content-Digest` header is missing.
    #[error("the content-digest header is missing")]
    ContentDigestMissing,
    /// The `Content-Digest` header is not a dictionary of byte sequences, or names sha-256 twice.
    #[error("the content-digest header is malformed")]
    ContentDigestMalformed,
    /// The `Content-Digest` header has no sha-256 member.
    #[error("the content-digest header has no sha-256 member")]
    ContentDigestUnsupported,
    /// The sha-256 of the body is not the one in `Content-Digest`.
    #[error("the body does not match its content-digest")]
    ContentDigestMismatch,
    /// The signature is not the one of this key over this message.
    #[error("the signature is not valid")]
    Invalid,
}

impl SignatureError {
    /// The stable code of this error in a problem document.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "signature-missing",
            Self::TooLarge { .. } => "signature-too-large",
            Self::ContentDigestMalformed => "content-digest-malformed",
            Self::Malformed { .. } => "signature-malformed",
            Self::Ambiguous { .. } => "signature-ambiguous",
            Self::LabelUnmatched { .. } => "signature-label-unmatched",
            Self::AlgorithmUnsupported { .. } => "signature-algorithm-unsupported",
            Self::ParameterUnsupported { .. } => "signature-parameter-unsupported",
            Self::KeyIdMissing => "key-id-missing",
            Self::ApiKeyUnknown => "api-key-unknown",
            Self::CreatedMissing => "created-missing",
            Self::TooOld { .. } => "signature-too-old",
            Self::InFuture { .. } => "signature-in-future",
            Self::Expired { .. } => "signature-expired",
            Self::ComponentsMissing { .. } => "signature-components-missing",
            Self::ComponentDuplicated { .. } => "signature-component-duplicated",
            Self::ComponentUnsupported { .. } => "signature-component-unsupported",
            Self::ComponentParameterUnsupported { .. } => "signature-component-parameter-unsupported",
            Self::ComponentAbsent { .. } => "signature-component-absent",
            Self::NonceMissing => "nonce-missing",
            Self::NonceMismatch => "nonce-mismatch",
            Self::NonceTooLong { .. } => "nonce-too-long",
            Self::NonceReplayed => "nonce-replayed",
            Self::NonceStoreFull => "nonce-store-full",
            Self::ContentDigestMissing => "content-digest-missing",
            Self::ContentDigestUnsupported => "content-digest-unsupported",
            Self::ContentDigestMismatch => "content-digest-mismatch",
            Self::Invalid => "signature-invalid",
        }
    }
}

impl From<NonceError> for SignatureError {
    fn from(error: NonceError) -> Self {
        match error {
            NonceError::Replayed => Self::NonceReplayed,
            NonceError::Full => Self::NonceStoreFull,
        }
    }
}
