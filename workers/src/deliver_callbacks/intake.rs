//! From events of the log to deliveries, in one transaction with the position that was read to.
//!
//! What always holds: whether an event is told, and what is told, follows from the log up to that event alone: the project's
//! callbacks as they were then, and the licence as it was right after it. Reading the same again writes down the same ids.

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate as _;
use hashbrown::{HashMap, HashSet};
use quotary_domain::callback::{CallbackBody, CallbackType, LicenseData, RefusalData, TestData};
use quotary_domain::license::{License, LicenseEvent};
use quotary_domain::project::{Callbacks, ProjectEvent};
use quotary_domain::{DeliveryId, Event, LicenseId, ProjectId, RecordedEvent, TenantId};
use quotary_projections::log_reader;
use serde::Serialize;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::outcome::Outcome;
use super::store::{self, NewDelivery};
use super::{DeliverError, Deliverer};

/// Events in one transaction at most.
const RUN: usize = 1_000;
/// Events of a licence that there may be very many of and that no body shows anything of.
const UNTOLD: [&str; 2] = ["LeaseExtended", "UsageReported"];
/// Refusals in one transaction at most.
const REFUSALS: i64 = 500;

/// What a run leads to, in order.
enum Step {
    Write(NewDelivery),
    Replay { project_id: ProjectId, delivery_id: DeliveryId, turn: i64 },
}

/// What is written down about a callback beside its body.
#[derive(Clone, Copy)]
struct About {
    delivery_id: DeliveryId,
    license_id: Option<LicenseId>,
    kind: CallbackType,
    happened_at: DateTime<Utc>,
}

impl Deliverer {
    /// Reads the next events and refusals and writes down what is to be told of them; whether there may be more. After an
    /// error what this knows of projects may be ahead of the database.
    pub(super) async fn take_in(&mut self, db: &mut PgConnection, now: DateTime<Utc>) -> Result<bool, DeliverError> {
        let events = log_reader::read_after(db, self.position, RUN).await?;
        let mut transaction = db.begin().await?;
        let refusals = store::take_refusals(&mut transaction, REFUSALS).await?;
        if events.is_empty() && refusals.is_empty() {
            transaction.rollback().await?;
            return Ok(false);
        }
        let more = events.len() == RUN || refusals.len() as u64 == REFUSALS.unsigned_abs();
        let mut decoded = Vec::new();
        for event in &events {
            if matches!(event.aggregate_type.as_str(), "Project" | "License") {
                decoded.push((event, event.decode()?));
            }
        }
        let mut licenses = self.licenses_of(&mut transaction, &decoded).await?;
        let (mut steps, mut changed) = (Vec::new(), HashSet::new());
        for (recorded, event) in &decoded {
            match event {
                Event::Project(event) => {
                    let project_id = ProjectId(recorded.aggregate_id);
                    if self.fold_project(project_id, recorded, event) {
                        changed.insert(project_id);
                    }
                    steps.extend(self.of_project(project_id, recorded, event, now));
                }
                Event::License(event) => {
                    let license_id = LicenseId(recorded.aggregate_id);
                    let Some(history) = licenses.get_mut(&license_id) else { continue };
                    let license = history.at(recorded.sequence)?;
                    steps.extend(self.of_license(license_id, license, recorded, event, now));
                }
                _ => {}
            }
        }
        for refusal in refusals {
            steps.extend(self.of_refusal(refusal, now));
        }
        for project_id in &changed {
            if let Some(endpoint) = self.endpoints.get(project_id) {
                store::set_endpoint(&mut transaction, *project_id, endpoint).await?;
            }
        }
        self.write_steps(&mut transaction, steps, now).await?;
        for project_id in changed {
            self.give_up_if_off(&mut transaction, project_id, now).await?;
        }
        let position = events.last().map_or(self.position, |event| event.position);
        store::set_position(&mut transaction, position).await?;
        transaction.commit().await?;
        self.position = position;
        Ok(more)
    }

    /// The histories of the licences that something may be told of.
    async fn licenses_of(
        &self,
        db: &mut PgConnection,
        decoded: &[(&RecordedEvent, Event)],
    ) -> Result<HashMap<LicenseId, History>, DeliverError> {
        // Tenants that have callbacks, or may get them within the run.
        let mut tenants: HashSet<TenantId> = self.endpoints.values().map(|endpoint| endpoint.tenant_id).collect();
        tenants
            .extend(decoded.iter().filter(|(_, event)| matches!(event, Event::Project(_))).map(|(r, _)| r.tenant_id));
        let told = decoded.iter().filter(|(recorded, event)| {
            let Event::License(event) = event else { return false };
            tenants.contains(&recorded.tenant_id) && CallbackType::of_license(event).is_some()
        });
        let ids: HashSet<Uuid> = told.map(|(recorded, _)| recorded.aggregate_id).collect();
        let Some(until) = decoded.last().map(|(recorded, _)| recorded.position).filter(|_| !ids.is_empty()) else {
            return Ok(HashMap::new());
        };
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let streams = log_reader::streams(db, License::TYPE, &ids, until, &UNTOLD).await?;
        let histories = streams.into_iter().map(|stream| (LicenseId(stream[0].aggregate_id), History::of(stream)));
        Ok(histories.collect())
    }

    fn fold_project(&mut self, project_id: ProjectId, recorded: &RecordedEvent, event: &ProjectEvent) -> bool {
        if let Some(endpoint) = self.endpoints.get_mut(&project_id) {
            return endpoint.fold(event);
        }
        // A project that never had callbacks is not kept in memory.
        let mut endpoint = Endpoint::new(recorded.tenant_id, None, Callbacks::default(), DateTime::UNIX_EPOCH);
        let says_something = endpoint.fold(event);
        if says_something {
            self.endpoints.insert(project_id, endpoint);
        }
        says_something
    }

    fn of_project(
        &mut self,
        project_id: ProjectId,
        recorded: &RecordedEvent,
        event: &ProjectEvent,
        now: DateTime<Utc>,
    ) -> Option<Step> {
        match event {
            ProjectEvent::CallbackTested { delivery_id } => {
                let about = About {
                    delivery_id: *delivery_id,
                    license_id: None,
                    kind: CallbackType::Test,
                    happened_at: recorded.occurred_at(),
                };
                self.write(project_id, about, TestData { project_id }, recorded.recorded_at, now)
            }
            ProjectEvent::CallbackReplayed { delivery_id } => {
                Some(Step::Replay { project_id, delivery_id: *delivery_id, turn: self.next_turn() })
            }
            _ => None,
        }
    }

    fn of_license(
        &mut self,
        license_id: LicenseId,
        license: &License,
        recorded: &RecordedEvent,
        event: &LicenseEvent,
        now: DateTime<Utc>,
    ) -> Option<Step> {
        let kind = CallbackType::of_license(event)?;
        let data = LicenseData::of(license_id, license, event, recorded.sequence, recorded.recorded_at)?;
        let project_id = data.project_id;
        let about = About {
            delivery_id: DeliveryId::of_event(recorded.event_id, project_id),
            license_id: Some(license_id),
            kind,
            happened_at: recorded.occurred_at(),
        };
        self.endpoints.get(&project_id).filter(|endpoint| endpoint.tenant_id == recorded.tenant_id)?;
        self.write(project_id, about, data, recorded.recorded_at, now)
    }

    fn of_refusal(&mut self, refusal: store::Refusal, now: DateTime<Utc>) -> Option<Step> {
        let store::Refusal { delivery_id, tenant_id, project_id, license_id, code, refused_at } = refusal;
        self.endpoints.get(&project_id).filter(|endpoint| endpoint.tenant_id == tenant_id)?;
        let about = About {
            delivery_id,
            license_id: Some(license_id),
            kind: CallbackType::VerificationRefused,
            happened_at: refused_at,
        };
        self.write(project_id, about, RefusalData { project_id, license_id, code }, refused_at, now)
    }

    /// What is written down of something that the project may want to be told; `None` if it does not.
    fn write<D: Serialize>(
        &mut self,
        project_id: ProjectId,
        about: About,
        data: D,
        recorded_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<Step> {
        let endpoint = self.endpoints.get(&project_id)?;
        let is_set = endpoint.set_url().is_some() && endpoint.project.callbacks.secret.is_some();
        let is_too_old = now - recorded_at > self.options.keep;
        if !is_set || !endpoint.project.callbacks.tells(about.kind) || is_too_old {
            return None;
        }
        let outcome = if endpoint.url().is_none() {
            Some(Outcome::Stopped)
        } else if now - recorded_at > self.options.schedule.life {
            Some(Outcome::TooLate)
        } else if endpoint.pending >= self.options.most_pending {
            Some(Outcome::QueueFull)
        } else {
            None
        };
        let tenant_id = endpoint.tenant_id;
        let About { delivery_id, license_id, kind, happened_at } = about;
        // Texts, numbers and times: writing them to memory as JSON can't fail.
        let body = serde_json::to_string(&CallbackBody { kind, timestamp: happened_at, data }).ok()?;
        Some(Step::Write(NewDelivery {
            delivery_id,
            tenant_id,
            project_id,
            license_id,
            order_key: license_id.map_or(delivery_id.0, |license| license.0),
            r#type: kind.as_str(),
            body,
            turn: self.next_turn(),
            outcome: outcome.map(Outcome::as_str),
            happened_at,
            created_at: now,
            expires_at: now + self.options.schedule.life,
        }))
    }

    async fn write_steps(
        &mut self,
        db: &mut PgConnection,
        steps: Vec<Step>,
        now: DateTime<Utc>,
    ) -> Result<(), DeliverError> {
        let (mut written, mut replays) = (Vec::new(), Vec::new());
        let mut order_keys = HashSet::new();
        for step in steps {
            match step {
                Step::Write(delivery) => {
                    order_keys.insert(delivery.order_key);
                    written.push(delivery);
                }
                Step::Replay { project_id, delivery_id, turn } => replays.push((project_id, delivery_id, turn)),
            }
        }
        if !written.is_empty() {
            for (project, is_pending) in store::insert(db, &written).await? {
                match self.endpoints.get_mut(&ProjectId(project)) {
                    Some(endpoint) if is_pending => endpoint.pending += 1,
                    _ => self.options.status.gave_up(1),
                }
            }
        }
        let expires_at = now + self.options.schedule.life;
        for (project_id, delivery_id, turn) in replays {
            if let Some(order_key) = store::revive(db, project_id, delivery_id, turn, expires_at).await? {
                order_keys.insert(order_key);
                if let Some(endpoint) = self.endpoints.get_mut(&project_id) {
                    endpoint.pending += 1;
                }
            }
        }
        if !order_keys.is_empty() {
            let order_keys: Vec<Uuid> = order_keys.into_iter().collect();
            store::promote(db, &order_keys, now).await?;
        }
        Ok(())
    }

    /// Nothing of a project whose callbacks ended stays on its way.
    async fn give_up_if_off(
        &mut self,
        db: &mut PgConnection,
        project_id: ProjectId,
        now: DateTime<Utc>,
    ) -> Result<(), DeliverError> {
        let Some(endpoint) = self.endpoints.get_mut(&project_id) else { return Ok(()) };
        if endpoint.url().is_some() || endpoint.pending == 0 {
            return Ok(());
        }
        let outcome = if endpoint.set_url().is_some() { Outcome::Stopped } else { Outcome::Off };
        let given_up = store::give_up(db, project_id, outcome.as_str(), now).await?;
        endpoint.pending = 0;
        self.options.status.gave_up(given_up);
        Ok(())
    }

    fn next_turn(&mut self) -> i64 {
        self.turn += 1;
        self.turn
    }
}

/// A licence as it became, event by event.
struct History {
    license: License,
    rest: std::vec::IntoIter<RecordedEvent>,
}

impl History {
    fn of(stream: Vec<RecordedEvent>) -> Self {
        Self { license: License::default(), rest: stream.into_iter() }
    }

    /// The licence right after its event of that number; numbers only grow.
    fn at(&mut self, sequence: u64) -> Result<&License, DeliverError> {
        while let Some(recorded) = self.rest.as_slice().first().filter(|next| next.sequence <= sequence) {
            if let Event::License(event) = recorded.decode()? {
                self.license.apply(event);
            }
            self.rest.next();
        }
        Ok(&self.license)
    }
}
