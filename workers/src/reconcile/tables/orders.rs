//! Orders: what was paid, what was paid back, and what each says in words.

use hashbrown::HashMap;
use quotary_audit::replay::{OrderStanding, OrderTexts, fingerprint};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Side, differ};
use crate::reconcile::compare::Differences;
use crate::reconcile::proof::Proof;
use crate::reconcile::read_log::{ReadError, rows};

const ROWS: &str = "copy (select order_id, tenant_id, agent_id, batch_id, provider, provider_order_id, amount, currency, \
    paid_at, refunded_amount, refunded_at, refunds, provider_refund_id, refund_reason, recorded_at, sequence, position \
    from read.orders) to stdout (format binary)";

/// Compares every order.
pub(super) async fn compare(
    connection: &mut PgConnection,
    proof: &Proof,
    found: &mut Differences,
) -> Result<(), ReadError> {
    let mut ours: HashMap<Uuid, OrderStanding> = proof.replay.orders().map(|order| (order.order_id, order)).collect();
    rows(connection, ROWS, 17, |row| {
        let theirs = OrderStanding {
            tenant_id: row.uuid(1)?,
            order_id: row.uuid(0)?,
            amount: row.int8(6)?.cast_unsigned(),
            refunded: Some(row.int8(9)?.cast_unsigned()).filter(|refunded| *refunded > 0),
            batch_id: row.uuid_or_null(3)?,
            agent_id: row.uuid(2)?,
            paid_at: row.time(8)?,
            recorded_at: row.time(14)?,
            refunds: row.int8(11)?.cast_unsigned(),
            refunded_at: row.bytes(10).map(|_| row.time(10)).transpose()?,
            texts: OrderTexts {
                provider: fingerprint(row.text(4)?),
                number: fingerprint(row.text(5)?),
                currency: fingerprint(row.text(7)?),
                refund_number: row.text_or_null(12)?.map(fingerprint),
                refund_reason: row.text_or_null(13)?.map(fingerprint),
            },
            sequence: row.int8(15)?.cast_unsigned(),
            position: row.int8(16)?.cast_unsigned(),
        };
        let known = ours.remove(&theirs.order_id).as_ref().map(side);
        differ("orders", &theirs.order_id.to_string(), known.as_ref(), Some(&side(&theirs)), found);
        Ok(())
    })
    .await?;
    for (id, standing) in &ours {
        differ("orders", &id.to_string(), Some(&side(standing)), None, found);
    }
    Ok(())
}

fn side(order: &OrderStanding) -> Side<'static> {
    let (refunded, rest) = (order.refunded.unwrap_or(0), rest(order));
    Side {
        tenant: order.tenant_id,
        text: format!("{refunded} of {} paid back in {} parts, {rest}", order.amount, order.refunds),
        amount: Some(i128::from(order.amount) - i128::from(refunded)),
        rest: rest.into(),
    }
}

/// All but the amounts. Texts are shown by the beginning of their fingerprints, since the replay keeps no others.
fn rest(order: &OrderStanding) -> String {
    let short = |text: [u8; 16]| u32::from_be_bytes([text[0], text[1], text[2], text[3]]);
    let or_none =
        |text: Option<[u8; 16]>| text.map_or_else(|| "none".to_owned(), |text| format!("{:08x}", short(text)));
    let OrderTexts { provider, number, currency, refund_number, refund_reason } = order.texts;
    format!(
        "for {}, batch {}, paid at {} us, recorded at {} us, last paid back at {} us, event {}, position {}; digests: provider \
         {:08x}, number {:08x}, currency {:08x}, refund {}, reason {}",
        order.agent_id,
        order.batch_id.unwrap_or_default(),
        order.paid_at,
        order.recorded_at,
        order.refunded_at.unwrap_or_default(),
        order.sequence,
        order.position,
        short(provider),
        short(number),
        short(currency),
        or_none(refund_number),
        or_none(refund_reason),
    )
}
