//! Seconds for the reconciliation of 100,000 orders with a bill in Alipay's format, from bytes to report.
//!
//! What must always hold: the measurement fails unless exactly the injected differences were found, each in its class, and
//! the report of a second run is equal.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use chrono::{DateTime, FixedOffset, TimeDelta};
use quotary_audit::bill::provided;
use quotary_audit::external::{Comparison, Orders, compare};
use quotary_audit::matching::{Class, Options, Rule};

use super::report::{Line, Report};
use super::scene::Failure;

/// How many orders there are.
const ORDERS: u64 = 100_000;
/// One deal of so many has a difference.
const ONE_OF: u64 = 40;

/// What is wrong with a deal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Injected {
    MissingHere,
    MissingThere,
    Amount,
    State,
    PaidTwice,
    BookedTwice,
    NumberReused,
    SeveralPossible,
    NotPaid,
    InParts,
}

const INJECTED: [Injected; 10] = [
    Injected::MissingHere,
    Injected::MissingThere,
    Injected::Amount,
    Injected::State,
    Injected::PaidTwice,
    Injected::BookedTwice,
    Injected::NumberReused,
    Injected::SeveralPossible,
    Injected::NotPaid,
    Injected::InParts,
];

/// Both files as text, and which classes they were made to have.
#[derive(Default)]
pub struct Generated {
    rows: String,
    orders: String,
    order_count: u64,
    sales: (u64, i64),
    refunds: (u64, i64),
    expected: BTreeMap<Class, u64>,
}

/// A line of the bill.
struct Paid<'p> {
    n: u64,
    part: &'p str,
    order: &'p str,
    fen: i64,
    refund: bool,
}

impl Generated {
    /// Deals until there are `orders` orders.
    ///
    /// # Errors
    /// Never: writing to a string can't fail.
    pub fn new(orders: u64) -> Result<Self, std::fmt::Error> {
        let mut world = Self::default();
        world.orders.push_str("id,provider_id,payment_id,reference,kind,amount_minor,currency,state,time\n");
        let mut n = 0;
        while world.order_count < orders {
            let fen = 100 + i64::try_from(n * 7_919 % 1_000_003).unwrap_or_default();
            let left = orders - world.order_count;
            match INJECTED[usize::try_from(n / ONE_OF).unwrap_or_default() % INJECTED.len()] {
                // The last deals add as many orders as are asked for.
                injected if n.is_multiple_of(ONE_OF) && left > 2 => world.inject(n, fen, injected)?,
                _ => world.agree(n, fen)?,
            }
            n += 1;
        }
        Ok(world)
    }

    /// A deal on which both sides agree; every ninth is a refund.
    fn agree(&mut self, n: u64, fen: i64) -> std::fmt::Result {
        let (refund, order) = (n.is_multiple_of(9), format!("Q{n:09}"));
        self.expect(Class::Matched, 2);
        self.paid(&Paid { n, part: "", order: &order, fen, refund })?;
        self.order(n, &order, "", fen, "completed", if refund { "refund" } else { "sale" })
    }

    fn inject(&mut self, n: u64, fen: i64, injected: Injected) -> std::fmt::Result {
        let order = &*format!("Q{n:09}");
        let paid = Paid { n, part: "", order, fen, refund: false };
        match injected {
            Injected::MissingHere => {
                self.expect(Class::MissingHere, 1);
                self.paid(&paid)
            }
            Injected::MissingThere => {
                self.expect(Class::MissingThere, 1);
                self.order(n, order, "", fen, "completed", "sale")
            }
            Injected::Amount => {
                self.expect(Class::DifferentAmount, 2);
                self.paid(&paid)?;
                self.order(n, order, "", fen - 1, "completed", "sale")
            }
            Injected::State => {
                self.expect(Class::DifferentState, 2);
                self.paid(&paid)?;
                self.order(n, order, "", fen, "pending", "sale")
            }
            Injected::PaidTwice => {
                self.expect(Class::Matched, 2);
                self.expect(Class::DuplicateThere, 1);
                self.paid(&paid)?;
                self.paid(&Paid { part: "2", ..paid })?;
                self.order(n, order, "", fen, "completed", "sale")
            }
            Injected::BookedTwice => {
                self.expect(Class::Matched, 2);
                self.expect(Class::DuplicateHere, 1);
                self.paid(&paid)?;
                self.order(n, order, "", fen, "completed", "sale")?;
                self.order(n, &format!("{order}B"), &trade(n, ""), fen, "completed", "sale")
            }
            Injected::NumberReused => {
                self.expect(Class::Ambiguous, 3);
                self.paid(&paid)?;
                self.paid(&Paid { fen: fen + 1, ..paid })?;
                self.order(n, order, "", fen, "completed", "sale")
            }
            Injected::SeveralPossible => {
                // Without numbers and with an amount that nothing else has.
                self.expect(Class::Ambiguous, 3);
                let alone = 5_000_000 + i64::try_from(n).unwrap_or_default();
                self.paid(&Paid { order: "", fen: alone, ..paid })?;
                self.order(n, order, "", alone, "completed", "sale")?;
                self.order(n, &format!("{order}B"), "", alone, "completed", "sale")
            }
            Injected::NotPaid => {
                self.expect(Class::NotDue, 1);
                self.order(n, order, "", fen, "failed", "sale")
            }
            Injected::InParts => {
                self.expect(Class::Matched, 3);
                self.paid(&paid)?;
                self.paid(&Paid { part: "2", fen: 17, ..paid })?;
                self.order(n, order, "", fen + 17, "completed", "sale")
            }
        }
    }

    fn expect(&mut self, class: Class, items: u64) {
        *self.expected.entry(class).or_default() += items;
    }

    fn paid(&mut self, paid: &Paid<'_>) -> std::fmt::Result {
        let Paid { n, part, order, fen, refund } = *paid;
        let sums = if refund { &mut self.refunds } else { &mut self.sales };
        *sums = (sums.0 + 1, sums.1 + fen);
        let (sign, kind, number) = if refund { ("-", "退款", order) } else { ("", "交易", "") };
        let at = local(n).format("%Y-%m-%d %H:%M:%S");
        let yuan = format!("{sign}{}.{:02}", fen / 100, fen % 100);
        // A refund's row has the order that is refunded; our number of the refund stands beside it.
        let shop = if refund { format!("S{n:09}") } else { order.to_owned() };
        let trade = trade(n, part);
        writeln!(
            self.rows,
            "{trade}\t,{shop}\t,{kind}\t,软件许可证 一年,{at},{at}, , , , ,**明(138****0000)\t,{yuan},{yuan},0.00,0.00,0.00,\
             0.00,0.00,,0.00,0.00,{number}\t,0.00,0.00,\r"
        )
    }

    fn order(&mut self, n: u64, id: &str, provider: &str, fen: i64, state: &str, kind: &str) -> std::fmt::Result {
        self.order_count += 1;
        let at = (local(n) - TimeDelta::seconds(20)).to_rfc3339();
        writeln!(self.orders, "{id},{provider},,,{kind},{fen},CNY,{state},{at}")
    }

    /// The bill's bytes in GBK, and our orders'.
    ///
    /// # Errors
    /// If a character has no place in GBK.
    pub fn files(&self) -> Result<(Vec<u8>, Vec<u8>), Failure> {
        let yuan = |fen: i64| format!("{}.{:02}", fen / 100, fen % 100);
        let text = format!(
            "#支付宝业务明细查询\r\n#账号：[20881234567890120156]\r\n\
             #起始日期：[2026年07月22日 00:00:00]   终止日期：[2026年07月23日 00:00:00]\r\n\
             #-----------------------------------------业务明细列表----------------------------------------\r\n\
             支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,\
             商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,\
             商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注\r\n{rows}\
             #-----------------------------------------业务明细列表结束------------------------------------\r\n\
             #交易合计：{}笔，商家实收共{}元，商家优惠共0.00元\r\n\
             #退款合计：{}笔，商家实收退款共{}{}元，商家优惠退款共0.00元\r\n#导出时间：[2026年07月23日 06:27:10]\r\n",
            self.sales.0,
            yuan(self.sales.1),
            self.refunds.0,
            if self.refunds.1 > 0 { "-" } else { "" },
            yuan(self.refunds.1),
            rows = self.rows,
        );
        let (bytes, _, lost) = encoding_rs::GBK.encode(&text);
        if lost {
            return Err("a character of the bill has no place in GBK".into());
        }
        Ok((bytes.into_owned(), self.orders.clone().into_bytes()))
    }

    /// Fails unless what was found is what was injected.
    ///
    /// # Errors
    /// With both, if they differ.
    pub fn check(&self, compared: &Comparison) -> Result<(), Failure> {
        let totals = &compared.matching.totals;
        let counts = Class::ALL.into_iter().map(|class| (class, totals.items_of(class)));
        let found: BTreeMap<Class, u64> = counts.filter(|(_, count)| *count > 0).collect();
        if found == self.expected {
            Ok(())
        } else {
            Err(format!("injected {:?}, found {found:?}", self.expected).into())
        }
    }
}

fn trade(n: u64, part: &str) -> String {
    format!("20260722{n:020}{part}")
}

/// A deal's time: they are spread over the day.
fn local(n: u64) -> DateTime<FixedOffset> {
    let midnight = DateTime::from_timestamp(1_784_649_600, 0).unwrap_or_default();
    let second = i64::try_from(n * 86_000 / (2 * ORDERS)).unwrap_or_default();
    let shanghai =
        FixedOffset::east_opt(8 * 3600).unwrap_or_else(|| FixedOffset::east_opt(0).expect("zero is in range"));
    (midnight + TimeDelta::seconds(second)).with_timezone(&shanghai)
}

fn compared(bill: &[u8], orders: &[u8]) -> Result<(Comparison, Vec<u8>), Failure> {
    let mapping = provided("orders").ok_or("there is no mapping of orders")??;
    let alipay = quotary_audit::bill::PROVIDED.iter().find(|(name, _)| *name == "alipay").ok_or("no mapping")?.1;
    let options = Options { rules: vec![Rule { tolerance: 0, days: 1 }], ..Options::default() };
    let compared = compare(alipay, bill, Orders::from_file(&mapping, orders)?, options)?;
    let mut report = vec![];
    compared.report().write_json(&mut report)?;
    Ok((compared, report))
}

/// Measures reading, matching and writing the report.
///
/// # Errors
/// If a difference was not found or invented, or a second run has another report.
pub fn measure(report: &mut Report) -> Result<(), Failure> {
    let generated = Generated::new(ORDERS)?;
    let (bill, orders) = generated.files()?;
    let start = Instant::now();
    let (first, written) = compared(&bill, &orders)?;
    let took = start.elapsed().as_secs_f64();
    generated.check(&first)?;
    if compared(&bill, &orders)?.1 != written {
        return Err("a second run has another report".into());
    }
    let differences: u64 = generated.expected.iter().filter(|(class, _)| class.is_difference()).map(|(_, n)| n).sum();
    let note = format!(
        "{} orders against {} lines in GBK, {differences} injected lines and orders of all classes found, none invented; \
         report of {} bytes, equal in a second run",
        generated.order_count,
        generated.sales.0 + generated.refunds.0,
        written.len(),
    );
    report.add(Line::plain("reconcile_external_100k", "s", took, note))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_injected_differences_are_found_in_a_generated_bill() {
        let generated = Generated::new(4_000).unwrap();
        assert_eq!(generated.order_count, 4_000);
        assert_eq!(generated.expected.len(), Class::ALL.len());
        let (bill, orders) = generated.files().unwrap();
        generated.check(&compared(&bill, &orders).unwrap().0).unwrap();
    }
}
