//! The callbacks of a project: which types are told, what signs them, and whether the address is stopped (row L11).
//!
//! What must always hold: a project with an address has a secret from the step that set the address, unless it is of before
//! callbacks were sent; during an overlap two secrets sign.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Project, ProjectError, ProjectEvent};
use crate::Sealed;
use crate::callback::CallbackType;

/// What is known of a project's callbacks beside their address, which is in its details.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callbacks {
    /// The types that are told; `None` is all.
    pub types: Option<Vec<CallbackType>>,
    /// What signs.
    pub secret: Option<CallbackSecret>,
    /// What signs too, until a time.
    pub previous_secret: Option<(CallbackSecret, DateTime<Utc>)>,
    /// Whether the address said that it is gone; nothing is sent then.
    pub stopped: bool,
}

/// A secret that callbacks are signed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackSecret {
    /// Its name.
    pub secret_id: String,
    /// Its 32 bytes, encrypted.
    pub secret: Sealed,
}

impl Callbacks {
    /// Whether callbacks of this type are told.
    #[must_use]
    pub fn tells(&self, kind: CallbackType) -> bool {
        // The test button tests the address, not the choice of types.
        kind == CallbackType::Test || self.types.as_ref().is_none_or(|types| types.contains(&kind))
    }

    /// The secrets that sign at a time, the newest first.
    pub fn secrets_at(&self, now: DateTime<Utc>) -> impl Iterator<Item = &CallbackSecret> {
        let before = self.previous_secret.as_ref().filter(|(_, until)| *until > now).map(|(secret, _)| secret);
        self.secret.iter().chain(before)
    }

    pub(super) fn rotate(&mut self, secret: CallbackSecret, previous_until: Option<DateTime<Utc>>) {
        self.previous_secret = self.secret.replace(secret).zip(previous_until);
    }
}

impl Project {
    /// The address of callbacks, if they are sent.
    #[must_use]
    pub fn callback_url(&self) -> Option<&str> {
        let url = self.details.as_ref()?.callback_url.as_deref()?;
        (self.callbacks.secret.is_some() && !self.callbacks.stopped).then_some(url)
    }

    /// The types, sorted and each once.
    pub(super) fn choose_types(&self, types: Option<Vec<CallbackType>>) -> Vec<ProjectEvent> {
        let types = types.map(|mut types| {
            types.sort_unstable();
            types.dedup();
            types
        });
        if types == self.callbacks.types { vec![] } else { vec![ProjectEvent::CallbackTypesChosen { types }] }
    }

    /// A new secret; without one before there is nothing that could overlap.
    pub(super) fn rotate_callback_secret(
        &self,
        secret: CallbackSecret,
        previous_until: DateTime<Utc>,
    ) -> Vec<ProjectEvent> {
        let previous_until = self.callbacks.secret.as_ref().map(|_| previous_until);
        vec![ProjectEvent::CallbackSecretRotated { secret, previous_until }]
    }

    /// The address answered that it is gone. One that was set since then is another.
    pub(super) fn stop_callbacks(&self, url: &str) -> Vec<ProjectEvent> {
        if self.callback_url() == Some(url) { vec![ProjectEvent::CallbacksStopped {}] } else { vec![] }
    }

    /// Something may be sent now.
    pub(super) fn check_callbacks(&self) -> Result<(), ProjectError> {
        if self.callback_url().is_some() { Ok(()) } else { Err(ProjectError::NoCallbacks) }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::project::{ProjectCommand, ProjectDetails};

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap()
    }

    fn secret(id: &str) -> CallbackSecret {
        CallbackSecret { secret_id: id.to_owned(), secret: Sealed("s".to_owned()) }
    }

    fn details(url: Option<&str>) -> ProjectDetails {
        ProjectDetails {
            name: "Paintbox".to_owned(),
            description: None,
            version: None,
            callback_url: url.map(str::to_owned),
        }
    }

    fn project(url: Option<&str>) -> Project {
        Project { details: Some(details(url)), ..Project::default() }
    }

    fn after(project: &mut Project, command: ProjectCommand) -> Vec<ProjectEvent> {
        let events = project.decisions(command).unwrap();
        events.iter().cloned().for_each(|event| project.evolve(event));
        events
    }

    #[test]
    fn nothing_is_sent_before_there_is_a_secret() {
        let mut project = project(Some("https://a.example/"));
        assert_eq!(project.callback_url(), None);
        assert_eq!(project.check_callbacks(), Err(ProjectError::NoCallbacks));
        let rotate = ProjectCommand::RotateCallbackSecret { secret: secret("a"), previous_until: now() };
        let events = after(&mut project, rotate);
        assert_eq!(events, [ProjectEvent::CallbackSecretRotated { secret: secret("a"), previous_until: None }]);
        assert_eq!(project.callback_url(), Some("https://a.example/"));
    }

    #[test]
    fn both_secrets_sign_until_the_overlap_ends() {
        let mut project = project(Some("https://a.example/"));
        for id in ["a", "b"] {
            let previous_until = now() + TimeDelta::hours(1);
            after(&mut project, ProjectCommand::RotateCallbackSecret { secret: secret(id), previous_until });
        }
        let ids = |at| project.callbacks.secrets_at(at).map(|secret| secret.secret_id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(now()), ["b", "a"]);
        assert_eq!(ids(now() + TimeDelta::hours(1)), ["b"]);
    }

    #[test]
    fn an_address_that_is_gone_stays_stopped_until_it_is_set_again() {
        let mut project = project(Some("https://a.example/"));
        project.callbacks.secret = Some(secret("a"));
        let stop = |url: &str| ProjectCommand::StopCallbacks { url: url.to_owned() };
        assert_eq!(after(&mut project, stop("https://old.example/")), [], "another address is gone");
        assert_eq!(after(&mut project, stop("https://a.example/")).len(), 1);
        assert_eq!(after(&mut project, stop("https://a.example/")), []);
        assert_eq!(project.callback_url(), None);
        let mut other = project.clone();
        after(&mut other, ProjectCommand::Change(details(Some("https://b.example/"))));
        assert_eq!(other.callback_url(), Some("https://b.example/"));
        assert_eq!(after(&mut project, ProjectCommand::ResumeCallbacks), [ProjectEvent::CallbacksResumed {}]);
        assert_eq!(after(&mut project, ProjectCommand::ResumeCallbacks), []);
        assert_eq!(project.callback_url(), Some("https://a.example/"));
    }

    #[test]
    fn chosen_types_are_told_and_the_test_always() {
        let mut project = project(Some("https://a.example/"));
        assert!(project.callbacks.tells(CallbackType::LicenseRevoked));
        let twice = vec![CallbackType::LicenseRevoked, CallbackType::LicenseActivated, CallbackType::LicenseRevoked];
        let events = after(&mut project, ProjectCommand::ChooseCallbackTypes(Some(twice.clone())));
        let once = vec![CallbackType::LicenseActivated, CallbackType::LicenseRevoked];
        assert_eq!(events, [ProjectEvent::CallbackTypesChosen { types: Some(once) }]);
        assert_eq!(after(&mut project, ProjectCommand::ChooseCallbackTypes(Some(twice))), []);
        assert!(project.callbacks.tells(CallbackType::LicenseRevoked));
        assert!(project.callbacks.tells(CallbackType::Test));
        assert!(!project.callbacks.tells(CallbackType::LicenseRenewed));
    }
}
