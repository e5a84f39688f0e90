//! Orders: payments at providers, what they bought, and what was paid back (rows Q8, Q9).
//!
//! A row equals the aggregate folded from its events. This is "our side" of the external reconciliation, so amounts are
//! money at the provider in minor units of the order's currency, never quota.

use chrono::{DateTime, Utc};
use futures::stream::{BoxStream, StreamExt as _};
use hashbrown::HashMap;
use quotary_domain::order::{OrderEvent, OrderStatus, Payment};
use quotary_domain::{AccountId, Actor, BatchId, Event, OrderId, RecordedEvent, TenantId};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgExecutor, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use crate::copy_rows::storable;
use crate::page::{Page, PageError, PageRequest};
use crate::projection::Projection;
use crate::rows::expect_rows;
use crate::visibility::push_visible;

/// The name of this read model.
pub const NAME: &str = "orders";

/// The orders read model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Orders;

const TABLES: &str = "
create table orders (
    order_id           uuid        primary key,
    tenant_id          uuid        not null,
    agent_id           uuid        not null,
    batch_id           uuid,
    provider           text        not null collate \"C\",
    provider_order_id  text        not null collate \"C\",
    amount             bigint      not null check (amount > 0),
    currency           text        not null,
    paid_at            timestamptz not null,          -- as the provider says
    refunded_amount    bigint      not null check (refunded_amount between 0 and amount),
    refunded_at        timestamptz,                   -- of the last part, as the provider says
    refunds            bigint      not null,          -- in how many parts
    provider_refund_id text,                          -- of the last part that has one
    refund_reason      text,                          -- of the last part that has one
    recorded_at        timestamptz not null,
    sequence           bigint      not null,          -- of its last event: its ETag
    position           bigint      not null           -- of the payment
);
create unique index orders_number on orders (tenant_id, provider, provider_order_id);
create index orders_paid on orders (tenant_id, paid_at, position);
create index orders_provider on orders (tenant_id, provider, paid_at, position);
create index orders_agent on orders (agent_id, paid_at, position);
create index orders_batch on orders (batch_id) where batch_id is not null;
";

/// An order as queries show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its id.
    pub order_id: OrderId,
    /// Its tenant.
    pub tenant_id: TenantId,
    /// The agent whose sale it is.
    pub agent_id: AccountId,
    /// The licences it bought, if any.
    pub batch_id: Option<BatchId>,
    /// The provider, e.g. `alipay`.
    pub provider: String,
    /// The provider's number of the payment.
    pub provider_order_id: String,
    /// In minor units of the currency.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// When it was paid, as the provider says.
    pub paid_at: DateTime<Utc>,
    /// How much was paid back, in minor units of the currency.
    pub refunded_amount: i64,
    /// When the last part was paid back, as the provider says.
    pub refunded_at: Option<DateTime<Utc>>,
    /// In how many parts it was paid back.
    pub refunds: i64,
    /// The provider's number of the last refund that has one.
    pub provider_refund_id: Option<String>,
    /// Why, of the last refund that says so.
    pub refund_reason: Option<String>,
    /// When the payment was recorded.
    pub recorded_at: DateTime<Utc>,
    /// The sequence of its last event.
    pub sequence: u64,
    /// Where the payment stands in the log.
    pub position: u64,
}

impl Order {
    /// Where it stands; the same rule as `domain::order::Order::status`.
    #[must_use]
    pub fn status(&self) -> OrderStatus {
        match self.refunded_amount {
            0 => OrderStatus::Paid,
            all if all == self.amount => OrderStatus::Refunded,
            _ => OrderStatus::PartlyRefunded,
        }
    }
}

struct Paid {
    id: Uuid,
    tenant: Uuid,
    payment: Payment,
    recorded_at: DateTime<Utc>,
    position: i64,
}

/// What the refunds of a run changed in one order.
#[derive(Default)]
struct Change {
    amount: i64,
    refunds: i64,
    refunded_at: Option<DateTime<Utc>>,
    provider_refund_id: Option<String>,
    reason: Option<String>,
    sequence: i64,
}

/// What a run of events means for orders: payments first, then the refunds of them and of earlier ones.
#[derive(Default)]
pub struct OrderRows {
    paid: Vec<Paid>,
    changed: HashMap<Uuid, Change>,
}

impl Projection for Orders {
    type Rows = OrderRows;

    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static str {
        TABLES
    }

    fn views(&self) -> &'static [&'static str] {
        &["orders"]
    }

    fn concerns(&self, aggregate_type: &str) -> bool {
        aggregate_type == "Order"
    }

    fn fold(&self, rows: &mut OrderRows, recorded: &RecordedEvent, event: &Event) {
        let Event::Order(event) = event else { return };
        match event {
            OrderEvent::OrderPaid(payment) => rows.paid.push(Paid {
                id: recorded.aggregate_id,
                tenant: recorded.tenant_id.0,
                payment: payment.clone(),
                recorded_at: recorded.recorded_at,
                position: recorded.position.cast_signed(),
            }),
            OrderEvent::OrderRefunded(refund) => {
                let change = rows.changed.entry(recorded.aggregate_id).or_default();
                change.amount += refund.amount.0.minor_units();
                change.refunds += 1;
                change.refunded_at = Some(refund.refunded_at);
                let text = |text: &String| storable(text).into_owned();
                change.provider_refund_id =
                    refund.provider_refund_id.as_ref().map(text).or(change.provider_refund_id.take());
                change.reason = refund.reason.as_ref().map(text).or(change.reason.take());
                change.sequence = recorded.sequence.cast_signed();
            }
        }
    }

    async fn write(&self, rows: OrderRows, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        write_paid(rows.paid, connection).await?;
        write_changed(rows.changed, connection).await
    }
}

async fn write_paid(paid: Vec<Paid>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if paid.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into orders (order_id, tenant_id, agent_id, batch_id, provider, provider_order_id, amount, currency,
                             paid_at, refunded_amount, refunds, recorded_at, sequence, position)
         select n.id, n.tenant, n.agent, n.batch, n.provider, n.number, n.amount, n.currency, n.paid_at, 0, 0,
                n.recorded_at, 1, n.position
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::bigint[], $8::text[],
                     $9::timestamptz[], $10::timestamptz[], $11::bigint[])
              as n (id, tenant, agent, batch, provider, number, amount, currency, paid_at, recorded_at, position)",
    )
    .bind(paid.iter().map(|row| row.id).collect::<Vec<_>>())
    .bind(paid.iter().map(|row| row.tenant).collect::<Vec<_>>())
    .bind(paid.iter().map(|row| row.payment.agent_id.0).collect::<Vec<_>>())
    .bind(paid.iter().map(|row| row.payment.batch_id.map(|batch| batch.0)).collect::<Vec<_>>())
    .bind(paid.iter().map(|row| row.payment.provider.as_str()).collect::<Vec<_>>())
    .bind(paid.iter().map(|row| storable(&row.payment.provider_order_id).into_owned()).collect::<Vec<_>>())
    .bind(paid.iter().map(|row| row.payment.amount.0.minor_units()).collect::<Vec<_>>())
    .bind(paid.iter().map(|row| row.payment.currency.as_str()).collect::<Vec<_>>())
    .bind(paid.iter().map(|row| row.payment.paid_at).collect::<Vec<_>>())
    .bind(paid.iter().map(|row| row.recorded_at).collect::<Vec<_>>())
    .bind(paid.iter().map(|row| row.position).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_changed(changed: HashMap<Uuid, Change>, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if changed.is_empty() {
        return Ok(());
    }
    let changed: Vec<_> = changed.into_iter().collect();
    let done = sqlx::query(
        "update orders o
         set refunded_amount = o.refunded_amount + n.amount, refunds = o.refunds + n.refunds,
             refunded_at = n.refunded_at, provider_refund_id = coalesce(n.number, o.provider_refund_id),
             refund_reason = coalesce(n.reason, o.refund_reason), sequence = n.sequence
         from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[], $7::bigint[])
              as n (id, amount, refunds, refunded_at, number, reason, sequence)
         where o.order_id = n.id",
    )
    .bind(changed.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, row)| row.amount).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, row)| row.refunds).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, row)| row.refunded_at).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, row)| row.provider_refund_id.as_deref()).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, row)| row.reason.as_deref()).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, row)| row.sequence).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    expect_rows("orders", &done, changed.len())
}

const COLUMNS: &str = "o.order_id, o.tenant_id, o.agent_id, o.batch_id, o.provider, o.provider_order_id, o.amount, \
    o.currency, o.paid_at, o.refunded_amount, o.refunded_at, o.refunds, o.provider_refund_id, o.refund_reason, \
    o.recorded_at, o.sequence, o.position";

fn read(row: &PgRow) -> Result<Order, sqlx::Error> {
    Ok(Order {
        order_id: OrderId(row.try_get("order_id")?),
        tenant_id: TenantId(row.try_get("tenant_id")?),
        agent_id: AccountId(row.try_get("agent_id")?),
        batch_id: row.try_get::<Option<Uuid>, _>("batch_id")?.map(BatchId),
        provider: row.try_get("provider")?,
        provider_order_id: row.try_get("provider_order_id")?,
        amount: row.try_get("amount")?,
        currency: row.try_get("currency")?,
        paid_at: row.try_get("paid_at")?,
        refunded_amount: row.try_get("refunded_amount")?,
        refunded_at: row.try_get("refunded_at")?,
        refunds: row.try_get("refunds")?,
        provider_refund_id: row.try_get("provider_refund_id")?,
        refund_reason: row.try_get("refund_reason")?,
        recorded_at: row.try_get("recorded_at")?,
        sequence: row.try_get::<i64, _>("sequence")?.cast_unsigned(),
        position: row.try_get::<i64, _>("position")?.cast_unsigned(),
    })
}

/// What orders are narrowed to.
#[derive(Clone, Debug, Default)]
pub struct OrderFilter {
    /// One provider only.
    pub provider: Option<String>,
    /// One status only.
    pub status: Option<OrderStatus>,
    /// Paid at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Paid before this time.
    pub to: Option<DateTime<Utc>>,
    /// One agent only.
    pub agent_id: Option<AccountId>,
    /// One batch only.
    pub batch_id: Option<BatchId>,
}

impl OrderFilter {
    fn push(&self, query: &mut QueryBuilder<'_, Postgres>) {
        if let Some(provider) = &self.provider {
            query.push(" and o.provider = ").push_bind(provider.clone());
        }
        match self.status {
            None => {}
            Some(OrderStatus::Paid) => {
                query.push(" and o.refunded_amount = 0");
            }
            Some(OrderStatus::PartlyRefunded) => {
                query.push(" and o.refunded_amount > 0 and o.refunded_amount < o.amount");
            }
            Some(OrderStatus::Refunded) => {
                query.push(" and o.refunded_amount = o.amount");
            }
        }
        if let Some(from) = self.from {
            query.push(" and o.paid_at >= ").push_bind(from);
        }
        if let Some(to) = self.to {
            query.push(" and o.paid_at < ").push_bind(to);
        }
        if let Some(agent) = self.agent_id {
            query.push(" and o.agent_id = ").push_bind(agent.0);
        }
        if let Some(batch) = self.batch_id {
            query.push(" and o.batch_id = ").push_bind(batch.0);
        }
    }
}

/// An order, if `actor` may see its agent. Visibility also reads the read model `accounts`.
///
/// # Errors
/// If the database refuses.
pub async fn get(db: impl PgExecutor<'_>, actor: &Actor, id: OrderId) -> Result<Option<Order>, sqlx::Error> {
    let mut query = QueryBuilder::<Postgres>::new(format!("select {COLUMNS} from read.orders o where "));
    push_visible(&mut query, actor, "o");
    query.push(" and o.order_id = ").push_bind(id.0);
    query.build().fetch_optional(db).await?.as_ref().map(read).transpose()
}

/// The orders of the agents that `actor` may see, the last paid first.
///
/// # Errors
/// [`PageError`] if the cursor is wrong or the database refuses.
pub async fn list(
    db: impl PgExecutor<'_>,
    actor: &Actor,
    filter: &OrderFilter,
    request: &PageRequest,
) -> Result<Page<Order>, PageError> {
    let mut query = QueryBuilder::<Postgres>::new(format!("select {COLUMNS} from read.orders o where "));
    push_visible(&mut query, actor, "o");
    filter.push(&mut query);
    if let Some((paid_at, position)) = request.after::<(DateTime<Utc>, i64)>()? {
        query.push(" and (o.paid_at, o.position) < (").push_bind(paid_at).push(", ").push_bind(position).push(")");
    }
    query.push(" order by o.paid_at desc, o.position desc limit ").push_bind(request.fetch());
    let rows = query.build().fetch_all(db).await?;
    let found = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(request.page(found, |order| (order.paid_at, order.position)))
}

/// Which orders a bill of a provider is compared with.
#[derive(Clone, Debug)]
pub struct Billed {
    /// The provider.
    pub provider: String,
    /// Paid at this time or later.
    pub from: DateTime<Utc>,
    /// Paid before this time.
    pub to: DateTime<Utc>,
}

const BILLED: &str = "select order_id, tenant_id, agent_id, batch_id, provider, provider_order_id, amount, currency,
    paid_at, refunded_amount, refunded_at, refunds, provider_refund_id, refund_reason, recorded_at, sequence, position
    from read.orders where tenant_id = $1 and provider = $2 and paid_at >= $3 and paid_at < $4
    order by paid_at, position";

/// All orders of a provider and period, the first paid first, one after another from the database: however many there
/// are, few are in memory at a time.
pub fn stream<'db>(
    db: impl PgExecutor<'db> + 'db,
    tenant: TenantId,
    billed: Billed,
) -> BoxStream<'db, Result<Order, sqlx::Error>> {
    let Billed { provider, from, to } = billed;
    let rows = sqlx::query(BILLED).bind(tenant.0).bind(provider).bind(from).bind(to).fetch(db);
    rows.map(|row| row.and_then(|row| read(&row))).boxed()
}
