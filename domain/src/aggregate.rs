//! The shape every aggregate has: a pure decision, and events that alone change the state.

use cqrs_es::DomainEvent;

/// The stable name and version of an event, without allocating.
pub trait EventName {
    /// The event's type as it stands in the log, e.g. `QuotaHeld`.
    fn name(&self) -> &'static str;
    /// The version of the payload's shape, e.g. `1`.
    fn version(&self) -> &'static str {
        "1"
    }
}

/// An aggregate whose decisions are pure.
///
/// `cqrs_es::Aggregate::handle` is a thin shell around [`Aggregate::decide`]; see [`impl_aggregate`](crate::impl_aggregate).
pub trait Aggregate:
    cqrs_es::Aggregate<Services = (), Event: EventName + 'static, Command: Send, Error: Send + Sync + 'static>
    + Clone
    + PartialEq
    + std::fmt::Debug
    + 'static
{
    /// The events that `command` leads to; none when it is already applied. Reads the state, never changes it.
    ///
    /// # Errors
    /// The aggregate's own error when a rule forbids the command.
    fn decide(&self, command: Self::Command) -> Result<Vec<Self::Event>, Self::Error>;
}

/// Checks at compile time that a type is usable as an event of the log.
pub const fn assert_event<E: DomainEvent + EventName>() {}

/// Wires a type with inherent `decide` and `evolve` into `cqrs-es` and into [`Aggregate`].
#[macro_export]
macro_rules! impl_aggregate {
    ($name:ident, $type:literal, $command:ty, $event:ty, $error:ty) => {
        impl cqrs_es::Aggregate for $name {
            const TYPE: &'static str = $type;
            type Command = $command;
            type Event = $event;
            type Error = $error;
            type Services = ();

            async fn handle(
                &mut self,
                command: Self::Command,
                (): &Self::Services,
                sink: &cqrs_es::event_sink::EventSink<Self>,
            ) -> Result<(), Self::Error> {
                for event in $crate::Aggregate::decide(self, command)? {
                    sink.write(event, self).await;
                }
                Ok(())
            }

            fn apply(&mut self, event: Self::Event) {
                self.evolve(event);
            }
        }

        impl $crate::Aggregate for $name {
            fn decide(&self, command: Self::Command) -> Result<Vec<Self::Event>, Self::Error> {
                self.decisions(command)
            }
        }

        impl cqrs_es::DomainEvent for $event {
            fn event_type(&self) -> String {
                $crate::EventName::name(self).to_owned()
            }
            fn event_version(&self) -> String {
                $crate::EventName::version(self).to_owned()
            }
        }

        const _: () = $crate::aggregate::assert_event::<$event>();
    };
}

/// Gives an event enum its names: the variant's own.
#[macro_export]
macro_rules! event_names {
    ($event:ident { $($variant:ident),+ $(,)? }) => {
        impl $crate::EventName for $event {
            fn name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => stringify!($variant)),+ }
            }
        }

        impl $event {
            /// Every event type of this aggregate.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($variant)),+];
        }
    };
}
