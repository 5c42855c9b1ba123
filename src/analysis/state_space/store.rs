//! Packed markings, each once, in the order in which they were found.

/// Multipliers of the words; odd, so that none is lost.
const FACTORS: [u64; 8] = [
    0x9e37_79b9_7f4a_7c15,
    0xbf58_476d_1ce4_e5b9,
    0x94d0_49bb_1331_11eb,
    0xd6e8_feb8_6659_fd93,
    0xff51_afd7_ed55_8ccd,
    0xc4ce_b9fe_1a85_ec53,
    0xa076_1d64_78bd_642f,
    0xe703_7ed1_a0b4_28db,
];

/// Markings in one long vector, and a hash table (open addressing, linear probing) of their
/// indexes. A slot holds the 32 bits of the hash above the index plus one; the slot's place is
/// the hash's upper bits, so the table grows without looking at the markings.
#[derive(Debug, Clone)]
pub(super) struct Store {
    words: usize,
    arena: Vec<u64>,
    slots: Vec<u64>,
    /// 32 less the binary logarithm of the number of slots.
    shift: u32,
    len: usize,
}

/// Number of markings that a store can hold: their indexes are 32 bits, one of them taken.
pub(super) const MOST: usize = u32::MAX as usize - 1;

/// The bits of a slot that are the hash.
const HASH: u64 = 0xffff_ffff_0000_0000;

/// A hash of a marking, in the upper half.
#[inline(always)]
pub(super) fn hash(words: &[u64]) -> u64 {
    let mut sum = 0u64;
    for (at, word) in words.iter().enumerate() {
        // Words that share a factor are told apart by the rotation.
        let turned = word.rotate_left((at / FACTORS.len()) as u32);
        sum = sum.wrapping_add(turned.wrapping_mul(FACTORS[at % FACTORS.len()]));
    }
    let mixed = (sum ^ (sum >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed ^ (mixed >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15) & HASH
}

impl Store {
    /// An empty store of markings of so many words.
    pub(super) fn new(words: usize) -> Self {
        Self { words, arena: Vec::new(), slots: vec![0; 1 << 8], shift: 24, len: 0 }
    }

    /// Number of markings.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Number of words of a marking.
    pub(super) fn words(&self) -> usize {
        self.words
    }

    /// The words of a marking.
    #[inline(always)]
    pub(super) fn get(&self, index: usize) -> &[u64] {
        &self.arena[index * self.words..(index + 1) * self.words]
    }

    /// Bytes in use, and those in use beside them for a while to add so many markings.
    pub(super) fn bytes(&self, more: usize) -> (usize, usize) {
        let used = 8 * (self.arena.capacity() + self.slots.len());
        let mut growth = 0;
        if self.arena.len() + more * self.words > self.arena.capacity() {
            growth += 8 * (self.arena.capacity() / 2 * 3).max(more * self.words);
        }
        if self.is_full(self.len + more) {
            growth += 16 * self.slots.len();
        }
        (used, growth)
    }

    /// Returns true if the table is too small for so many markings: at most five slots of eight
    /// are taken.
    fn is_full(&self, len: usize) -> bool {
        len * 8 > self.slots.len() * 5
    }

    /// The slot where the search for a hash begins.
    #[inline(always)]
    fn start(&self, hash: u64) -> usize {
        ((hash >> 32) >> self.shift) as usize
    }

    /// The content of the slot where the search for a hash begins. Reading it early, for many
    /// markings, lets the processor wait for all of them at once.
    #[inline(always)]
    pub(super) fn glance(&self, hash: u64) -> u64 {
        self.slots[self.start(hash)]
    }

    /// The first marking with this hash, which may be another one; the table alone is read.
    #[inline(always)]
    pub(super) fn candidate(&self, hash: u64) -> Option<usize> {
        let last = self.slots.len() - 1;
        let mut at = self.start(hash);
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            if slot & HASH == hash {
                return Some((slot as u32 - 1) as usize);
            }
            at = (at + 1) & last;
        }
    }

    /// The index of a marking, or the free slot where it belongs.
    #[inline(always)]
    pub(super) fn find(&self, hash: u64, words: &[u64]) -> Result<usize, usize> {
        let last = self.slots.len() - 1;
        let mut at = self.start(hash);
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return Err(at);
            }
            if slot & HASH == hash {
                let index = (slot as u32 - 1) as usize;
                if self.get(index) == words {
                    return Ok(index);
                }
            }
            at = (at + 1) & last;
        }
    }

    /// Adds a marking that [`find`](Self::find) has not found, at the slot that it gave.
    pub(super) fn add(&mut self, hash: u64, words: &[u64], slot: usize) {
        if self.arena.len() + self.words > self.arena.capacity() {
            self.arena.reserve_exact((self.arena.capacity() / 2).max(64 * self.words));
        }
        self.arena.extend_from_slice(words);
        self.len += 1;
        self.slots[slot] = hash | self.len as u64;
        if self.is_full(self.len + 1) {
            self.grow();
        }
    }

    /// Bytes in use while the same markings are laid out in so many words.
    pub(super) fn bytes_beside(&self, words: usize) -> usize {
        self.bytes(0).0 + 8 * (self.len * words + self.slots.len())
    }

    /// The same markings, in the same order, with so many words each, as `again` writes them.
    pub(super) fn relaid(&self, words: usize, mut again: impl FnMut(&[u64], &mut [u64])) -> Self {
        let mut arena = vec![0; self.len * words];
        let mut slots = vec![0; self.slots.len()];
        let last = slots.len() - 1;
        for (index, new) in arena.chunks_exact_mut(words).enumerate() {
            again(self.get(index), new);
            let hash = hash(new);
            let mut at = self.start(hash);
            while slots[at] != 0 {
                at = (at + 1) & last;
            }
            slots[at] = hash | (index as u64 + 1);
        }
        Self { words, arena, slots, shift: self.shift, len: self.len }
    }

    /// Doubles the table. Taken slots move in the order of the hash, so this reads and writes
    /// memory from one end to the other.
    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![0; old.len() * 2];
        self.shift = self.shift.saturating_sub(1);
        let last = self.slots.len() - 1;
        for slot in old.into_iter().filter(|slot| *slot != 0) {
            let mut at = self.start(slot & HASH);
            while self.slots[at] != 0 {
                at = (at + 1) & last;
            }
            self.slots[at] = slot;
        }
    }
}
