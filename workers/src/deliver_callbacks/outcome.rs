//! What can become of a callback: one list for attempts, for what ended without one, and for documents.

/// What became of an attempt, or why there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered with 2xx.
    Delivered,
    /// Answered with another status.
    Status,
    /// Answered with 3xx: nobody is followed anywhere.
    Redirected,
    /// Answered with 410: the address is stopped.
    Gone,
    /// No answer in time.
    TimedOut,
    /// The name resolves to nothing.
    Unresolved,
    /// The address is none that may be reached.
    Forbidden,
    /// Nobody accepts connections there.
    Unreachable,
    /// The certificate is wrong, or TLS is not spoken.
    Tls,
    /// What was answered is no HTTP, or the connection broke.
    Broken,
    /// The secret can't be opened.
    Secret,
    /// The address had answered that it is gone.
    Stopped,
    /// The project has no address any more.
    Off,
    /// Too many callbacks of the project wait already.
    QueueFull,
    /// It happened too long ago when it was read in the log.
    TooLate,
}

impl Outcome {
    /// The outcome's name in columns and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Status => "status",
            Self::Redirected => "redirected",
            Self::Gone => "gone",
            Self::TimedOut => "timed_out",
            Self::Unresolved => "unresolved",
            Self::Forbidden => "forbidden",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Broken => "broken",
            Self::Secret => "secret",
            Self::Stopped => "stopped",
            Self::Off => "off",
            Self::QueueFull => "queue_full",
            Self::TooLate => "too_late",
        }
    }

    /// The outcome of an answer with this status.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered,
            300..=399 => Self::Redirected,
            410 => Self::Gone,
            _ => Self::Status,
        }
    }

    /// Whether the address keeps a connection busy without answering.
    pub(super) fn is_slow(self) -> bool {
        matches!(self, Self::TimedOut | Self::Unreachable | Self::Unresolved)
    }
}
