//! What the replay finds wrong: where, which rule, whose, and in words.

use serde::Serialize;
use uuid::Uuid;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal),+ $(,)?) => {
        /// Which rule of the log is broken.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $name),+
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The kind's name in reports.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }
        }
    };
}

kinds! {
    /// A position is missing, or stands twice or at another place.
    Position = "position",
    /// A time is not after the one before.
    Time = "time",
    /// An event's id stands twice.
    EventTwice = "event-twice",
    /// The aggregate's or event's type is none that is known.
    UnknownEvent = "unknown-event",
    /// A payload does not have its event's shape.
    Shape = "shape",
    /// An event is not the next one of its stream.
    StreamOrder = "stream-order",
    /// A stream has events of two tenants.
    StreamTenant = "stream-tenant",
    /// A stream does not begin with what brings it into being, or has that twice.
    StreamStart = "stream-start",
    /// The ledger does not sum to zero.
    Unbalanced = "unbalanced",
    /// A movement between agents has one half, or halves that differ.
    Half = "half",
    /// A journal stands in two steps.
    JournalReused = "journal-reused",
    /// An account is below zero.
    Negative = "negative",
    /// An amount is zero or too large.
    Amount = "amount",
    /// A hold began although one of that id was there.
    HoldReused = "hold-reused",
    /// A hold that is not open was taken or given back.
    HoldUnknown = "hold-unknown",
    /// More was taken from a hold than is left, or less given back.
    HoldAmount = "hold-amount",
    /// A hold, transfer or withdrawal expired before its time.
    ExpiredEarly = "expired-early",
    /// What an agent has reserved is not the sum of the open holds.
    HoldSum = "hold-sum",
    /// What holds reserve is not what the batch, withdrawal or transfer says.
    HoldState = "hold-state",
    /// A reversal has no original, takes back more than it, or goes to others.
    Reversal = "reversal",
    /// A refund is not what was paid, or stands twice.
    Refund = "refund",
    /// A commission is not part of the payment that it names.
    Commission = "commission",
    /// A change of state that is not allowed.
    State = "state",
    /// Somebody decided on what concerns themselves, or twice where two people are needed.
    Party = "party",
    /// Licences issued, announced and paid for differ.
    BatchCount = "batch-count",
    /// A licence's key was issued before.
    KeyReused = "key-reused",
    /// A name that has to be unique is taken.
    NameTaken = "name-taken",
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("position {position}: {text}")]
pub struct Finding {
    /// The position of the event that is wrong.
    pub position: u64,
    /// Which rule.
    pub kind: Kind,
    /// Whose it is.
    pub tenant_id: Uuid,
    /// The stream of the event, `<aggregate type>/<id>`.
    pub stream: String,
    /// What is wrong, as a lower-case fragment.
    pub text: String,
}
