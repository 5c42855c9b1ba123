//! Tokens in places, and the transitions that they enable.

use std::collections::HashMap;

use super::Drawing;
use crate::models::{
    self,
    petri::{Marking, Net},
};

/// Number of tokens of a case in each place of its net: the marking for a drawing.
pub fn counted(net: &Net, marking: &models::Marking) -> Marking {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for entry in &marking.0 {
        *counts.entry(entry.place.as_str()).or_default() += 1;
    }
    net.places.iter().map(|place| counts.get(place.id.as_str()).copied().unwrap_or(0)).collect()
}

/// The title above the picture of a case.
pub fn case_title(net: &Net, case: &models::Case) -> String {
    format!("{}: case {}, {}", net.name, case.id, case.status.as_str())
}

/// The look of tokens.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tokens {
    /// Dots, by their distance from the middle of the place.
    Dots(&'static [(f64, f64)]),
    /// A number, rounded if it is long.
    Number(String),
}

/// The look of so many tokens: up to five are dots.
pub(super) fn tokens(count: u64) -> Tokens {
    match count {
        0 => Tokens::Dots(&[]),
        1 => Tokens::Dots(&[(0.0, 0.0)]),
        2 => Tokens::Dots(&[(-6.0, 0.0), (6.0, 0.0)]),
        3 => Tokens::Dots(&[(0.0, -6.5), (-6.5, 5.0), (6.5, 5.0)]),
        4 => Tokens::Dots(&[(-6.0, -6.0), (6.0, -6.0), (-6.0, 6.0), (6.0, 6.0)]),
        5 => Tokens::Dots(&[(0.0, 0.0), (-8.0, -8.0), (8.0, -8.0), (-8.0, 8.0), (8.0, 8.0)]),
        _ => Tokens::Number(short(count)),
    }
}

/// A number in at most five characters: whole, or to two digits with its power of ten.
fn short(count: u64) -> String {
    if count < 100_000 {
        return count.to_string();
    }
    let digits = count.to_string();
    format!("{}.{}e{}", &digits[..1], &digits[1..2], digits.len() - 1)
}

/// Dots or a number as text; dots up to three, since in a line they are wide.
pub(super) fn text(count: u64) -> String {
    match count {
        0 => String::new(),
        1 => "●".to_owned(),
        2 => "●●".to_owned(),
        3 => "●●●".to_owned(),
        _ => short(count),
    }
}

/// True for the transitions that are enabled; none where the drawing has no marking of its own.
pub(super) fn enabled(drawing: &Drawing<'_>) -> Vec<bool> {
    let net = drawing.net;
    let Some(marking) = drawing.marking.filter(|marking| marking.len() == net.places.len()) else {
        return vec![false; net.transitions.len()];
    };
    let mut marking = marking.to_vec();
    (0..net.transitions.len()).map(|transition| net.is_enabled(transition, &mut marking)).collect()
}
