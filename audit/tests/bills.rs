//! Bills as the providers write them, read by the mappings that come with the program.
//!
//! What always holds: every line of a file is accounted for, and a file with anything wrong is refused with the line.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops where it is")]

use encoding_rs::GBK;
use quotary_audit::bill::{Accounting, Bill, BillError, Encoding, Mapping, provided, read};
use quotary_audit::item::{Item, Kind, State};

const ALIPAY: &str = "#支付宝业务明细查询\r
#账号：[20881117373712940156]\r
#起始日期：[2026年07月22日 00:00:00]   终止日期：[2026年07月23日 00:00:00]\r
#-----------------------------------------业务明细列表----------------------------------------\r
支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注\r
2026072200144491\t,411735720\t,交易\t,院内充值,2026-07-22 16:13:11,2026-07-22 16:14:24, , , , ,**佳(yan***@163.com)\t,1.00,0.90,0.00,0.00,0.00,0.10,0.00,,0.00 ,0.00,\t,-0.01,0.00,\r
2026072200144492\t,411735721\t,交易\t,5\" 屏幕,2026-07-22 17:00:00,2026-07-22 17:00:01, , , , ,**明\t,1200.50,1200.50,0.00,0.00,0.00,0.00,0.00,,0.00,0.00,\t,-7.20,0.00,\r
2026072200144491\t,411735720\t,退款\t,院内充值,2026-07-22 16:13:11,2026-07-22 18:00:00, , , , ,**佳\t,-0.50,-0.50,0.00,0.00,0.00,0.00,0.00,,0.00,0.00,R411735720\t,0.00,0.00,全额\r
#-----------------------------------------业务明细列表结束------------------------------------\r
#交易合计：2笔，商家实收共1201.40元，商家优惠共0.10元\r
#退款合计：1笔，商家实收退款共-0.50元，商家优惠退款共0.00元\r
#导出时间：[2026年07月23日 06:27:10]\r
";

const WECHAT: &str = "\u{feff}交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注
`2026-07-09 10:06:33,`wxe1,`1579507281,`0,`,`4200002360,`5622334254839656448,`oVgfJ5,`JSAPI,`SUCCESS,`OTHERS,`CNY,`60.00,`0.00,`0,`0,`0.00,`0.00,`,`,`红茶, 大杯,`{\"statement_id\":\"56\",\"n\":2},`0.32400,`0.54%,`60.00,`0.00,`
`2026-07-09 16:47:58,`wxe1,`1579507281,`0,`,`4200002360,`5622334254839656448,`oVgfJ5,`JSAPI,`REFUND,`OTHERS,`CNY,`0.00,`0.00,`50302709992024,`R5622,`50.00,`0.00,`ORIGINAL,`PROCESSING,`红茶,`,`-0.27000,`0.54%,`0.00,`50.00,`
总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额
`2,`60.00,`50.00,`0.00,`0.05400,`60.00,`50.00
";

const STRIPE: &str = "balance_transaction_id,created_utc,available_on_utc,currency,gross,fee,net,reporting_category,source_id,description,charge_id,payment_metadata[order_id]
txn_1,2026-03-01 00:00:10,2026-03-03 00:00:00,usd,19.99,0.88,19.11,charge,ch_1,\"Licence, yearly\",ch_1,A-1
txn_2,2026-03-01 01:00:00,2026-03-03 00:00:00,jpy,1500,54,1446,charge,ch_2,\"says \"\"hi\"\"
in two lines\",ch_2,A-2
txn_3,2026-03-02 00:00:00,2026-03-03 00:00:00,usd,-5.00,0.00,-5.00,refund,re_1,,ch_1,A-1

txn_4,2026-03-02 00:00:00,2026-03-03 00:00:00,usd,-14.11,0.00,-14.11,payout,po_1,STRIPE PAYOUT,,
";

fn mapping(name: &str) -> Mapping {
    provided(name).unwrap().unwrap()
}

fn gbk(text: &str) -> Vec<u8> {
    let (bytes, _, wrong) = GBK.encode(text);
    assert!(!wrong);
    bytes.into_owned()
}

fn brief(item: &Item) -> String {
    let Item { kind, id, at, place, other_id, amount, currency, state, .. } = item;
    let other = other_id.as_deref().unwrap_or("-");
    format!("{place} {kind:?} {id} {other} {amount} {currency} {state:?} {}", at.format("%Y-%m-%dT%H:%M:%SZ"))
}

fn all(bill: &Bill) -> Vec<String> {
    bill.items.iter().map(brief).collect()
}

#[test]
fn an_alipay_bill_in_gbk_is_read_with_its_refunds_and_totals() {
    let bill = read(&mapping("alipay"), &gbk(ALIPAY)).unwrap();
    assert_eq!(
        all(&bill),
        [
            "6 Sale 2026072200144491 411735720 100 CNY Completed 2026-07-22T08:14:24Z",
            "7 Sale 2026072200144492 411735721 120050 CNY Completed 2026-07-22T09:00:01Z",
            "8 Refund 2026072200144491/R411735720 R411735720 50 CNY Completed 2026-07-22T10:00:00Z",
        ]
    );
    assert_eq!(bill.encoding, Encoding::Gbk);
    let accounting = Accounting { lines: 12, head: 4, columns: 1, rows: 3, aside: 0, foot: 4, blank: 0 };
    assert_eq!(bill.accounting, accounting);
    let stated: Vec<String> =
        bill.stated.iter().map(|total| format!("{} {} {}", total.line, total.what, total.value)).collect();
    assert_eq!(stated[..2], ["10 number of rows of sale 2", "10 sum of 商家实收（元） of sale 1201.40"]);
    assert_eq!(stated.len(), 6);
    assert_eq!(bill.items[1].fee.unwrap().to_string(), "-7.20");
}

#[test]
fn a_wechat_bill_is_read_with_commas_inside_values_and_fees_of_five_decimals() {
    for bytes in [WECHAT.as_bytes().to_vec(), gbk(WECHAT.trim_start_matches('\u{feff}'))] {
        let bill = read(&mapping("wechat"), &bytes).unwrap();
        assert_eq!(
            all(&bill),
            [
                "2 Sale 4200002360 5622334254839656448 6000 CNY Completed 2026-07-09T02:06:33Z",
                "3 Refund 4200002360/50302709992024 R5622 5000 CNY Pending 2026-07-09T08:47:58Z",
            ]
        );
        assert_eq!(bill.stated.len(), 7);
        assert_eq!(bill.items[0].fee.unwrap().to_string(), "0.32400");
        assert_eq!((bill.accounting.rows, bill.accounting.foot, bill.accounting.lines), (2, 2, 5));
    }
}

#[test]
fn a_stripe_report_sets_payouts_aside_and_knows_currencies_without_decimals() {
    let bill = read(&mapping("stripe"), STRIPE.as_bytes()).unwrap();
    assert_eq!(
        all(&bill),
        [
            "2 Sale ch_1 A-1 1999 USD Completed 2026-03-01T00:00:10Z",
            "3 Sale ch_2 A-2 1500 JPY Completed 2026-03-01T01:00:00Z",
            "5 Refund ch_1/re_1 A-1 500 USD Completed 2026-03-02T00:00:00Z",
        ]
    );
    let accounting = Accounting { lines: 7, head: 0, columns: 1, rows: 4, aside: 1, foot: 0, blank: 1 };
    assert_eq!(bill.accounting, accounting);
    assert_eq!((bill.aside[0].name.as_str(), bill.aside[0].rows, bill.aside[0].amount), ("payout", 1, -1411));
}

#[test]
fn our_own_orders_are_read_in_minor_units() {
    let text = "id,provider_id,payment_id,reference,kind,amount_minor,currency,state,time\n\
                A-1,,,,sale,1999,usd,pending,2026-03-01T08:00:00+08:00\n\
                A-1,re_1,ch_1,P7,refund,500,usd,completed,2026-03-02T00:00:00+00:00\n";
    let bill = read(&mapping("orders"), text.as_bytes()).unwrap();
    assert_eq!(
        all(&bill),
        [
            "2 Sale A-1 - 1999 USD Pending 2026-03-01T00:00:00Z",
            "3 Refund A-1 re_1 500 USD Completed 2026-03-02T00:00:00Z"
        ]
    );
    assert_eq!((bill.items[1].kind, bill.items[1].state), (Kind::Refund, State::Completed));
    assert_eq!(bill.items[1].group.as_deref(), Some("P7"));
    let fraction = text.replace("1999", "19.99");
    assert_eq!(first_wrong(read(&mapping("orders"), fraction.as_bytes())).0, 2);
}

fn first_wrong(result: Result<Bill, BillError>) -> (u64, String) {
    match result.unwrap_err() {
        BillError::Lines { first, total } => {
            assert!(total >= 1);
            (first[0].line, first[0].why.clone())
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_wrong_line_refuses_the_bill_and_is_named() {
    for (from, to, line, why) in [
        ("-0.50,-0.50", "0.50,-0.50", 8, "0.50 has the wrong sign for 订单金额（元）"),
        (",1.00,0.90", ",1.005,0.90", 6, "1.005 has a fraction of a minor unit of 2 decimals"),
        (",1.00,0.90", ",1元,0.90", 6, "`1元` is no number"),
        (",1.00,0.90", ",,0.90", 6, "a number is missing"),
        ("2026-07-22 16:14:24", "2026-07-32 16:14:24", 6, "`2026-07-32 16:14:24` is no time of 完成时间"),
        ("退款\t", "转账\t", 8, "no rule of the mapping fits the row"),
        (
            "院内充值,2026-07-22 16:13:11,2026-07-22 16:14:24",
            "院内,充值,2026-07-22 16:13:11,2026-07-22 16:14:24",
            6,
            "the row has 26 fields, the columns are 25",
        ),
        ("2026072200144492\t", "\t", 7, "the row has no number of its own"),
    ] {
        let text = ALIPAY.replacen(from, to, 1);
        assert_ne!(text, ALIPAY, "{from}");
        assert_eq!(first_wrong(read(&mapping("alipay"), &gbk(&text))), (line, why.to_owned()));
    }
}

#[test]
fn head_columns_and_foot_must_be_what_the_mapping_says() {
    let read_as = |text: &str| read(&mapping("alipay"), &gbk(text)).unwrap_err();
    let without = |line: &str| ALIPAY.split_inclusive('\n').filter(|text| !text.starts_with(line)).collect::<String>();
    assert!(matches!(read_as(&without("#账号")), BillError::Unexpected { line: 2, .. }));
    assert!(matches!(read_as(&without("#导出")), BillError::Unexpected { line: 11, .. }));
    assert!(matches!(read_as(&without("#退款")), BillError::Unexpected { line: 10, .. }));
    assert!(
        matches!(read_as(&ALIPAY.replacen("完成时间", "完结时间", 1)), BillError::NoColumn { line: 5, name } if name == "完成时间")
    );
    assert!(
        matches!(read_as(&ALIPAY.replacen("创建时间", "完成时间", 1)), BillError::ColumnTwice { line: 5, name } if name == "完成时间")
    );
    let cut = ALIPAY.split_inclusive('\n').take(7).collect::<String>();
    assert!(matches!(read_as(&cut), BillError::Unexpected { line: 7, .. }));
    assert!(matches!(read_as("#支付宝业务明细查询\n"), BillError::Ends(_)));
    assert!(matches!(read(&mapping("alipay"), b"").unwrap_err(), BillError::Ends(_)));
}

#[test]
fn totals_that_the_rows_do_not_have_refuse_the_bill() {
    for (from, to, line) in
        [("2笔", "3笔", 10), ("共1201.40元", "共1201.41元", 10), ("共-0.50元", "共0.50元", 11), ("1笔", "一笔", 11)]
    {
        let error = read(&mapping("alipay"), &gbk(&ALIPAY.replacen(from, to, 1))).unwrap_err();
        assert!(matches!(&error, BillError::Total { line: found, .. } if *found == line), "{from} → {to}: {error}");
    }
    // A row that is lost from the middle is noticed by the totals.
    let lost = ALIPAY.split_inclusive('\n').filter(|line| !line.starts_with("2026072200144492")).collect::<String>();
    assert!(matches!(read(&mapping("alipay"), &gbk(&lost)).unwrap_err(), BillError::Total { line: 9, .. }));
}

#[test]
fn bytes_of_another_encoding_are_named_by_their_line() {
    let mut bytes = gbk(ALIPAY);
    let sixth = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(4).unwrap().0 + 1;
    bytes[sixth] = 0xFF;
    let error = read(&mapping("alipay"), &bytes).unwrap_err();
    assert_eq!(error, BillError::Encoding { line: 6, encoding: Encoding::Gbk });
    let latin = STRIPE
        .replace("Licence", "Lizenz fur M\u{fc}ller")
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect::<Vec<_>>();
    let error = read(&mapping("stripe"), &latin).unwrap_err();
    assert_eq!(error, BillError::Encoding { line: 2, encoding: Encoding::Utf8 });
}
