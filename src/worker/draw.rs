//! The draw of the next class to take work from: by weight, so that the low one never starves.

/// Shares of the classes.
const WEIGHTS: [i64; 3] = [16, 4, 1];

/// Smooth weighted round robin over the classes that have something.
#[derive(Debug, Default)]
pub(super) struct Draw {
    credit: [i64; 3],
}

impl Draw {
    /// The number of the next class, in the order of [`WorkClass::ALL`](crate::models::WorkClass::ALL), of
    /// those for which `has` is true; `None` if that is none.
    pub(super) fn next(&mut self, has: [bool; 3]) -> Option<usize> {
        let mut total = 0;
        for class in (0..3).filter(|class| has[*class]) {
            self.credit[class] += WEIGHTS[class];
            total += WEIGHTS[class];
        }
        let best = (0..3).filter(|class| has[*class]).max_by_key(|class| {
            // Of equals the more urgent.
            (self.credit[*class], std::cmp::Reverse(*class))
        })?;
        self.credit[best] -= total;
        Some(best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(has: [bool; 3], times: usize) -> [usize; 3] {
        let (mut draw, mut counts) = (Draw::default(), [0; 3]);
        for _ in 0..times {
            counts[draw.next(has).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn classes_are_drawn_by_their_weights_and_none_starves() {
        assert_eq!(drawn([true; 3], 210), [160, 40, 10]);
        assert_eq!(drawn([true, false, true], 170), [160, 0, 10]);
        assert_eq!(drawn([false, false, true], 5), [0, 0, 5]);
        assert_eq!(Draw::default().next([false; 3]), None);
    }
}
