//! Numbers as text: ten significant digits, fast.
//!
//! An answer has a number for every gene and person, and writing them is most of the work of a text form. Ten digits
//! keep the error below 5·10⁻¹⁰ of the value and are half as long as the digits that would tell two `f64` apart.

use std::io::Write as _;

const DIGITS: i32 = 10;
/// 10 to the power `DIGITS`: what ten digits stay below.
const CEILING: u64 = 10_000_000_000;
/// Where plain decimals are written; beyond, the text has an exponent.
const PLAIN: std::ops::Range<f64> = 1e-5..1e9;

const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
};

/// Appends a finite number, rounded to ten significant digits, without trailing zeros; the text is a number in JSON.
pub(super) fn push(out: &mut Vec<u8>, value: f64) {
    let size = value.abs();
    if !PLAIN.contains(&size) {
        return push_other(out, value);
    }
    // log10(2) times the exponent of two, rounded down: the exponent of ten or one below it.
    let binary = ((size.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let mut exponent = (binary * 1233) >> 12;
    let mut digits = scaled(size, exponent);
    if digits >= CEILING {
        exponent += 1;
        digits = scaled(size, exponent);
        if digits >= CEILING {
            exponent += 1;
            digits = CEILING / 10;
        }
    }
    let mut text = [0; DIGITS as usize];
    for pair in text.chunks_exact_mut(2).rev() {
        pair.copy_from_slice(&PAIRS[(digits % 100) as usize]);
        digits /= 100;
    }
    // From 1 on this many digits stand before the point, whether or not they are zeros.
    let whole = usize::try_from(exponent + 1).unwrap_or(0);
    let mut length = text.len();
    while length > whole && text[length - 1] == b'0' {
        length -= 1;
    }
    if value < 0.0 {
        out.push(b'-');
    }
    if whole == 0 {
        out.extend_from_slice(&b"0.00000"[..2 + usize::try_from(-1 - exponent).unwrap_or(0)]);
        out.extend_from_slice(&text[..length]);
    } else {
        out.extend_from_slice(&text[..whole]);
        if length > whole {
            out.push(b'.');
            out.extend_from_slice(&text[whole..length]);
        }
    }
}

/// The number whose first of ten digits stands for 10 to the power `exponent`, rounded to a whole one.
#[expect(clippy::cast_sign_loss, reason = "a size is not negative")]
fn scaled(size: f64, exponent: i32) -> u64 {
    let power = POWERS[usize::try_from(DIGITS - 1 - exponent).unwrap_or(0).min(POWERS.len() - 1)];
    // Below 2^53 by far, so adding a half and cutting off rounds.
    (size * power + 0.5) as u64
}

/// Zeros, and what is too great or too small for plain decimals.
fn push_other(out: &mut Vec<u8>, value: f64) {
    if value == 0.0 {
        out.push(b'0');
        return;
    }
    let text = format!("{value:.9e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    // Writing into a Vec cannot fail.
    let _ = write!(out, "{digits}e{exponent}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        push(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_plain_decimals_without_trailing_zeros() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (0.3, "0.3"),
            (0.1 + 0.2, "0.3"),
            (0.999_999_999_99, "1"),
            (9.999_999_999_99, "10"),
            (100.0, "100"),
            (1234.5, "1234.5"),
            (999_999_999.0, "999999999"),
            (999_999_999.99, "1000000000"),
            (1e9, "1e9"),
            (0.00001, "0.00001"),
            (0.000_012_345_678_901_23, "0.0000123456789"),
            (0.000_012_345_678_987_65, "0.00001234567899"),
            (9.999e-6, "9.999e-6"),
            (-1.234_567_890_12e-9, "-1.23456789e-9"),
            (2.0 / 3.0, "0.6666666667"),
            (-20.0 / 3.0, "-6.666666667"),
            (1e300, "1e300"),
            (f64::MIN_POSITIVE, "2.225073859e-308"),
            (5e-324, "4.940656458e-324"),
            (123_456_789.123, "123456789.1"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(value), expected, "{value:e}");
        }
        for power in -20..20 {
            let value: f64 = format!("1e{power}").parse().unwrap();
            assert_eq!(text(value).parse::<f64>().unwrap().to_bits(), value.to_bits(), "{value}");
        }
    }

    fn agrees(value: f64) {
        let text = text(value);
        let back: f64 = serde_json::from_str(&text).unwrap();
        assert!((back - value).abs() <= 5.001e-10 * value.abs(), "{value:e} is {text}");
        // The standard library's own rounding to ten digits; at a tie the last digit may differ.
        let standard: f64 = format!("{value:.9e}").parse().unwrap();
        assert!((back - standard).abs() <= 1.001e-9 * value.abs(), "{value:e} is {text}");
        assert!(text.len() <= 17, "{text}");
    }

    proptest! {
        #[test]
        fn ten_digits_stay(value in prop_oneof![-10.0..10.0, -1e-4..1e-4, -1e10..1e10, -0.1..0.1]) {
            agrees(value);
        }

        #[test]
        fn any_finite_number_is_a_number(value in any::<f64>().prop_filter("finite", |v| v.is_normal())) {
            agrees(value);
        }
    }
}
