//! A second, simple review of movements that predicts every answer of the first under a random load with rules.
//!
//! It is written separately: lists of movements and plain numbers, no slots, no holds, no aggregates. Commands are given one
//! after the other, by two processes in turn, so that every prediction is exact.

use quotary_commands::quota::decide_transfer::TransferAfter;
use quotary_commands::quota::expire_hold::Expiring;
use quotary_commands::{CommandError, Commands, Context, Outcome, Refusal};
use quotary_domain::agent_quota::AgentQuotaError;
use quotary_domain::ledger::LedgerAccount;
use quotary_domain::risk::{MovementRules, RiskPolicyError, RiskReason, RiskRules, Window};
use quotary_domain::transfer::TransferError;
use quotary_domain::withdrawal::{WithdrawalError, WithdrawalStatus};
use quotary_domain::{Actor, JournalId, WithdrawalId};

use crate::dice::Dice;
use crate::house::{House, by_itself, context, quota};

const AGENTS: usize = 4;
const ABOVE: i64 = 60;
const SUM: i64 = 150;
const NEW: i64 = 15;
const PAY_ABOVE: i64 = 40;
const PAY_A_DAY: i64 = 120;

/// What a command is answered.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done,
    /// Waits, for so many reasons.
    Waits(usize),
    Zero,
    Insufficient(i64),
    BadAmount,
    Ended,
    SamePerson,
    TooMuchToday,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waits,
    Asked,
    Ended,
}

struct Sent {
    from: usize,
    to: usize,
    amount: i64,
    /// What of it did not come back.
    counts: i64,
    stage: Stage,
    /// Whether it had to wait.
    waited: bool,
}

struct Withdrawn {
    who: usize,
    asked: i64,
    amount: i64,
    stage: Stage,
    released_by: Option<usize>,
}

#[derive(Default)]
struct Model {
    available: [i64; AGENTS],
    held: [i64; AGENTS],
    knows: [[bool; AGENTS]; AGENTS],
    sent: Vec<Sent>,
    withdrawn: Vec<Withdrawn>,
    paid_out: i64,
}

impl Model {
    fn send(&mut self, from: usize, to: usize, amount: i64) -> Answer {
        let before: i64 = self.sent.iter().filter(|sent| sent.from == from).map(|sent| sent.counts).sum();
        let reasons = usize::from(amount > ABOVE)
            + usize::from(before + amount > SUM)
            + usize::from(amount > NEW && !self.knows[from][to]);
        if amount == 0 {
            return Answer::Zero;
        }
        if self.available[from] < amount {
            return Answer::Insufficient(self.available[from]);
        }
        self.available[from] -= amount;
        let stage = if reasons == 0 { Stage::Ended } else { Stage::Waits };
        self.sent.push(Sent { from, to, amount, counts: amount, stage, waited: reasons > 0 });
        if reasons > 0 {
            self.held[from] += amount;
            return Answer::Waits(reasons);
        }
        self.available[to] += amount;
        self.knows[from][to] = true;
        Answer::Done
    }

    /// Lets so much go, or nothing at all.
    fn decide_sent(&mut self, which: usize, let_go: Option<i64>) -> Answer {
        let sent = &mut self.sent[which];
        if sent.stage == Stage::Ended {
            return Answer::Ended;
        }
        let moved = match let_go {
            None => 0,
            Some(part) if part == 0 || part > sent.amount => return Answer::BadAmount,
            Some(part) => part,
        };
        sent.stage = Stage::Ended;
        sent.counts = moved;
        self.held[sent.from] -= sent.amount;
        self.available[sent.from] += sent.amount - moved;
        self.available[sent.to] += moved;
        self.knows[sent.from][sent.to] |= moved > 0;
        Answer::Done
    }

    fn ask(&mut self, who: usize, amount: i64) -> Answer {
        let today: i64 = self.withdrawn.iter().filter(|known| known.who == who).map(|known| known.amount).sum();
        if today + amount > PAY_A_DAY {
            return Answer::TooMuchToday;
        }
        if amount == 0 {
            return Answer::Zero;
        }
        if self.available[who] < amount {
            return Answer::Insufficient(self.available[who]);
        }
        self.available[who] -= amount;
        self.held[who] += amount;
        let stage = if amount > PAY_ABOVE { Stage::Waits } else { Stage::Asked };
        self.withdrawn.push(Withdrawn { who, asked: amount, amount, stage, released_by: None });
        if stage == Stage::Waits { Answer::Waits(1) } else { Answer::Done }
    }

    fn let_on(&mut self, which: usize, by: usize, part: i64) -> Answer {
        let known = &mut self.withdrawn[which];
        if known.stage != Stage::Waits {
            return Answer::Ended;
        }
        if part == 0 || part > known.asked {
            return Answer::BadAmount;
        }
        let back = known.amount - part;
        (known.amount, known.stage, known.released_by) = (part, Stage::Asked, Some(by));
        self.held[known.who] -= back;
        self.available[known.who] += back;
        Answer::Done
    }

    fn pay(&mut self, which: usize, by: usize) -> Answer {
        let known = &mut self.withdrawn[which];
        match known.stage {
            Stage::Asked if known.released_by == Some(by) => Answer::SamePerson,
            Stage::Asked => {
                known.stage = Stage::Ended;
                self.held[known.who] -= known.amount;
                self.paid_out += known.amount;
                Answer::Done
            }
            Stage::Waits | Stage::Ended => Answer::Ended,
        }
    }

    fn give_back(&mut self, which: usize) -> Answer {
        let known = &mut self.withdrawn[which];
        if known.stage == Stage::Ended {
            return Answer::Ended;
        }
        known.stage = Stage::Ended;
        self.held[known.who] -= known.amount;
        self.available[known.who] += known.amount;
        known.amount = 0;
        Answer::Done
    }
}

fn waits(reasons: Option<&[RiskReason]>) -> Answer {
    match reasons {
        None | Some([]) => Answer::Done,
        Some(reasons) => Answer::Waits(reasons.len()),
    }
}

fn refused<T: std::fmt::Debug>(outcome: Outcome<T>) -> Result<T, Answer> {
    match outcome {
        Ok(done) => Ok(done.value),
        Err(CommandError::Refused(refusal)) => Err(match refusal {
            Refusal::AgentQuota(AgentQuotaError::ZeroAmount) => Answer::Zero,
            Refusal::AgentQuota(AgentQuotaError::Insufficient { available, .. }) => {
                Answer::Insufficient(available.minor_units())
            }
            Refusal::Transfer(TransferError::InvalidAmount(_))
            | Refusal::Withdrawal(WithdrawalError::InvalidAmount(_)) => Answer::BadAmount,
            Refusal::Transfer(TransferError::NotSuspended(_))
            | Refusal::Withdrawal(WithdrawalError::WrongStatus(_)) => Answer::Ended,
            Refusal::Withdrawal(WithdrawalError::SamePerson) => Answer::SamePerson,
            Refusal::RiskPolicy(RiskPolicyError::AboveMaximum { .. }) => Answer::TooMuchToday,
            other => panic!("{other:?}"),
        }),
        Err(other) => panic!("{other:?}"),
    }
}

fn done<T: std::fmt::Debug>(outcome: Outcome<T>) -> Answer {
    refused(outcome).map_or_else(|refused| refused, |_| Answer::Done)
}

fn rules() -> RiskRules {
    let window = Window { minutes: 1_440, sum_above: Some(quota(SUM)), count_above: None };
    RiskRules {
        max_withdrawn_per_day: Some(quota(PAY_A_DAY)),
        transfers: MovementRules {
            amount_above: Some(quota(ABOVE)),
            window: Some(window),
            new_receiver_above: Some(quota(NEW)),
            night_above: None,
        },
        withdrawals: MovementRules { amount_above: Some(quota(PAY_ABOVE)), ..MovementRules::default() },
        review_within_minutes: Some(60),
        ..RiskRules::default()
    }
}

struct Load {
    agents: Vec<Actor>,
    deciders: [Actor; 2],
    transfers: Vec<JournalId>,
    withdrawals: Vec<WithdrawalId>,
}

impl Load {
    /// One step: what the model expects, and what was answered.
    async fn step(
        &mut self,
        by: &Commands,
        dice: &mut Dice,
        model: &mut Model,
        boss: Actor,
    ) -> Option<(Answer, Answer)> {
        let (one, two) = (dice.below(AGENTS), dice.below(AGENTS));
        let amount = dice.pick(&[0, 1, 5, 15, 16, 40, 41, 60, 61]);
        let decider = dice.below(2);
        let (agent, admin) = (context(self.agents[one]), context(self.deciders[decider]));
        Some(match dice.below(12) {
            0..=3 if one != two => {
                let to = self.agents[two].account_id;
                let answered = refused(by.transfer_to(&agent, to, quota(amount), None).await).map(|made| {
                    self.transfers.push(made.id);
                    waits(made.suspension.as_ref().map(|suspension| suspension.reasons.as_slice()))
                });
                (model.send(one, two, amount), answered.unwrap_or_else(|refused| refused))
            }
            4 | 5 => {
                let asked = by.request_withdrawal(&agent, quota(amount), "{}".to_owned().into()).await;
                let answered = refused(asked).map(|after| {
                    self.withdrawals.push(after.withdrawal_id);
                    waits(after.withdrawal.request.as_ref().map(|request| request.reasons.as_slice()))
                });
                (model.ask(one, amount), answered.unwrap_or_else(|refused| refused))
            }
            6 | 7 => {
                let waiting: Vec<usize> = (0..model.sent.len()).filter(|n| model.sent[*n].waited).collect();
                let which = *waiting.get(dice.below(waiting.len().max(1)))?;
                let id = self.transfers[which];
                match dice.below(3) {
                    0 => (model.decide_sent(which, None), done(by.refuse_transfer(&admin, id, None).await)),
                    1 => {
                        let answered =
                            done::<TransferAfter>(by.release_transfer(&admin, id, Some(quota(amount))).await);
                        (model.decide_sent(which, Some(amount)), answered)
                    }
                    _ => {
                        let later = by_itself(boss);
                        let later = Context { now: later.now + chrono::TimeDelta::hours(2), ..later };
                        let answered = done(by.expire(&later, Expiring::Transfer(id)).await);
                        // Whoever comes too late changes nothing.
                        model.decide_sent(which, None);
                        (Answer::Done, answered)
                    }
                }
            }
            8..=11 if !self.withdrawals.is_empty() => {
                let which = dice.below(self.withdrawals.len());
                let id = self.withdrawals[which];
                match dice.below(4) {
                    0 => {
                        let answered = done(by.release_withdrawal(&admin, id, Some(quota(amount))).await);
                        (model.let_on(which, decider, amount), answered)
                    }
                    1 | 2 => {
                        let answered = refused(by.approve_withdrawal(&admin, id).await);
                        unless_repeated(answered, WithdrawalStatus::Approved, model, |model| model.pay(which, decider))
                    }
                    _ => {
                        let who = context(self.agents[model.withdrawn[which].who]);
                        let answered = refused(by.cancel_withdrawal(&who, id).await);
                        unless_repeated(answered, WithdrawalStatus::Cancelled, model, |model| model.give_back(which))
                    }
                }
            }
            _ => return None,
        })
    }
}

/// A repeat of what was decided so is no refusal; the model only knows that it has ended.
fn unless_repeated(
    answered: Result<quotary_commands::withdrawal::request::WithdrawalAfter, Answer>,
    wanted: WithdrawalStatus,
    model: &mut Model,
    decide: impl Fn(&mut Model) -> Answer,
) -> (Answer, Answer) {
    let expected = decide(model);
    match answered {
        Ok(after) => {
            assert_eq!(after.withdrawal.status, wanted);
            (Answer::Done, if expected == Answer::Ended { Answer::Done } else { expected })
        }
        Err(refused) => (expected, refused),
    }
}

async fn run(seed: u64, steps: usize) {
    let house = House::new().await;
    let processes: [Commands; 2] = [house.here.clone(), house.another("there").await];
    let second = house.account(quotary_domain::Role::SuperAdmin).await;
    let (mut dice, mut model) = (Dice::new(seed), Model::default());
    let mut agents = vec![];
    for n in 0..AGENTS {
        agents.push(house.agent(300).await);
        model.available[n] = 300;
    }
    house.here.set_risk_rules(&context(house.boss), rules()).await.unwrap();
    let mut load = Load { agents, deciders: [house.boss, second], transfers: vec![], withdrawals: vec![] };
    let mut waited = 0;
    for step in 0..steps {
        let by = &processes[dice.below(2)];
        let Some((expected, answered)) = load.step(by, &mut dice, &mut model, house.boss).await else { continue };
        assert_eq!(answered, expected, "seed {seed}, step {step}");
        waited += usize::from(matches!(answered, Answer::Waits(_)));
    }
    assert!(waited > steps / 20, "the load suspends something: {waited}");
    for (n, agent) in load.agents.iter().enumerate() {
        assert_eq!(house.balance(*agent).await, (model.available[n], model.held[n]), "seed {seed}, agent {n}");
    }
    let reading = house.leave().await;
    let total = |account| reading.balances.get(&account).copied().unwrap_or_default();
    assert_eq!((total(LedgerAccount::Transit), total(LedgerAccount::PaidOut)), (0, model.paid_out), "seed {seed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simple_review_predicts_every_answer_of_a_random_load_with_rules() {
    for seed in 1..=3 {
        run(seed, 400).await;
    }
}
