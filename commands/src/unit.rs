//! The unit of work: opens several aggregates (locks in one order), lets a command decide on each, and appends all
//! events in one atomic step.
//!
//! Aggregates that are only read count too: the database checks that they have not changed since. Those that many
//! commands read and few change (a tenant's rules, accounts) are opened by [`Plan::read`], which holds no lock while the
//! command decides: nobody waits for another reader, and whoever was overtaken by a change decides again.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use futures::future::BoxFuture;
use quotary_domain::{Aggregate, EventName as _, TenantId};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use crate::cache::{Held, Locked, Stored, lock};
use crate::event_log::EventLog;
use crate::log::append::{Append, AppendError, NewClaim, NewEvent, NewReceipt, Poison, StreamCheck};
use crate::log::committer::Ticket;
use crate::log::stream::LoadError;

/// The aggregates a command needs.
#[derive(Default)]
pub struct Plan {
    streams: Vec<Box<dyn Open>>,
}

/// An aggregate of a [`Plan`] that the command may change.
pub struct Handle<A> {
    index: usize,
    aggregate: PhantomData<fn() -> A>,
}

impl<A> Clone for Handle<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Handle<A> {}

/// An aggregate of a [`Plan`] that the command only reads.
pub struct Seen<A>(Handle<A>);

impl<A> Clone for Seen<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Seen<A> {}

impl<A> From<Handle<A>> for Seen<A> {
    fn from(handle: Handle<A>) -> Self {
        Self(handle)
    }
}

impl Plan {
    /// No aggregates yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for an aggregate. The first one asked for is the one that `If-Match` speaks of. Asking twice for the same
    /// gives the same handle.
    pub fn open<A: Stored>(&mut self, id: impl Into<Uuid>) -> Handle<A> {
        self.add(id.into(), Access::Lock)
    }

    /// Like [`Plan::open`], for an id that was just made: it is not looked up in the log first.
    pub fn open_new<A: Stored>(&mut self, id: impl Into<Uuid>) -> Handle<A> {
        self.add(id.into(), Access::LockNew)
    }

    /// Asks for an aggregate that is only read: its state is taken as it is, tentative or not, and its lock is given up
    /// at once. If the plan also opens it, it is as locked as any.
    pub fn read<A: Stored>(&mut self, id: impl Into<Uuid>) -> Seen<A> {
        Seen(self.add(id.into(), Access::Glance))
    }

    fn add<A: Stored>(&mut self, id: Uuid, access: Access) -> Handle<A> {
        let known = self.streams.iter().position(|stream| stream.key() == (A::TYPE, id));
        if let Some(index) = known {
            self.streams[index].want(access);
            return Handle { index, aggregate: PhantomData };
        }
        self.streams.push(Box::new(Of::<A> { id, access, aggregate: PhantomData }));
        Handle { index: self.streams.len() - 1, aggregate: PhantomData }
    }
}

/// How an aggregate is opened; what comes later holds more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Access {
    /// Read, the lock given up at once.
    Glance,
    /// Locked until its events are in the queue, and not looked up in the log at the first attempt.
    LockNew,
    /// Locked until its events are in the queue.
    Lock,
}

trait Open: Send + Sync {
    fn key(&self) -> (&'static str, Uuid);
    fn want(&mut self, access: Access);
    fn open<'a>(&'a self, log: &'a EventLog, first_attempt: bool) -> BoxFuture<'a, Result<Box<dyn Opened>, LoadError>>;
}

struct Of<A> {
    id: Uuid,
    access: Access,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Stored> Open for Of<A> {
    fn key(&self) -> (&'static str, Uuid) {
        (A::TYPE, self.id)
    }

    fn want(&mut self, access: Access) {
        self.access = self.access.max(access);
    }

    fn open<'a>(&'a self, log: &'a EventLog, first_attempt: bool) -> BoxFuture<'a, Result<Box<dyn Opened>, LoadError>> {
        Box::pin(async move {
            let presumed_new = self.access == Access::LockNew && first_attempt;
            let Locked { held, poison } = lock::<A>(log.caches(), log.pool(), self.id, presumed_new).await?;
            let known = held.as_ref().expect("a locked slot holds a state");
            let cached = Cached {
                id: self.id,
                base: known.aggregate.clone(),
                sequence: known.sequence,
                tenant_id: known.tenant_id,
                // Whoever made a tentative state is in the queue before us, so we rest on it like one who holds the lock.
                lock: (self.access != Access::Glance).then_some(held),
                poison,
                changed: None,
                added: 0,
            };
            Ok(Box::new(cached) as Box<dyn Opened>)
        })
    }
}

/// An opened aggregate, whatever its type.
trait Opened: Any + Send {
    fn tenant_id(&self) -> Option<TenantId>;
    fn check(&self) -> StreamCheck;
    /// Undoes what was decided on it in this unit.
    fn forget(&mut self);
    /// Keeps the decided state as tentative; returns what to do once it is durable.
    fn keep(self: Box<Self>, tenant_id: TenantId, ticket: &Ticket) -> Option<OnceDurable>;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

/// An aggregate from the cache, with what was decided on it in this unit.
struct Cached<A: Stored> {
    id: Uuid,
    base: Arc<A>,
    sequence: u64,
    tenant_id: Option<TenantId>,
    /// `None` if it is only read.
    lock: Option<OwnedMutexGuard<Option<Held<A>>>>,
    poison: Poison,
    changed: Option<A>,
    added: u64,
}

impl<A: Stored> Cached<A> {
    fn state(&self) -> &A {
        self.changed.as_ref().unwrap_or(&self.base)
    }
}

impl<A: Stored> Opened for Cached<A> {
    fn tenant_id(&self) -> Option<TenantId> {
        self.tenant_id
    }

    fn check(&self) -> StreamCheck {
        StreamCheck {
            aggregate_type: A::TYPE.into(),
            aggregate_id: self.id.to_string(),
            expected: self.sequence,
            added: self.added,
            is_glance: self.lock.is_none(),
            poison: self.poison.clone(),
        }
    }

    fn forget(&mut self) {
        self.changed = None;
        self.added = 0;
    }

    fn keep(self: Box<Self>, tenant_id: TenantId, ticket: &Ticket) -> Option<OnceDurable> {
        let Self { id, sequence: before, lock, changed, added, .. } = *self;
        let (aggregate, mut lock) = (Arc::new(changed?), lock?);
        let sequence = before + added;
        let snapshot =
            (before / crate::snapshot::EVERY != sequence / crate::snapshot::EVERY).then(|| aggregate.clone());
        *lock = Some(Held { aggregate, sequence, tenant_id: Some(tenant_id), pending: Some(ticket.clone()) });
        snapshot
            .map(|state| Box::new(move |log: &EventLog| log.snapshots().offer(id, before, sequence, &*state)) as Box<_>)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// Opened aggregates and what was decided on them.
pub struct Unit {
    opened: Vec<Box<dyn Opened>>,
    /// Streams that begin in this unit: new ids, so neither locked nor cached.
    begun: Vec<StreamCheck>,
    events: Vec<NewEvent>,
    claims: Vec<NewClaim>,
}

/// What happens when an appended unit turns out to be durable.
pub(crate) type AfterCommit = Vec<OnceDurable>;

/// One step of it.
type OnceDurable = Box<dyn FnOnce(&EventLog) + Send>;

impl Unit {
    /// Opens the plan's aggregates, locking them in the order of their type and id, so that two units never wait for
    /// each other.
    pub(crate) async fn open(log: &EventLog, plan: &Plan, first_attempt: bool) -> Result<Self, LoadError> {
        let mut order: Vec<usize> = (0..plan.streams.len()).collect();
        order.sort_by_key(|index| plan.streams[*index].key());
        let mut opened: Vec<Option<Box<dyn Opened>>> = plan.streams.iter().map(|_| None).collect();
        for index in order {
            opened[index] = Some(plan.streams[index].open(log, first_attempt).await?);
        }
        let opened = opened.into_iter().flatten().collect();
        Ok(Self { opened, begun: Vec::new(), events: Vec::new(), claims: Vec::new() })
    }

    /// The state of an aggregate, with what was decided on it in this unit.
    #[must_use]
    pub fn get<A: Stored>(&self, handle: Handle<A>) -> &A {
        self.cached(handle).state()
    }

    /// The state of an aggregate that the command only reads.
    #[must_use]
    pub fn see<A: Stored>(&self, seen: Seen<A>) -> &A {
        self.get(seen.0)
    }

    /// The sequence of an aggregate's last event, with those of this unit.
    #[must_use]
    pub fn sequence<A: Stored>(&self, handle: Handle<A>) -> u64 {
        let cached = self.cached(handle);
        cached.sequence + cached.added
    }

    fn cached<A: Stored>(&self, handle: Handle<A>) -> &Cached<A> {
        self.opened[handle.index].as_any().downcast_ref().expect("a handle has its aggregate's type")
    }

    /// Lets an aggregate decide on a command and applies what it decides.
    ///
    /// # Errors
    /// The aggregate's own error; the unit is as it was before.
    ///
    /// # Panics
    /// Never: a handle has its aggregate's type, and events are plain data.
    pub fn decide<A: Stored>(&mut self, handle: Handle<A>, command: A::Command) -> Result<(), A::Error> {
        let cached: &mut Cached<A> =
            self.opened[handle.index].as_any_mut().downcast_mut().expect("a handle has its aggregate's type");
        let events = cached.state().decide(command)?;
        if events.is_empty() {
            return Ok(());
        }
        let mut state = cached.changed.take().unwrap_or_else(|| A::clone(&cached.base));
        let first = cached.sequence + cached.added + 1;
        cached.added += events.len() as u64;
        for (sequence, event) in (first..).zip(events) {
            self.events.push(new_event::<A>(handle.index, sequence, &event));
            state.apply(event);
        }
        cached.changed = Some(state);
        Ok(())
    }

    /// Begins a new aggregate under an id that was just made: neither locked nor cached, only checked to be new.
    ///
    /// # Errors
    /// The aggregate's own error.
    pub fn begin<A: Aggregate>(&mut self, id: impl Into<Uuid>, command: A::Command) -> Result<(), A::Error> {
        let events = A::default().decide(command)?;
        let stream = self.opened.len() + self.begun.len();
        self.events.extend((1..).zip(&events).map(|(sequence, event)| new_event::<A>(stream, sequence, event)));
        self.begun.push(StreamCheck {
            aggregate_type: A::TYPE.into(),
            aggregate_id: id.into().to_string(),
            expected: 0,
            added: events.len() as u64,
            is_glance: false,
            poison: Poison::default(),
        });
        Ok(())
    }

    /// Claims a value for an aggregate.
    pub fn claim(&mut self, claim: NewClaim) {
        self.claims.push(claim);
    }

    /// Whether an opened aggregate belongs to another tenant.
    pub(crate) fn strays_from(&self, tenant_id: TenantId) -> bool {
        self.opened.iter().any(|opened| opened.tenant_id().is_some_and(|owner| owner != tenant_id))
    }

    /// The sequence of the plan's first aggregate before this unit.
    pub(crate) fn first_sequence(&self) -> Option<u64> {
        self.opened.first().map(|opened| opened.check().expected)
    }

    /// Undoes everything decided in this unit; what is left is the check that its aggregates are as they were seen.
    pub(crate) fn only_check(&mut self) {
        self.opened.iter_mut().for_each(|opened| opened.forget());
        self.begun.clear();
        self.events.clear();
        self.claims.clear();
    }

    /// Hands everything to the committer while the locks are held, keeps the new states as tentative, and gives up the
    /// locks.
    pub(crate) async fn enqueue(
        mut self,
        log: &EventLog,
        tenant_id: TenantId,
        metadata: String,
        receipt: Option<NewReceipt>,
    ) -> Result<(Ticket, AfterCommit), AppendError> {
        let mut streams: Vec<StreamCheck> = self.opened.iter().map(|opened| opened.check()).collect();
        streams.append(&mut self.begun);
        let append = Append { tenant_id, streams, events: self.events, metadata, receipt, claims: self.claims };
        let ticket = log.committer().enqueue(append).await?;
        let after = self.opened.into_iter().filter_map(|opened| opened.keep(tenant_id, &ticket)).collect();
        Ok((ticket, after))
    }
}

fn new_event<A: Aggregate>(stream: usize, sequence: u64, event: &A::Event) -> NewEvent {
    NewEvent {
        stream,
        sequence,
        event_id: crate::clock::new_id(),
        event_type: event.name().into(),
        event_version: event.version().into(),
        payload: serde_json::to_string(event).expect("events are plain data and always serialise"),
    }
}
