//! Faults of clients and of the network between: requests doubled, keys used again, requests out of order.

use std::time::{Duration, Instant};

use quotary_commands::clock;

use super::client::{Client, Command, Sendable};
use super::kind::Kind;
use super::record::{Decision, Manner};
use super::stage::Stage;

const KINDS: [Kind; 3] = [Kind::Duplicate, Kind::OtherContent, Kind::Reordered];
/// How often it is looked whether there are enough.
const LOOK: Duration = Duration::from_millis(100);
/// How many of a client's commands lie between a request and its late copy at least.
const LATE: usize = 5;

/// A request that was answered and will be sent again when nobody expects it.
pub struct Late {
    sendable: Sendable,
    /// Its place in the client's records.
    place: usize,
}

impl Client {
    /// A step with a fault of requests, if there are not enough of those yet; whether it was made.
    pub async fn faulty_step(&mut self) -> bool {
        let Some(kind) = self.stage.tally.begin(&KINDS, &mut self.dice) else { return false };
        let in_flight = match kind {
            Kind::Duplicate => self.duplicate().await,
            Kind::OtherContent => self.other_content().await,
            _ => self.reorder().await,
        };
        // Its own requests are in flight too.
        self.stage.tally.hit(kind, in_flight);
        true
    }

    /// One command, several times at once, to several processes.
    async fn duplicate(&mut self) -> u64 {
        let command = self.some_command();
        let copies = usize::try_from(self.dice.within(2, 5)).unwrap();
        let in_flight = self.stage.writes_in_flight() + copies as u64;
        self.perform_at_once(&Sendable::new(command), Manner::Alone, copies).await;
        in_flight
    }

    /// Two commands under one key: one after the other, or at once.
    async fn other_content(&mut self) -> u64 {
        let (from, to) = (self.an_agent(), self.an_agent());
        let to = if to == from { (to + 1) % self.world.agents.len() } else { to };
        let amount = i64::try_from(self.dice.within(1, 20)).unwrap();
        let first = Sendable::new(self.transfer(from, to, amount));
        let other = first.under_this_key(self.transfer(from, to, amount + 1));
        let manner = Manner::SharesKey(clock::new_id());
        let in_flight = self.stage.writes_in_flight() + 1;
        if self.dice.chance(50) {
            self.perform(&first, manner.clone()).await;
            self.perform(&other, manner).await;
        } else {
            self.perform_together(&[first, other], &manner).await;
        }
        in_flight
    }

    /// Decisions that overtake each other, or a copy of a request that comes long after its answer.
    async fn reorder(&mut self) -> u64 {
        if let Some(late) = self.late.take_if(|late| late.place + LATE <= self.done.records.len()) {
            let in_flight = self.stage.writes_in_flight() + 1;
            let mut record = self.done.records[late.place].clone();
            self.settle(&mut record, &late.sendable, 1).await;
            self.done.records[late.place] = record;
            return in_flight;
        }
        let agent = self.an_agent();
        let asked = Sendable::new(self.withdrawal(agent, 1));
        let place = self.done.records.len();
        let Some(told) = self.perform(&asked, Manner::Alone).await else { return self.stage.writes_in_flight() };
        self.late.get_or_insert(Late { sendable: asked, place });
        let mut decisions = vec![Decision::Approve, Decision::Refuse, Decision::MarkPaid];
        let mut shuffled = Vec::new();
        while !decisions.is_empty() {
            let place = usize::try_from(self.dice.next() % decisions.len() as u64).unwrap();
            shuffled.push(Sendable::new(self.decision(&told.id, decisions.remove(place))));
        }
        let in_flight = self.stage.writes_in_flight() + 3;
        self.perform_together(&shuffled, &Manner::Alone).await;
        in_flight
    }

    fn some_command(&mut self) -> Command {
        let (agent, other) = (self.an_agent(), self.an_agent());
        let amount = i64::try_from(self.dice.within(1, 300)).unwrap();
        match self.dice.next() % 4 {
            0 => self.top_up(other, amount),
            1 => self.withdrawal(agent, amount),
            _ => self.transfer(agent, other, amount),
        }
    }
}

/// Waits until the clients have brought about enough faults.
pub async fn enough(stage: &Stage) {
    while !stage.tally.missing(&KINDS).is_empty() && Instant::now() < stage.deadline {
        tokio::time::sleep(LOOK).await;
    }
}
