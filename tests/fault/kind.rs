//! The kinds of faults.

/// A kind of fault. Each has a line of its own in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// SIGKILL of a process that serves the API, at a random moment.
    KillApi,
    /// SIGKILL of a process that runs the workers, at a random moment.
    KillWorker,
    /// SIGKILL of PostgreSQL's postmaster.
    KillPostgres,
    /// SIGKILL of one of PostgreSQL's backends; the cluster then restarts itself.
    KillBackend,
    /// SIGKILL where a batch is decided and not sent.
    BeforeAppend,
    /// SIGKILL where a batch is committed and nobody knows.
    AfterAppend,
    /// SIGKILL where a command stands in the log and its caller has not been told.
    BeforeAcknowledgement,
    /// SIGKILL where `JetStream` has a run and the relay does not know.
    AfterPublish,
    /// SIGKILL where a read model's rows are written and its checkpoint is not committed.
    BeforeCheckpoint,
    /// A process that serves the API stands still for longer than every time-out, then goes on.
    ZombieApi,
    /// A process that runs the workers stands still for longer than every time-out, then goes on.
    ZombieWorker,
    /// One of PostgreSQL's backends stands still for longer than every time-out, then goes on.
    FrozenBackend,
    /// A connection to PostgreSQL is cut before an append gets there.
    CutBeforeAppend,
    /// A connection to PostgreSQL is cut right after an append was forwarded.
    CutDuringAppend,
    /// A connection to PostgreSQL is cut when the answer to an append comes back.
    CutAnswer,
    /// SIGKILL of nats-server.
    NatsKilled,
    /// SIGKILL of nats-server, and all that it has stored is gone.
    NatsStoreDeleted,
    /// nats-server stands still for longer than every time-out, then goes on.
    NatsFrozen,
    /// The stream of events is deleted.
    StreamDeleted,
    /// One command is sent several times at once, to several processes.
    Duplicate,
    /// Another command is sent under a used key.
    OtherContent,
    /// Requests arrive in another order than they were sent in, or long after their time.
    Reordered,
    /// A process' clock leaps forwards by hours.
    ClockForward,
    /// A process' clock leaps back by hours.
    ClockBack,
}

impl Kind {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 24] = [
        Self::KillApi,
        Self::KillWorker,
        Self::KillPostgres,
        Self::KillBackend,
        Self::BeforeAppend,
        Self::AfterAppend,
        Self::BeforeAcknowledgement,
        Self::AfterPublish,
        Self::BeforeCheckpoint,
        Self::ZombieApi,
        Self::ZombieWorker,
        Self::FrozenBackend,
        Self::CutBeforeAppend,
        Self::CutDuringAppend,
        Self::CutAnswer,
        Self::NatsKilled,
        Self::NatsStoreDeleted,
        Self::NatsFrozen,
        Self::StreamDeleted,
        Self::Duplicate,
        Self::OtherContent,
        Self::Reordered,
        Self::ClockForward,
        Self::ClockBack,
    ];

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::KillApi => "kill_api",
            Self::KillWorker => "kill_worker",
            Self::KillPostgres => "kill_postgres",
            Self::KillBackend => "kill_postgres_backend",
            Self::BeforeAppend => "kill_before_append",
            Self::AfterAppend => "kill_after_append",
            Self::BeforeAcknowledgement => "kill_before_acknowledgement",
            Self::AfterPublish => "kill_after_publish",
            Self::BeforeCheckpoint => "kill_before_checkpoint",
            Self::ZombieApi => "zombie_api",
            Self::ZombieWorker => "zombie_worker",
            Self::FrozenBackend => "frozen_postgres_backend",
            Self::CutBeforeAppend => "cut_before_append",
            Self::CutDuringAppend => "cut_during_append",
            Self::CutAnswer => "cut_append_answer",
            Self::NatsKilled => "nats_killed",
            Self::NatsStoreDeleted => "nats_store_deleted",
            Self::NatsFrozen => "nats_frozen",
            Self::StreamDeleted => "stream_deleted",
            Self::Duplicate => "duplicate_requests",
            Self::OtherContent => "same_key_other_content",
            Self::Reordered => "reordered_requests",
            Self::ClockForward => "clock_forward",
            Self::ClockBack => "clock_back",
        }
    }
}
