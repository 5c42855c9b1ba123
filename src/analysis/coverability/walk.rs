//! Walks through a net at random, to come across a marking that covers an earlier one.

use super::pump::Pump;
use crate::{analysis::random::Random, models::petri::Net};

/// Number of walks: a pump that most of them miss is rarely found by more.
const WALKS: u64 = 64;

/// Length of a walk. Each marking is compared with all those before it.
const STEPS: usize = 512;

/// Covered markings, on one walk, that may turn out to make no pump.
const IN_VAIN: usize = 64;

/// Walks until a pump is found, or enough was walked, or `goes_on` ends it.
pub(super) fn pump_by_walking(net: &Net, goes_on: &mut impl FnMut() -> bool) -> Option<Pump> {
    (0..WALKS).find_map(|seed| walk(net, &mut Random::from_seed(seed), goes_on))
}

fn walk(net: &Net, random: &mut Random, goes_on: &mut impl FnMut() -> bool) -> Option<Pump> {
    let (count, mut in_vain) = (net.transitions.len(), 0);
    let (mut markings, mut path) = (vec![net.initial()], Vec::new());
    let mut marking = net.initial();
    while path.len() < STEPS && count > 0 && in_vain < IN_VAIN && goes_on() {
        // The first that is enabled, beginning anywhere and going round.
        let begin = (random.next() % count as u64) as usize;
        let order = (begin..count).chain(0..begin);
        let fired = order.into_iter().find(|by| net.fire(*by, &mut marking).is_ok())?;
        path.push(fired);
        let covered = |(_, less): &(usize, &Vec<u64>)| {
            **less != marking && less.iter().zip(&marking).all(|(less, count)| less <= count)
        };
        // The last that is covered makes the shortest pump.
        for (at, _) in markings.iter().enumerate().rev().filter(covered) {
            let pump = Pump::new(net, path[..at].to_vec(), path[at..].to_vec());
            if pump.is_some() {
                return pump;
            }
            in_vain += 1;
            if in_vain == IN_VAIN {
                break;
            }
        }
        markings.push(marking.clone());
    }
    None
}
