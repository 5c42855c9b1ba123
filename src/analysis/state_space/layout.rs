//! The layout of a packed marking: the bits of its words that hold the count of each place.
//!
//! A count of one bit has no more than its bit. A wider one has a guard bit above it that is
//! zero, so that whole words of counts can be compared and added at once: a borrow or a carry
//! ends in the guard. A count of 64 bits has a word to itself and no guard.

/// Widths that a count can have, in bits.
const WIDTHS: [u8; 12] = [1, 2, 3, 5, 7, 11, 15, 20, 31, 47, 63, 64];

/// A count within the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    /// The word that it stands in.
    pub word: usize,
    /// Number of bits from the low end.
    pub shift: u32,
    /// Number of bits, without the guard.
    pub bits: u8,
}

impl Field {
    /// The greatest count that fits.
    pub(super) fn max(self) -> u64 {
        u64::MAX >> (64 - u32::from(self.bits))
    }

    /// The guard bit, or none.
    pub(super) fn guard(self) -> u64 {
        match self.bits {
            1 | 64 => 0,
            bits => 1 << (self.shift + u32::from(bits)),
        }
    }

    /// The bits of the count.
    pub(super) fn mask(self) -> u64 {
        self.max() << self.shift
    }

    pub(super) fn get(self, words: &[u64]) -> u64 {
        (words[self.word] >> self.shift) & self.max()
    }
}

/// The fields of all places.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// The field of each place.
    pub fields: Vec<Field>,
    /// Number of words of a marking; at least one.
    pub words: usize,
    /// The guard bits of each word.
    pub guards: Vec<u64>,
    /// The counts of one bit in each word.
    pub ones: Vec<u64>,
    /// The places of each word whose counts have more than one bit.
    pub wide: Vec<Vec<usize>>,
}

/// The width that holds counts up to `most`.
fn width(most: u64) -> u8 {
    let bits = (64 - most.leading_zeros()) as u8;
    WIDTHS.into_iter().find(|width| *width >= bits).unwrap_or(64)
}

impl Layout {
    /// The narrowest layout for counts up to those given.
    pub(super) fn for_counts(most: &[u64]) -> Self {
        let empty = Self {
            fields: vec![Field { word: 0, shift: 0, bits: 0 }; most.len()],
            words: 1,
            guards: Vec::new(),
            ones: Vec::new(),
            wide: Vec::new(),
        };
        empty.place(most)
    }

    /// The narrowest layout for a marking that does not fit, and for those that fitted before.
    pub(super) fn widened(&self, marking: &[u64]) -> Self {
        let most = self.fields.iter().zip(marking);
        Self::for_counts(&most.map(|(field, count)| field.max().max(*count)).collect::<Vec<_>>())
    }

    /// The layout for a marking that does not fit, in which only the counts move that have to.
    pub(super) fn patched(&self, marking: &[u64]) -> Self {
        self.clone().place(marking)
    }

    /// Finds new room for the counts that do not fit.
    fn place(mut self, most: &[u64]) -> Self {
        let mut used = vec![0; self.words];
        for (field, count) in self.fields.iter().zip(most).filter(|(field, _)| field.bits > 0) {
            if *count <= field.max() {
                used[field.word] |= field.mask() | field.guard();
            }
        }
        for (field, count) in self.fields.iter_mut().zip(most) {
            if field.bits > 0 && *count <= field.max() {
                continue;
            }
            let mut new = Field { word: 0, shift: 0, bits: width(*count) };
            while (new.mask() | new.guard()) & used.get(new.word).copied().unwrap_or(0) != 0 {
                // The guard has to be in the same word.
                match new.shift + u32::from(new.bits) + u32::from(new.guard() != 0) < 64 {
                    true => new.shift += 1,
                    false => (new.word, new.shift) = (new.word + 1, 0),
                }
            }
            used.resize(used.len().max(new.word + 1), 0);
            used[new.word] |= new.mask() | new.guard();
            *field = new;
        }
        self.words = used.len();
        self.guards = vec![0; self.words];
        self.ones = vec![0; self.words];
        self.wide = vec![Vec::new(); self.words];
        for (place, field) in self.fields.iter().enumerate() {
            self.guards[field.word] |= field.guard();
            match field.bits {
                1 => self.ones[field.word] |= field.mask(),
                _ => self.wide[field.word].push(place),
            }
        }
        self
    }

    /// Lays a marking of another layout out in this one; `words` may hold anything.
    pub(super) fn adopt(&self, other: &Self, moved: &[usize], packed: &[u64], words: &mut [u64]) {
        words.fill(0);
        words[..packed.len().min(self.words)]
            .copy_from_slice(&packed[..packed.len().min(self.words)]);
        for place in moved {
            let field = other.fields[*place];
            if let Some(word) = words.get_mut(field.word) {
                *word &= !field.mask();
            }
        }
        for place in moved {
            let (count, field) = (other.fields[*place].get(packed), self.fields[*place]);
            words[field.word] |= count << field.shift;
        }
    }

    /// The places whose counts stand elsewhere in another layout.
    pub(super) fn moved(&self, other: &Self) -> Vec<usize> {
        let places = 0..self.fields.len();
        places.filter(|place| self.fields[*place] != other.fields[*place]).collect()
    }

    /// Returns true if every count of a marking fits.
    pub(super) fn fits(&self, marking: &[u64]) -> bool {
        self.fields.iter().zip(marking).all(|(field, count)| *count <= field.max())
    }

    /// Writes a marking that fits to `words`, which are all zero.
    pub(super) fn pack(&self, marking: &[u64], words: &mut [u64]) {
        for (field, count) in self.fields.iter().zip(marking) {
            words[field.word] |= count << field.shift;
        }
    }

    /// Reads a marking.
    pub(super) fn unpack(&self, words: &[u64], marking: &mut [u64]) {
        for (field, count) in self.fields.iter().zip(marking) {
            *count = field.get(words);
        }
    }

    /// All tokens of a packed marking.
    pub(super) fn tokens(&self, words: &[u64]) -> u128 {
        let mut sum = 0;
        for (word, (ones, wide)) in words.iter().zip(self.ones.iter().zip(&self.wide)) {
            sum += u128::from((word & ones).count_ones());
            for place in wide {
                let field = self.fields[*place];
                sum += u128::from((word >> field.shift) & field.max());
            }
        }
        sum
    }

    /// Returns true if every count of `words` is at least that of `others`.
    pub(super) fn covers(&self, words: &[u64], others: &[u64]) -> bool {
        words.iter().zip(others).enumerate().all(|(at, (word, other))| {
            let (ones, guards) = (self.ones[at], self.guards[at]);
            // Without a guard there is one count of 64 bits, or there are only counts of one.
            let wide = match guards {
                0 => word & !ones >= other & !ones,
                _ => ((word | guards).wrapping_sub(other & !ones)) & guards == guards,
            };
            wide && !word & other & ones == 0
        })
    }

    /// Raises each count of `most` to that of a packed marking where it has more.
    pub(super) fn raise(&self, most: &mut [u64], words: &[u64]) {
        for (at, (most, word)) in most.iter_mut().zip(words).enumerate() {
            let (ones, guards) = (self.ones[at], self.guards[at]);
            *most |= word & ones;
            // Where no count is over the most so far, every guard survives the subtraction.
            if guards != 0 && ((*most | guards).wrapping_sub(word & !ones)) & guards == guards {
                continue;
            }
            for place in &self.wide[at] {
                let field = self.fields[*place];
                let count = (word >> field.shift) & field.max();
                if count > (*most >> field.shift) & field.max() {
                    *most = (*most & !field.mask()) | (count << field.shift);
                }
            }
        }
    }
}
