//! Numbers as they stand in labels.

/// Reason for which a text is no count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) enum NoCount {
    /// Below zero.
    Negative,
    /// More than 64 bits hold.
    Overflow,
    /// No whole number.
    Unreadable,
}

/// A whole number from 0: digits, with spaces around and a sign if need be.
pub(in crate::formats) fn count(text: &str) -> Result<u64, NoCount> {
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NoCount::Unreadable);
    }
    match digits.parse::<u64>() {
        Ok(0) => Ok(0),
        _ if negative => Err(NoCount::Negative),
        Ok(number) => Ok(number),
        Err(_) => Err(NoCount::Overflow),
    }
}

/// A coordinate: a decimal number; in a dialect also with an exponent.
pub(in crate::formats) fn coordinate(text: &str, exponent: bool) -> Option<f64> {
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    let allowed = |c: char| {
        c.is_ascii_digit() || matches!(c, '+' | '-' | '.') || exponent && matches!(c, 'e' | 'E')
    };
    let number: f64 = text.chars().all(allowed).then(|| text.parse().ok()).flatten()?;
    number.is_finite().then_some(number)
}
