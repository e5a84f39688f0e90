//! Licence keys: 25 characters in five groups, 120 bits from the operating system and one check character.
//!
//! The alphabet is Crockford's base 32 (no I, L, O, U). The check character makes a weighted sum over GF(2⁵) zero; the
//! weights are distinct powers of a generator, so that every single wrong character and every swap of two is found
//! (a Reed–Solomon check symbol). A mistyped key is told apart from an unknown one without a look-up.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::vault::{VaultError, random};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a key without the hyphens.
pub const LENGTH: usize = 25;

/// A licence key in its normal form, `XXXXX-XXXXX-XXXXX-XXXXX-XXXXX`.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct LicenseKey(String);

impl std::fmt::Debug for LicenseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LicenseKey(…)")
    }
}

/// Why a text is no licence key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MistypedKey {
    /// It has another number of characters.
    #[error("a licence key has {LENGTH} characters")]
    Length,
    /// It has a character that no key has.
    #[error("a licence key has only the characters 0-9 and A-Z without I, L, O and U")]
    Character,
    /// Its check character does not fit: it was mistyped.
    #[error("the licence key was mistyped")]
    Check,
}

impl LicenseKey {
    /// A new key.
    ///
    /// # Errors
    /// [`VaultError::Random`] if the operating system gives no random bytes.
    pub fn generate() -> Result<Self, VaultError> {
        let bytes = random::<{ LENGTH - 1 }>()?;
        let mut symbols = [0_u8; LENGTH];
        // 256 is a multiple of 32, so the low five bits of a random byte are uniform.
        symbols.iter_mut().zip(bytes.iter()).for_each(|(symbol, byte)| *symbol = byte & 31);
        symbols[LENGTH - 1] = checksum(&symbols[..LENGTH - 1]);
        let key = Self::written(&symbols);
        symbols.zeroize();
        Ok(key)
    }

    /// The key in a text as people type it: any case, hyphens and spaces anywhere, O for 0, I and L for 1.
    ///
    /// # Errors
    /// [`MistypedKey`] if it can't be one.
    pub fn parse(text: &str) -> Result<Self, MistypedKey> {
        let mut symbols = [0_u8; LENGTH];
        let mut count = 0;
        for byte in text.bytes().filter(|byte| !matches!(byte, b'-' | b' ')) {
            let symbol = value(byte).ok_or(MistypedKey::Character)?;
            *symbols.get_mut(count).ok_or(MistypedKey::Length)? = symbol;
            count += 1;
        }
        if count != LENGTH {
            return Err(MistypedKey::Length);
        }
        if checksum(&symbols[..LENGTH - 1]) != symbols[LENGTH - 1] {
            return Err(MistypedKey::Check);
        }
        Ok(Self::written(&symbols))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn written(symbols: &[u8; LENGTH]) -> Self {
        let mut text = String::with_capacity(LENGTH + 4);
        for (place, symbol) in symbols.iter().enumerate() {
            if place > 0 && place % 5 == 0 {
                text.push('-');
            }
            text.push(char::from(ALPHABET[usize::from(*symbol)]));
        }
        Self(text)
    }
}

fn value(byte: u8) -> Option<u8> {
    let byte = match byte.to_ascii_uppercase() {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    };
    ALPHABET.iter().position(|known| *known == byte).and_then(|place| u8::try_from(place).ok())
}

/// The symbol that makes the weighted sum zero when it is added with weight 1.
fn checksum(symbols: &[u8]) -> u8 {
    let mut weight = 1;
    symbols.iter().fold(0, |sum, symbol| {
        weight = times(weight, 2);
        sum ^ times(weight, *symbol)
    })
}

/// The product in GF(2⁵) with the primitive polynomial x⁵ + x² + 1.
fn times(a: u8, b: u8) -> u8 {
    let mut product = 0_u8;
    let mut shifted = a;
    for bit in 0..5 {
        if b >> bit & 1 == 1 {
            product ^= shifted;
        }
        shifted <<= 1;
        if shifted & 0b10_0000 != 0 {
            shifted ^= 0b10_0101;
        }
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_people_type_them() {
        let key = LicenseKey::generate().unwrap();
        let typed = key.as_str().to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        assert_eq!(LicenseKey::parse(&typed), Ok(key));
        assert_eq!(LicenseKey::parse("ABC"), Err(MistypedKey::Length));
        assert_eq!(LicenseKey::parse(&"U".repeat(25)), Err(MistypedKey::Character));
    }

    #[test]
    fn every_single_error_and_every_swap_is_found() {
        let key = LicenseKey::generate().unwrap();
        let plain: Vec<u8> = key.as_str().bytes().filter(|byte| *byte != b'-').collect();
        for place in 0..LENGTH {
            for other in ALPHABET.iter().filter(|other| **other != plain[place]) {
                let mut wrong = plain.clone();
                wrong[place] = *other;
                assert_eq!(LicenseKey::parse(std::str::from_utf8(&wrong).unwrap()), Err(MistypedKey::Check));
            }
            for second in place + 1..LENGTH {
                let mut wrong = plain.clone();
                wrong.swap(place, second);
                if wrong != plain {
                    assert_eq!(LicenseKey::parse(std::str::from_utf8(&wrong).unwrap()), Err(MistypedKey::Check));
                }
            }
        }
    }
}
