//! The part of the load that is about sales and mistakes: payments at a provider, what is paid back, journals taken back.

use quotary_commands::clock;
use serde_json::json;

use super::client::{Client, Command};
use super::record::{Acknowledgement, Intent};

/// When all payments were made, as the provider says: before every time that a process' wrong clock can show.
const PAID_AT: &str = "2026-01-02T03:04:05Z";

impl Client {
    /// Somebody pays, maybe for a batch of licences, and maybe wants it back; or a batch is simply taken back.
    pub async fn sale(&mut self) -> Option<Acknowledgement> {
        let bought = match self.batches.len() as u64 {
            0 => None,
            count => {
                let place = usize::try_from(self.dice.next() % count).unwrap();
                // Those that stay are asked for again, so orders and refunds of one batch meet.
                let stays = self.dice.chance(30);
                Some(if stays { self.batches[place].clone() } else { self.batches.swap_remove(place) })
            }
        };
        if let Some((_, batch)) = bought.as_ref().filter(|_| self.dice.chance(35)) {
            let refund = self.refund_batch(batch);
            let told = self.alone(refund).await;
            self.perhaps_confirm(told.as_ref()).await;
            return told;
        }
        let (agent, batch) = bought.map_or_else(|| (self.an_agent(), None), |(agent, batch)| (agent, Some(batch)));
        let money = i64::try_from(self.dice.within(2, 5_000)).unwrap();
        let payment = self.order(agent, batch, money);
        // A provider tells some payments twice.
        if self.dice.chance(20) {
            self.alone(payment.clone()).await;
        }
        let told = self.alone(payment).await?;
        // In parts that may be more than there is, and once more when all was paid back.
        for _ in 0..self.dice.within(0, 4) {
            let part = i64::try_from(self.dice.within(1, money.unsigned_abs())).unwrap();
            let part = Some(part).filter(|_| self.dice.chance(50));
            let refund = self.alone(self.refund_order(&told.id, part)).await;
            self.perhaps_confirm(refund.as_ref()).await;
        }
        Some(told)
    }

    /// Takes one movement in four back, or a part of it, or more than it was; sometimes again.
    pub async fn perhaps_reverse(&mut self, told: &Acknowledgement, moved: i64) {
        while self.dice.chance(25) {
            let amount = i64::try_from(self.dice.within(1, moved.unsigned_abs() + 20)).unwrap();
            let amount = Some(amount).filter(|_| self.dice.chance(40));
            let reversal = self.reversal(told, amount);
            let told = self.alone(reversal).await;
            self.perhaps_confirm(told.as_ref()).await;
        }
    }

    /// If it waits for a second person: that one agrees, or the first gives up, or both, or nobody says anything.
    async fn perhaps_confirm(&mut self, told: Option<&Acknowledgement>) {
        let Some(Acknowledgement { id, .. }) = told.filter(|told| told.body.contains("\"proposal\"")) else { return };
        if self.dice.chance(20) {
            let decline = Intent::Decline { proposal: id.clone() };
            self.alone(Self::on_proposal(&self.world.admin, "decline", decline)).await;
        }
        for _ in 0..self.dice.within(0, 3) {
            let confirm = Intent::Confirm { proposal: id.clone() };
            self.alone(Self::on_proposal(&self.world.second_admin, "confirm", confirm)).await;
        }
    }

    fn on_proposal(token: &str, verb: &str, intent: Intent) -> Command {
        let (Intent::Confirm { proposal } | Intent::Decline { proposal }) = &intent else {
            panic!("{intent:?} is about no proposal")
        };
        let path = format!("/v1/proposals/{proposal}/{verb}");
        Command { intent, token: token.to_owned(), path, body: json!({}) }
    }

    fn order(&self, agent: usize, batch: Option<String>, money: i64) -> Command {
        let number = clock::new_id().simple().to_string();
        let body = json!({
            "provider": "alipay", "provider_order_id": number, "amount": money, "currency": "CNY", "paid_at": PAID_AT,
            "agent_id": self.world.agents[agent].id, "batch_id": batch,
        });
        let intent = Intent::Order { number, agent, batch, money };
        Command { intent, token: self.world.admin.clone(), path: "/v1/orders".to_owned(), body }
    }

    fn refund_order(&self, order: &str, money: Option<i64>) -> Command {
        Command {
            intent: Intent::RefundOrder { order: order.to_owned(), money },
            token: self.world.admin.clone(),
            path: format!("/v1/orders/{order}/refund"),
            body: json!({ "amount": money, "reason": "load" }),
        }
    }

    fn refund_batch(&self, batch: &str) -> Command {
        Command {
            intent: Intent::RefundBatch { batch: batch.to_owned() },
            token: self.world.admin.clone(),
            path: format!("/v1/license-batches/{batch}/refund"),
            body: json!({}),
        }
    }

    fn reversal(&self, told: &Acknowledgement, amount: Option<i64>) -> Command {
        Command {
            intent: Intent::Reverse { journal: told.id.clone(), told_at: told.position, amount },
            token: self.world.admin.clone(),
            path: format!("/v1/ledger/journals/{}/reverse", told.id),
            body: json!({ "amount": amount, "reason": "load" }),
        }
    }
}
