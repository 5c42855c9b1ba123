//! Tokens in places, and what they enable.

use super::Drawing;
use crate::models::petri::{Marking, Net};

/// Up to how many tokens are dots; more are a number.
const DOTS: u64 = 5;

/// How tokens are drawn.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tokens {
    /// Dots, by their distance from the middle of the place.
    Dots(&'static [(f64, f64)]),
    /// A number, rounded if it is long.
    Number(String),
}

/// How so many tokens are drawn.
pub(super) fn tokens(count: u64) -> Tokens {
    match count {
        0 => Tokens::Dots(&[]),
        1 => Tokens::Dots(&[(0.0, 0.0)]),
        2 => Tokens::Dots(&[(-6.0, 0.0), (6.0, 0.0)]),
        3 => Tokens::Dots(&[(0.0, -6.5), (-6.5, 5.0), (6.5, 5.0)]),
        4 => Tokens::Dots(&[(-6.0, -6.0), (6.0, -6.0), (-6.0, 6.0), (6.0, 6.0)]),
        DOTS => Tokens::Dots(&[(0.0, 0.0), (-8.0, -8.0), (8.0, -8.0), (-8.0, 8.0), (8.0, 8.0)]),
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

/// Dots or a number as text.
pub(super) fn text(count: u64) -> String {
    match count {
        0..=DOTS => "●".repeat(usize::try_from(count).unwrap_or(0)),
        _ => count.to_string(),
    }
}

/// Which transitions are enabled; none where the drawing has no marking of its own.
pub(super) fn enabled(drawing: &Drawing<'_>) -> Vec<bool> {
    let net = drawing.net;
    let Some(marking) = drawing.marking.filter(|marking| marking.len() == net.places.len()) else {
        return vec![false; net.transitions.len()];
    };
    let mut marking = marking.to_vec();
    (0..net.transitions.len()).map(|transition| is_enabled(net, transition, &mut marking)).collect()
}

/// Fires and takes back, so that the marking need not be copied for each transition.
fn is_enabled(net: &Net, transition: usize, marking: &mut Marking) -> bool {
    let arcs = &net.transitions[transition].arcs;
    let inputs = arcs.inputs.iter().map(|arc| arc.place);
    let touched: Vec<usize> = inputs.chain(arcs.outputs.iter().map(|(place, _)| *place)).collect();
    let before: Vec<u64> = touched.iter().map(|place| marking[*place]).collect();
    let enabled = net.fire(transition, marking).is_ok();
    for (place, tokens) in touched.into_iter().zip(before) {
        marking[place] = tokens;
    }
    enabled
}
