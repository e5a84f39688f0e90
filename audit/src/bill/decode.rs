//! The bytes of a file as text.
//!
//! What must always hold: a byte that is no text in the named encoding is an error with its line; nothing is replaced.

use std::borrow::Cow;

use encoding_rs::{DecoderResult, GB18030, GBK};
use serde::{Deserialize, Serialize};

/// An encoding that bills come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// With or without a byte-order mark.
    #[serde(rename = "utf-8")]
    Utf8,
    /// What Chinese providers call GBK; read as its superset GB18030.
    #[serde(rename = "gbk")]
    Gbk,
    /// GB 18030.
    #[serde(rename = "gb18030")]
    Gb18030,
}

/// The line, from 1, that is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadLine(pub u64);

/// Decodes all of `bytes`.
pub(super) fn decode(bytes: &[u8], encoding: Encoding) -> Result<Cow<'_, str>, BadLine> {
    match encoding {
        Encoding::Utf8 => {
            let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
            std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| line_of(bytes, error.valid_up_to()))
        }
        Encoding::Gbk => decode_by(GBK, bytes),
        Encoding::Gb18030 => decode_by(GB18030, bytes),
    }
}

fn decode_by<'b>(encoding: &'static encoding_rs::Encoding, bytes: &'b [u8]) -> Result<Cow<'b, str>, BadLine> {
    if let Some(text) = encoding.decode_without_bom_handling_and_without_replacement(bytes) {
        return Ok(text);
    }
    // Something is malformed: go again, to learn where.
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut scratch = vec![0; 64 * 1024];
    let mut read = 0;
    loop {
        let (result, taken, _) = decoder.decode_to_utf8_without_replacement(&bytes[read..], &mut scratch, true);
        read += taken;
        match result {
            DecoderResult::OutputFull => {}
            // The bad sequence may end with the line feed before which it broke off.
            DecoderResult::Malformed(bad, after) => {
                return Err(line_of(bytes, read.saturating_sub(usize::from(bad) + usize::from(after))));
            }
            DecoderResult::InputEmpty => return Err(line_of(bytes, bytes.len())),
        }
    }
}

/// The line that the byte at `offset` is in.
fn line_of(bytes: &[u8], offset: usize) -> BadLine {
    let before = bytes.get(..offset).unwrap_or(bytes);
    BadLine(1 + before.iter().fold(0, |lines, byte| lines + u64::from(*byte == b'\n')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_in_each_encoding() {
        let (gbk, _, _) = GBK.encode("支付宝交易号,订单金额（元）\n");
        for encoding in [Encoding::Gbk, Encoding::Gb18030] {
            assert_eq!(decode(&gbk, encoding).unwrap(), "支付宝交易号,订单金额（元）\n");
        }
        assert_eq!(decode("\u{feff}交易时间".as_bytes(), Encoding::Utf8).unwrap(), "交易时间");
        assert_eq!(decode("交易时间".as_bytes(), Encoding::Utf8).unwrap(), "交易时间");
        let (rare, _, _) = GB18030.encode("𠮷野家");
        assert_eq!(decode(&rare, Encoding::Gb18030).unwrap(), "𠮷野家");
    }

    #[test]
    fn bytes_that_are_no_text_are_named_by_their_line() {
        assert_eq!(decode(b"one\ntwo\n\xFF\xFE\n", Encoding::Utf8), Err(BadLine(3)));
        assert_eq!(decode(b"one\ntwo\nth\x81\n", Encoding::Gbk), Err(BadLine(3)));
        assert_eq!(decode(b"one\n\xFF\nthree", Encoding::Gb18030), Err(BadLine(2)));
        assert_eq!(decode(b"one\ntwo\xB0", Encoding::Gbk), Err(BadLine(2)));
        let mut long = b"ok\n".repeat(100_000);
        long.extend_from_slice(b"\x80\xFF\n");
        assert_eq!(decode(&long, Encoding::Gbk), Err(BadLine(100_001)));
    }
}
