//! Choices of tokens for the arcs of a transition, one after the other.

use std::{borrow::Cow, sync::Arc};

use crate::models::{ArcKind, Token, TokenId, petri::Input};

/// A token that a choice would read and take: no choice that is the same up to it can be bound.
pub(in crate::engine) struct Clash {
    /// Index of the reading arc.
    pub arc: usize,
    /// Place of the token in the arc's choice.
    pub position: usize,
}

impl Clash {
    /// Moves to the next choice that is another up to the token; false at the end.
    pub(in crate::engine) fn leave(&self, arcs: &mut [(Input, Choices<'_>)]) -> bool {
        let (before, rest) = arcs.split_at_mut(self.arc);
        let [(_, here), after @ ..] = rest else { return false };
        after.iter_mut().for_each(|(_, choices)| choices.start_over());
        here.advance_up_to(self.position + 1) || advance(before)
    }
}

/// Moves to the next choice: the last arc that has one moves on, those after it start over. False at
/// the end.
pub(in crate::engine) fn advance(arcs: &mut [(Input, Choices<'_>)]) -> bool {
    arcs.iter_mut().rposition(|(_, choices)| choices.advance()).is_some()
}

/// The ways to choose `weight` of the candidates of one arc, in lexicographic order; the
/// first `fixed` candidates are in every choice.
pub(in crate::engine) struct Choices<'a> {
    pub candidates: Cow<'a, [Arc<Token>]>,
    fixed: usize,
    pub chosen: Vec<usize>,
}

impl<'a> Choices<'a> {
    pub(in crate::engine) fn new(
        candidates: Cow<'a, [Arc<Token>]>,
        arc: &Input,
        named: &[TokenId],
    ) -> Self {
        let weight = usize::try_from(arc.weight).unwrap_or(usize::MAX).min(candidates.len());
        let fixed = match arc.kind {
            ArcKind::Consume => {
                candidates.iter().take(weight).filter(|token| named.contains(&token.id)).count()
            }
            _ => 0,
        };
        Self { candidates, fixed, chosen: (0..weight).collect() }
    }

    pub(in crate::engine) fn chosen(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.chosen.iter().map(|index| &self.candidates[*index])
    }

    /// Returns true if somebody has named tokens of it.
    pub(in crate::engine) fn is_fixed(&self) -> bool {
        self.fixed > 0
    }

    /// Returns true if it stands at its first choice.
    pub(in crate::engine) fn is_at_start(&self) -> bool {
        self.chosen.iter().enumerate().all(|(at, chosen)| at == *chosen)
    }

    /// Moves to the next choice; if there is none, starts over and answers false.
    pub(in crate::engine) fn advance(&mut self) -> bool {
        self.advance_up_to(self.chosen.len())
    }

    /// Moves to the next choice that differs in the first `end` of its tokens; if there is none, starts
    /// over and answers false.
    fn advance_up_to(&mut self, end: usize) -> bool {
        let weight = self.chosen.len();
        for position in (self.fixed..end).rev() {
            if self.chosen[position] < self.candidates.len() - (weight - position) {
                let next = self.chosen[position] + 1;
                for (offset, index) in self.chosen[position..].iter_mut().enumerate() {
                    *index = next + offset;
                }
                return true;
            }
        }
        self.start_over();
        false
    }

    pub(in crate::engine) fn start_over(&mut self) {
        self.chosen = (0..self.chosen.len()).collect();
    }
}
