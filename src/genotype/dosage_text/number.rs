//! Decimal numbers from ASCII, equal to the standard library's to the last bit and several times as fast.

/// Powers of ten that `f32` holds exactly.
const TENS: [f32; 11] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10];

/// The whole numbers up to this one are exact in `f32`.
const EXACT: u32 = 1 << 24;

/// Parses a decimal number; `None` where it is none.
///
/// Digits that make an exact `f32`, divided by an exact power of ten, are rounded once, so the quotient is the nearest
/// `f32` (Clinger 1990). Everything else goes the long way.
#[inline]
pub(super) fn parse(text: &[u8]) -> Option<f32> {
    let (mut digits, mut decimals, mut point) = (0_u32, 0_usize, false);
    // Eight digits cannot overflow, and no more are exact anyway.
    if (1..=9).contains(&text.len()) {
        let plain = text.iter().all(|byte| match byte {
            b'0'..=b'9' => {
                digits = digits.wrapping_mul(10).wrapping_add(u32::from(byte - b'0'));
                decimals += usize::from(point);
                true
            }
            b'.' if !point => {
                point = true;
                true
            }
            _ => false,
        });
        let some_digit = text.len() > usize::from(point);
        if plain && some_digit && digits <= EXACT {
            return TENS.get(decimals).map(|tens| digits as f32 / tens);
        }
    }
    slow(text)
}

#[cold]
fn slow(text: &[u8]) -> Option<f32> {
    // The words for infinity and for what is no number are no decimal numbers.
    let numeric = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
    if numeric { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::parse;

    fn agrees(text: &str) {
        let expected = text.parse::<f32>().ok().map(f32::to_bits);
        assert_eq!(parse(text.as_bytes()).map(f32::to_bits), expected, "{text:?}");
    }

    #[test]
    fn agrees_with_the_standard_library() {
        let decimals = (0..=2000_u32).map(|n| format!("{}.{:03}", n / 1000, n % 1000));
        let written = ["", ".", "-", "+", "1.", ".5", "0", "2", "-0", "1e-3", "1E0", "16777217", "0.16777217", "1.2.3"];
        let long =
            ["1.99999999999999", "0.000000000000000000001", "00000000001", "999999999", "1e60", "1-1", "4294967297"];
        decimals.chain(written.iter().chain(&long).map(|text| (*text).to_owned())).for_each(|text| agrees(&text));
        assert!(parse(b"inf").is_none() && parse(b"NaN").is_none());
    }

    proptest! {
        #[test]
        fn agrees_on_any_decimal(text in "[0-9]{0,4}\\.?[0-9]{0,9}", wild in "[0-9.eE+-]{0,12}", value in 0.0_f32..2.0) {
            agrees(&text);
            agrees(&wild);
            agrees(&value.to_string());
            agrees(&format!("{value:.6}"));
        }

        #[test]
        fn never_panics(bytes in any::<Vec<u8>>()) {
            let _ = parse(&bytes);
        }
    }
}
