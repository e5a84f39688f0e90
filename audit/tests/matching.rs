//! Bills and orders with injected differences of every class: all are found, none is invented.
//!
//! What always holds, for any mix of differences and any order of the input: every line and order is in exactly one
//! finding, the classes add up to both sides, and the report is the same to the byte.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use quotary_audit::bill::{Accounting, Encoding};
use quotary_audit::item::{Currency, Item, Kind, State};
use quotary_audit::matching::{
    Basis, Class, Inputs, KeptHead, Matching, MatchingError, Options, Period, Reason, Report, Rule, reconcile, rows_of,
};

/// A payment at minute `n` of the period.
fn item(n: usize, id: &str, other: Option<&str>, amount: i64) -> Item {
    Item {
        kind: Kind::Sale,
        id: id.to_owned(),
        at: start() + TimeDelta::minutes(i64::try_from(n).unwrap()),
        place: n as u64,
        other_id: other.map(str::to_owned),
        payment: None,
        group: None,
        amount,
        currency: Currency::parse("CNY").unwrap(),
        state: State::Completed,
        fee: None,
    }
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_782_864_000, 0).unwrap()
}

fn in_group(item: Item, group: &str) -> Item {
    Item { group: Some(group.to_owned()), ..item }
}

#[test]
fn refunds_without_a_number_are_matched_by_the_payment_that_they_are_of() {
    let refund = |item: Item, payment: &str| Item { kind: Kind::Refund, payment: Some(payment.to_owned()), ..item };
    expect(
        &[
            refund(item(1, "P1/R1", Some("ours"), 30), "P1"),
            refund(item(2, "P1/R2", None, 20), "P1"),
            refund(item(3, "P3/R3", None, 5), "P3"),
            refund(item(4, "P3/R4", None, 6), "P3"),
        ],
        &[
            refund(item(1, "A1/1", None, 50), "P1"),
            refund(item(3, "A3/1", Some("P3/R4"), 6), "P3"),
            refund(item(4, "A3/2", None, 7), "P3"),
        ],
        &[
            ("line P1/R1", Class::Matched, Some(Reason::SumsAgree)),
            ("line P1/R2", Class::Matched, Some(Reason::SumsAgree)),
            ("order A1/1", Class::Matched, Some(Reason::SumsAgree)),
            ("line P3/R4", Class::Matched, None),
            ("order A3/1", Class::Matched, None),
            ("line P3/R3", Class::DifferentAmount, None),
            ("order A3/2", Class::DifferentAmount, None),
        ],
    );
}

fn options() -> Options {
    Options { rules: vec![Rule { tolerance: 0, days: 1 }], ..Options::default() }
}

/// By side and number of each item, its class and reason.
fn classes(matching: &Matching) -> Vec<(String, Class, Option<Reason>)> {
    let mut found = vec![];
    for finding in &matching.findings {
        let lines = finding.lines.iter().map(|place| format!("line {}", matching.lines[*place].id));
        let orders = finding.orders.iter().map(|place| format!("order {}", matching.orders[*place].id));
        found.extend(lines.chain(orders).map(|name| (name, finding.class, finding.reason)));
    }
    found.sort();
    found
}

fn expect(lines: &[Item], orders: &[Item], expected: &[(&str, Class, Option<Reason>)]) -> Matching {
    let matching = reconcile(lines.to_vec(), orders.to_vec(), &options()).unwrap();
    let mut expected: Vec<_> =
        expected.iter().map(|(name, class, reason)| ((*name).to_owned(), *class, *reason)).collect();
    expected.sort();
    assert_eq!(classes(&matching), expected);
    matching
}

#[test]
fn a_pair_is_matched_by_either_sides_number() {
    expect(
        &[item(1, "P1", Some("A1"), 500), item(2, "P2", None, 700)],
        &[item(1, "A1", None, 500), item(2, "A2", Some("P2"), 700)],
        &[
            ("line P1", Class::Matched, None),
            ("order A1", Class::Matched, None),
            ("line P2", Class::Matched, None),
            ("order A2", Class::Matched, None),
        ],
    );
}

#[test]
fn what_one_side_lacks_is_missing_there() {
    expect(
        &[item(1, "P1", Some("A9"), 500)],
        &[item(1, "A1", Some("P9"), 500)],
        &[("line P1", Class::MissingHere, None), ("order A1", Class::MissingThere, None)],
    );
}

#[test]
fn amount_goes_before_state_and_currency_is_part_of_the_amount() {
    let pending = |item| Item { state: State::Pending, ..item };
    let dollars = Item { currency: Currency::parse("USD").unwrap(), ..item(3, "P3", Some("A3"), 500) };
    let matching = expect(
        &[item(1, "P1", Some("A1"), 500), item(2, "P2", Some("A2"), 500), dollars],
        &[pending(item(1, "A1", None, 499)), pending(item(2, "A2", None, 500)), item(3, "A3", None, 500)],
        &[
            ("line P1", Class::DifferentAmount, None),
            ("order A1", Class::DifferentAmount, None),
            ("line P2", Class::DifferentState, None),
            ("order A2", Class::DifferentState, None),
            ("line P3", Class::DifferentAmount, Some(Reason::Currency)),
            ("order A3", Class::DifferentAmount, Some(Reason::Currency)),
        ],
    );
    let differences: Vec<_> = matching.findings.iter().map(|finding| finding.difference).collect();
    assert_eq!(differences, [Some(1), None, Some(0)]);
}

#[test]
fn a_refund_is_never_taken_for_a_payment() {
    let refund = Item { kind: Kind::Refund, ..item(1, "P1", Some("A1"), 500) };
    expect(
        &[refund],
        &[item(1, "A1", None, 500)],
        &[("line P1", Class::MissingHere, None), ("order A1", Class::MissingThere, None)],
    );
}

#[test]
fn an_order_paid_in_parts_and_a_payment_of_several_orders_are_matched() {
    let together = in_group(item(3, "P3", None, 900), "S1");
    expect(
        &[item(1, "P1", Some("A1"), 300), item(2, "P2", Some("A1"), 200), together],
        &[item(1, "A1", None, 500), in_group(item(3, "A3", None, 400), "S1"), in_group(item(4, "A4", None, 500), "S1")],
        &[
            ("line P1", Class::Matched, Some(Reason::SumsAgree)),
            ("line P2", Class::Matched, Some(Reason::SumsAgree)),
            ("order A1", Class::Matched, Some(Reason::SumsAgree)),
            ("line P3", Class::Matched, Some(Reason::SumsAgree)),
            ("order A3", Class::Matched, Some(Reason::SumsAgree)),
            ("order A4", Class::Matched, Some(Reason::SumsAgree)),
        ],
    );
}

#[test]
fn parts_that_do_not_add_up_are_a_different_amount() {
    let matching = expect(
        &[item(1, "P1", Some("A1"), 300), item(2, "P2", Some("A1"), 100), in_group(item(3, "P3", None, 900), "S1")],
        &[item(1, "A1", None, 500), in_group(item(3, "A3", None, 400), "S1"), in_group(item(4, "A4", None, 499), "S1")],
        &[
            ("line P1", Class::DifferentAmount, Some(Reason::SumsDiffer)),
            ("line P2", Class::DifferentAmount, Some(Reason::SumsDiffer)),
            ("order A1", Class::DifferentAmount, Some(Reason::SumsDiffer)),
            ("line P3", Class::DifferentAmount, Some(Reason::SumsDiffer)),
            ("order A3", Class::DifferentAmount, Some(Reason::SumsDiffer)),
            ("order A4", Class::DifferentAmount, Some(Reason::SumsDiffer)),
        ],
    );
    let differences: Vec<_> = matching.findings.iter().map(|finding| finding.difference).collect();
    assert_eq!(differences, [Some(-100), Some(1)]);
}

#[test]
fn an_order_paid_twice_is_matched_once_by_the_payment_that_we_recorded() {
    expect(
        &[
            item(1, "P1", Some("A1"), 500),
            item(2, "P2", Some("A1"), 500),
            item(3, "P3", Some("A3"), 10),
            item(4, "P4", Some("A3"), 10),
        ],
        &[item(1, "A1", Some("P2"), 500), item(3, "A3", None, 10)],
        &[
            ("line P1", Class::DuplicateThere, Some(Reason::PaidTwice)),
            ("line P2", Class::Matched, None),
            ("order A1", Class::Matched, None),
            ("line P3", Class::Matched, None),
            ("order A3", Class::Matched, None),
            ("line P4", Class::DuplicateThere, Some(Reason::PaidTwice)),
        ],
    );
}

#[test]
fn a_payment_booked_twice_is_matched_once_by_the_order_that_the_provider_names() {
    expect(
        &[item(1, "P1", Some("A2"), 500)],
        &[item(1, "A1", Some("P1"), 500), item(2, "A2", Some("P1"), 500)],
        &[
            ("order A1", Class::DuplicateHere, Some(Reason::BookedTwice)),
            ("line P1", Class::Matched, None),
            ("order A2", Class::Matched, None),
        ],
    );
}

#[test]
fn a_line_that_is_there_twice_is_a_duplicate_and_one_number_with_two_contents_is_ambiguous() {
    let again = Item { place: 7, ..item(1, "P1", Some("A1"), 500) };
    expect(
        &[item(1, "P1", Some("A1"), 500), again, item(2, "P2", Some("A2"), 700), item(3, "P2", Some("A2"), 701)],
        &[item(1, "A1", None, 500), item(2, "A2", None, 700)],
        &[
            ("line P1", Class::Matched, None),
            ("line P1", Class::DuplicateThere, Some(Reason::SameNumber)),
            ("order A1", Class::Matched, None),
            ("line P2", Class::Ambiguous, Some(Reason::NumberReused)),
            ("line P2", Class::Ambiguous, Some(Reason::NumberReused)),
            ("order A2", Class::Ambiguous, Some(Reason::NumberReused)),
        ],
    );
}

#[test]
fn what_can_only_be_untangled_by_guessing_is_ambiguous() {
    expect(
        &[
            item(1, "P1", Some("A1"), 500),
            item(2, "P2", Some("A1"), 30),
            item(3, "P3", Some("A3"), 5),
            item(4, "P4", Some("A3"), 6),
        ],
        &[item(1, "A1", None, 500), item(3, "A3", None, 5), item(4, "A4", Some("P4"), 6)],
        &[
            ("line P1", Class::Ambiguous, Some(Reason::Tangled)),
            ("line P2", Class::Ambiguous, Some(Reason::Tangled)),
            ("order A1", Class::Ambiguous, Some(Reason::Tangled)),
            ("line P3", Class::Ambiguous, Some(Reason::Tangled)),
            ("line P4", Class::Ambiguous, Some(Reason::Tangled)),
            ("order A3", Class::Ambiguous, Some(Reason::Tangled)),
            ("order A4", Class::Ambiguous, Some(Reason::Tangled)),
        ],
    );
}

#[test]
fn without_numbers_only_the_one_possible_pair_is_matched() {
    let matching = expect(
        &[item(1, "P1", None, 500), item(2, "P2", None, 700), item(3, "P3", None, 900), item(4, "P4", Some("A9"), 111)],
        &[
            item(9, "A1", None, 500),
            item(9, "A2", None, 700),
            item(10, "A3", None, 700),
            item(4000, "A4", None, 900),
            item(4, "A5", None, 111),
        ],
        &[
            ("line P1", Class::Matched, None),
            ("order A1", Class::Matched, None),
            ("line P2", Class::Ambiguous, Some(Reason::SeveralPossible)),
            ("order A2", Class::Ambiguous, Some(Reason::SeveralPossible)),
            ("order A3", Class::Ambiguous, Some(Reason::SeveralPossible)),
            // More than a day apart.
            ("line P3", Class::MissingHere, None),
            ("order A4", Class::MissingThere, None),
            // Its number is known and is not there; an order with the same amount is another one.
            ("line P4", Class::MissingHere, None),
            ("order A5", Class::MissingThere, None),
        ],
    );
    let line = matching.findings.iter().find(|finding| finding.key == "sale/line/P2").unwrap();
    assert_eq!(
        (line.candidates.as_slice(), line.basis),
        (["A2".to_owned(), "A3".to_owned()].as_slice(), Basis::Rule(1))
    );
}

#[test]
fn a_looser_rule_never_confirms_what_a_stricter_one_found_ambiguous() {
    let options = Options {
        rules: vec![Rule { tolerance: 0, days: 1 }, Rule { tolerance: 5, days: 3 }],
        tolerance: 1,
        period: None,
    };
    let lines = vec![item(1, "P1", None, 500), item(2, "P2", None, 803), item(3, "P3", Some("A5"), 1001)];
    let orders = vec![
        item(1, "A1", None, 500),
        item(2, "A2", None, 500),
        item(4000, "A3", None, 800),
        item(3, "A5", None, 1000),
    ];
    let matching = reconcile(lines, orders, &options).unwrap();
    let found = classes(&matching);
    let class = |name: &str| {
        found.iter().find(|(found, ..)| found == name).map(|(_, class, reason)| (*class, *reason)).unwrap()
    };
    assert_eq!(class("line P1"), (Class::Ambiguous, Some(Reason::SeveralPossible)));
    assert_eq!(class("order A2"), (Class::Ambiguous, Some(Reason::SeveralPossible)));
    assert_eq!(class("line P2"), (Class::Matched, Some(Reason::WithinTolerance)));
    assert_eq!(class("order A5"), (Class::Matched, Some(Reason::WithinTolerance)));
}

#[test]
fn outside_the_period_nothing_is_missing_but_partners_are_found() {
    let period = Period { from: start(), to: start() + TimeDelta::days(1) };
    let options = Options { period: Some(period), ..options() };
    let pending = Item { state: State::Pending, ..item(5, "A5", None, 50) };
    let lines = vec![item(1, "P1", Some("A1"), 500), item(3000, "P3", Some("A3"), 5)];
    let orders = vec![item(1441, "A1", None, 500), item(2000, "A2", None, 700), pending];
    let matching = reconcile(lines, orders, &options).unwrap();
    let expected = [
        ("line P1", Class::Matched, None),
        ("line P3", Class::NotDue, Some(Reason::OutsidePeriod)),
        ("order A1", Class::Matched, None),
        ("order A2", Class::NotDue, Some(Reason::OutsidePeriod)),
        ("order A5", Class::NotDue, Some(Reason::NotCompleted)),
    ];
    assert_eq!(classes(&matching), expected.map(|(name, class, reason)| (name.to_owned(), class, reason)));
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let none = || (vec![], vec![]);
    let refused = |options: Options| {
        let (lines, orders) = none();
        assert!(matches!(reconcile(lines, orders, &options), Err(MatchingError::Options(_))), "{options:?}");
    };
    refused(Options { tolerance: -1, ..Options::default() });
    refused(Options { tolerance: 1_001, ..Options::default() });
    refused(Options { rules: vec![Rule { tolerance: 0, days: 367 }], ..Options::default() });
    refused(Options { rules: vec![Rule { tolerance: 0, days: 1 }; 9], ..Options::default() });
    refused(Options { period: Some(Period { from: start(), to: start() }), ..Options::default() });
}

/// A difference to inject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Injected {
    Nothing,
    PartialPayments,
    CombinedPayment,
    ByAmountAndTime,
    MissingHere,
    MissingThere,
    Amount,
    State,
    PaidTwice,
    LineRepeated,
    BookedTwice,
    OrderRepeated,
    NumberReused,
    SeveralPossible,
    NotPaid,
}

const INJECTED: [Injected; 15] = [
    Injected::Nothing,
    Injected::PartialPayments,
    Injected::CombinedPayment,
    Injected::ByAmountAndTime,
    Injected::MissingHere,
    Injected::MissingThere,
    Injected::Amount,
    Injected::State,
    Injected::PaidTwice,
    Injected::LineRepeated,
    Injected::BookedTwice,
    Injected::OrderRepeated,
    Injected::NumberReused,
    Injected::SeveralPossible,
    Injected::NotPaid,
];

/// Both sides, and how many items of each class they were made to have.
#[derive(Debug, Default)]
struct World {
    lines: Vec<Item>,
    orders: Vec<Item>,
    expected: BTreeMap<Class, u64>,
}

impl World {
    fn expect(&mut self, class: Class, items: u64) {
        *self.expected.entry(class).or_default() += items;
    }

    /// Adds the `n`-th deal. Amounts of deals without numbers are far from all others.
    fn add(&mut self, n: usize, injected: Injected, amount: i64, kind: Kind) {
        let (line_id, order_id) = (format!("P{n}"), format!("A{n}"));
        let line = Item { kind, ..item(n, &line_id, Some(&order_id), amount) };
        let order = Item { kind, place: 100_000 + n as u64, ..item(n + 3, &order_id, None, amount) };
        let alone = 1_000_000_000 + i64::try_from(n).unwrap() * 10;
        match injected {
            Injected::Nothing => {
                self.expect(Class::Matched, 2);
                self.both([line], [order]);
            }
            Injected::PartialPayments => {
                self.expect(Class::Matched, 3);
                let rest = Item { id: format!("{line_id}b"), amount: 7, ..line.clone() };
                self.both([line, rest], [Item { amount: amount + 7, ..order }]);
            }
            Injected::CombinedPayment => {
                self.expect(Class::Matched, 3);
                let group = Some(format!("G{n}"));
                let second = Item { id: format!("{order_id}b"), group: group.clone(), amount: 9, ..order.clone() };
                let line = Item { other_id: None, group: group.clone(), amount: amount + 9, ..line };
                self.both([line], [Item { group, ..order }, second]);
            }
            Injected::ByAmountAndTime => {
                self.expect(Class::Matched, 2);
                self.both([Item { other_id: None, amount: alone, ..line }], [Item { amount: alone, ..order }]);
            }
            Injected::MissingHere => {
                self.expect(Class::MissingHere, 1);
                self.both([line], []);
            }
            Injected::MissingThere => {
                self.expect(Class::MissingThere, 1);
                self.both([], [Item { other_id: Some(line_id), ..order }]);
            }
            Injected::Amount => {
                self.expect(Class::DifferentAmount, 2);
                self.both([line], [Item { amount: amount + 1, ..order }]);
            }
            Injected::State => {
                self.expect(Class::DifferentState, 2);
                self.both([line], [Item { state: State::Pending, ..order }]);
            }
            Injected::PaidTwice => {
                self.expect(Class::Matched, 2);
                self.expect(Class::DuplicateThere, 1);
                let again = Item { id: format!("{line_id}b"), ..line.clone() };
                self.both([line, again], [order]);
            }
            Injected::LineRepeated => {
                self.expect(Class::Matched, 2);
                self.expect(Class::DuplicateThere, 1);
                self.both([line.clone(), Item { place: line.place + 50_000, ..line }], [order]);
            }
            Injected::BookedTwice => {
                self.expect(Class::Matched, 2);
                self.expect(Class::DuplicateHere, 1);
                let again = Item { id: format!("{order_id}b"), other_id: Some(line_id), ..order.clone() };
                self.both([line], [order, again]);
            }
            Injected::OrderRepeated => {
                self.expect(Class::Matched, 2);
                self.expect(Class::DuplicateHere, 1);
                self.both([line], [order.clone(), Item { place: order.place + 50_000, ..order }]);
            }
            Injected::NumberReused => {
                self.expect(Class::Ambiguous, 3);
                let other = Item { amount: amount + 1, ..line.clone() };
                self.both([line, other], [order]);
            }
            Injected::SeveralPossible => {
                self.expect(Class::Ambiguous, 3);
                let second = Item { id: format!("{order_id}b"), amount: alone, ..order.clone() };
                self.both([Item { other_id: None, amount: alone, ..line }], [Item { amount: alone, ..order }, second]);
            }
            Injected::NotPaid => {
                self.expect(Class::NotDue, 1);
                self.both([], [Item { state: State::Failed, other_id: Some(line_id), ..order }]);
            }
        }
    }

    fn both<const L: usize, const O: usize>(&mut self, lines: [Item; L], orders: [Item; O]) {
        self.lines.extend(lines);
        self.orders.extend(orders);
    }
}

fn worlds(most: usize) -> impl Strategy<Value = World> {
    let kind = prop::sample::select(vec![Kind::Sale, Kind::Refund]);
    let deal = (prop::sample::select(INJECTED.to_vec()), 1_i64..1_000_000, kind);
    prop::collection::vec(deal, 0..most).prop_map(|deals| {
        let mut world = World::default();
        for (n, (injected, amount, kind)) in deals.into_iter().enumerate() {
            world.add(n, injected, amount, kind);
        }
        world
    })
}

fn inputs() -> Inputs {
    Inputs {
        provider: "test".into(),
        bill_sha256: String::new(),
        mapping_sha256: String::new(),
        orders_sha256: String::new(),
        encoding: Encoding::Utf8,
        accounting: Accounting::default(),
        stated: vec![],
        aside: vec![],
    }
}

fn bytes(matching: &Matching) -> (Vec<u8>, Vec<u8>) {
    let (inputs, options) = (inputs(), options());
    let report = Report { inputs: &inputs, options: &options, matching };
    let (mut json, mut csv) = (vec![], vec![]);
    report.write_json(&mut json).unwrap();
    report.write_csv(&mut csv).unwrap();
    (json, csv)
}

/// Head and findings, read back from how a service keeps them, and their rows.
fn kept(matching: &Matching) -> (KeptHead, Vec<[String; 16]>) {
    let inputs = inputs();
    let report = Report { inputs: &inputs, options: &options(), matching };
    let head = KeptHead::read(&report.json_head().unwrap()).unwrap();
    let findings = matching.findings.iter().map(|finding| matching.finding_json(finding).unwrap());
    (head, findings.flat_map(|finding| rows_of(&finding).unwrap()).collect())
}

/// What the totals say about both sides, class by class.
fn found(matching: &Matching) -> BTreeMap<Class, u64> {
    let counts = Class::ALL.into_iter().map(|class| (class, matching.totals.items_of(class)));
    counts.filter(|(_, count)| *count > 0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_injected_difference_is_found_and_none_is_invented(world in worlds(120)) {
        let (lines, orders) = (world.lines.len() as u64, world.orders.len() as u64);
        let matching = reconcile(world.lines, world.orders, &options()).unwrap();
        prop_assert_eq!(found(&matching), world.expected);
        let count = |side: &[quotary_audit::matching::ClassTotal]| side.iter().map(|total| total.count).sum::<u64>();
        prop_assert_eq!(count(&matching.totals.lines), lines);
        prop_assert_eq!(count(&matching.totals.orders), orders);
        let mut keys: Vec<&String> = matching.findings.iter().map(|finding| &finding.key).collect();
        keys.sort();
        keys.dedup();
        prop_assert_eq!(keys.len(), matching.findings.len());
        let (head, rows) = kept(&matching);
        prop_assert_eq!(&head.totals, &matching.totals);
        prop_assert_eq!((&head.options, head.findings()), (&options(), matching.findings.len() as u64));
        let inputs = inputs();
        let report = Report { inputs: &inputs, options: &options(), matching: &matching };
        prop_assert_eq!(rows, report.rows().collect::<Vec<_>>());
    }

    #[test]
    fn the_order_of_the_input_does_not_matter_and_a_rerun_is_equal(
        (lines, orders, shuffled_lines, shuffled_orders) in worlds(60).prop_flat_map(|world| {
            let (lines, orders) = (Just(world.lines.clone()).prop_shuffle(), Just(world.orders.clone()).prop_shuffle());
            (Just(world.lines), Just(world.orders), lines, orders)
        })
    ) {
        let first = bytes(&reconcile(lines.clone(), orders.clone(), &options()).unwrap());
        prop_assert_eq!(&first, &bytes(&reconcile(shuffled_lines, shuffled_orders, &options()).unwrap()));
        prop_assert_eq!(&first, &bytes(&reconcile(lines, orders, &options()).unwrap()));
    }

    /// Nothing is known about such input, and still everything adds up: `reconcile` refuses to answer otherwise.
    #[test]
    fn any_input_at_all_adds_up(
        lines in prop::collection::vec(any_item("P", "A"), 0..40),
        orders in prop::collection::vec(any_item("A", "P"), 0..40),
    ) {
        let swapped = reconcile(orders.clone(), lines.clone(), &options()).unwrap();
        let matching = reconcile(lines, orders, &options()).unwrap();
        let matched = |matching: &Matching| matching.totals.items_of(Class::Ambiguous);
        // Which side is which makes no difference to what is ambiguous.
        prop_assert_eq!(matched(&matching), matched(&swapped));
    }
}

/// An item with so few different values that numbers, references and amounts collide.
fn any_item(own: &'static str, other: &'static str) -> impl Strategy<Value = Item> {
    let number = |prefix: &'static str| (0..12_u8).prop_map(move |n| format!("{prefix}{n}"));
    let state = prop::sample::select(vec![State::Completed, State::Pending]);
    let group = prop::option::weighted(0.3, number("G"));
    (0..3000_usize, number(own), prop::option::of(number(other)), group, 1..6_i64, state).prop_map(
        |(n, id, other_id, group, amount, state)| Item { group, state, other_id, ..item(n, &id, None, amount) },
    )
}

#[test]
fn a_hundred_thousand_on_each_side_take_seconds_even_unoptimised() {
    let mut world = World::default();
    for n in 0..100_000 {
        let injected = if n % 50 == 0 { INJECTED[n / 50 % INJECTED.len()] } else { Injected::Nothing };
        world.add(n, injected, 100 + i64::try_from(n % 997).unwrap(), Kind::Sale);
    }
    let expected = std::mem::take(&mut world.expected);
    let matching = reconcile(world.lines, world.orders, &options()).unwrap();
    assert_eq!(found(&matching), expected);
}

#[test]
fn a_text_that_a_spreadsheet_takes_for_a_formula_is_made_inert() {
    let matching =
        reconcile(vec![item(1, "=1+1", None, 5)], vec![item(1, "-7", None, 6)], &Options::default()).unwrap();
    let text = String::from_utf8(bytes(&matching).1).unwrap();
    assert!(text.contains(",'=1+1,"), "{text}");
    assert!(text.contains(",-7,"), "{text}");
}

#[test]
fn a_report_that_is_kept_in_parts_is_put_together_again_to_the_byte() {
    let matching = reconcile(vec![item(1, "P1", None, 5)], vec![item(1, "A1", None, 6)], &Options::default()).unwrap();
    let whole = String::from_utf8(bytes(&matching).0).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&whole).unwrap();
    assert_eq!(parsed["findings"].as_array().unwrap().len(), 2);
    let findings: Vec<String> =
        matching.findings.iter().map(|finding| matching.finding_json(finding).unwrap()).collect();
    assert!(whole.ends_with(&format!(":[{}]}}", findings.join(","))));
}

#[test]
fn items_in_a_group_and_with_numbers_go_where_the_sums_agree() {
    let line = in_group(item(1, "P1", Some("A1"), 300), "S");
    let orders = [in_group(item(1, "A1", None, 100), "S"), in_group(item(2, "A2", None, 200), "S")];
    expect(
        &[line],
        &orders,
        &[
            ("line P1", Class::Matched, Some(Reason::SumsAgree)),
            ("order A1", Class::Matched, Some(Reason::SumsAgree)),
            ("order A2", Class::Matched, Some(Reason::SumsAgree)),
        ],
    );
}
