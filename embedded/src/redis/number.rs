//! Numbers as they come in arguments and go out in replies.

use super::reply::Failure;

/// Integers of this size and more are written with an exponent.
const EXPONENT_FROM: f64 = 1e17;

/// One end of a range of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bound {
    pub(super) score: f64,
    pub(super) is_exclusive: bool,
}

// === impl Bound ===

impl Bound {
    /// `(` before the number leaves it out of the range.
    pub(super) fn parse(bytes: &[u8]) -> Result<Bound, Failure> {
        let (number, is_exclusive) = match bytes.strip_prefix(b"(") {
            Some(number) => (number, true),
            None => (bytes, false),
        };
        let score = float(number).map_err(|_| Failure::new("ERR min or max is not a float"))?;
        Ok(Bound {
            score,
            is_exclusive,
        })
    }

    pub(super) fn is_below(self, score: f64) -> bool {
        if self.is_exclusive {
            self.score < score
        } else {
            self.score <= score
        }
    }

    pub(super) fn is_above(self, score: f64) -> bool {
        if self.is_exclusive {
            self.score > score
        } else {
            self.score >= score
        }
    }
}

/// A 64-bit integer in its one canonical form.
pub(super) fn integer(bytes: &[u8]) -> Result<i64, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|_| Failure::not_an_integer())?;
    let number: i64 = text.parse().map_err(|_| Failure::not_an_integer())?;
    if number.to_string() == text {
        Ok(number)
    } else {
        Err(Failure::not_an_integer())
    }
}

/// A floating-point number, infinite ones included.
pub(super) fn float(bytes: &[u8]) -> Result<f64, Failure> {
    let text = std::str::from_utf8(bytes).ok();
    let number = text.and_then(|text| text.parse::<f64>().ok());
    number
        .filter(|number| !number.is_nan())
        .ok_or_else(|| Failure::new("ERR value is not a valid float"))
}

/// A number as Redis writes it: without a fraction where there is none.
pub(super) fn format(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 {
            "inf".into()
        } else {
            "-inf".into()
        };
    }
    if number.abs() < EXPONENT_FROM {
        // A negative zero has no sign in a reply.
        return format!("{}", if number == 0.0 { 0.0 } else { number });
    }
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_redis_does() {
        let written = [
            3.0,
            -0.0,
            1.5,
            1e17,
            f64::NEG_INFINITY,
            9_007_199_254_740_993.0,
        ]
        .map(format);
        assert_eq!(
            written,
            ["3", "0", "1.5", "1e+17", "-inf", "9007199254740992"]
        );
    }

    #[test]
    fn only_canonical_integers_are_read() {
        assert_eq!(integer(b"-12"), Ok(-12));
        for text in ["", "+1", " 1", "01", "1.0", "9223372036854775808"] {
            assert!(integer(text.as_bytes()).is_err(), "{text}");
        }
    }
}
