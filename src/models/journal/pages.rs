//! The end of a journal, on which the next entry follows, and the way from it to all entries.
//!
//! Each entry names those since the last page, and that page. Every 64th is a page, and names all pages before it. So a
//! journal of any length is read in three rounds, whatever lies between its entries in the log: its last entry, its
//! pages, and all others.

use super::{JournalEntry, StoredEntry};
use crate::models::LogSequence;

/// Number of entries from one page of a journal to the next.
pub const JOURNAL_PAGE: u64 = 64;

/// The end of a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEnd {
    /// The log sequence of its last entry; `None` of an empty one.
    pub sequence: Option<LogSequence>,
    /// Number of its entries.
    pub number: u64,
    /// The last page and the entries since then.
    recent: Vec<LogSequence>,
    /// The pages before that one. `None` if they are not known: the page has them.
    pages: Option<Vec<LogSequence>>,
}

/// The end of an empty journal.
impl Default for JournalEnd {
    fn default() -> Self {
        Self { sequence: None, number: 0, recent: Vec::new(), pages: Some(Vec::new()) }
    }
}

impl JournalEnd {
    /// The end that an entry is. Of a journal with pages, the page that it names has those before.
    pub fn at(last: &StoredEntry) -> Self {
        let StoredEntry { entry, sequence, .. } = last;
        let mut end = Self {
            sequence: Some(*sequence),
            number: entry.number,
            recent: entry.recent.clone(),
            pages: (entry.number <= JOURNAL_PAGE).then(Vec::new),
        };
        if is_page(entry.number) {
            (end.recent, end.pages) = (Vec::new(), Some(entry.pages.clone()));
        }
        end.recent.push(*sequence);
        end
    }

    /// The page whose list of pages is to be read before an entry can follow that is a page itself.
    pub fn unread_page(&self) -> Option<LogSequence> {
        self.recent.first().copied().filter(|_| self.pages.is_none())
    }

    /// Takes the list of pages from the page that was to be read.
    pub fn read_page(&mut self, page: &JournalEntry) {
        self.pages = Some(page.pages.clone());
    }

    /// Makes an entry the next one. Returns `None` if a page is to be read before.
    #[must_use]
    pub fn followed_by(&self, mut entry: JournalEntry) -> Option<JournalEntry> {
        entry.number = self.number + 1;
        entry.recent.clone_from(&self.recent);
        entry.pages = match is_page(entry.number) {
            false => Vec::new(),
            true => self.all_pages()?,
        };
        Some(entry)
    }

    /// Moves on to an entry that was stored.
    pub fn moved_to(&mut self, stored: &JournalEntry, sequence: LogSequence) {
        if is_page(stored.number) {
            (self.recent, self.pages) = (Vec::new(), Some(stored.pages.clone()));
        }
        self.recent.push(sequence);
        (self.sequence, self.number) = (Some(sequence), stored.number);
    }

    /// All pages.
    fn all_pages(&self) -> Option<Vec<LogSequence>> {
        let last = self.recent.first().filter(|_| self.number >= JOURNAL_PAGE);
        Some(self.pages.as_ref()?.iter().chain(last).copied().collect())
    }

    /// The last page and the entries since then.
    pub fn recent(&self) -> &[LogSequence] {
        &self.recent
    }

    /// All pages, if they are known.
    pub fn pages(&self) -> Option<Vec<LogSequence>> {
        self.all_pages()
    }
}

/// Returns true if the entry of this number is a page.
fn is_page(number: u64) -> bool {
    number.is_multiple_of(JOURNAL_PAGE)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::models::{EntryKind, JOURNAL_FORMAT};

    /// Sequences of the entries of a journal, as they are found from its last one.
    fn found(stored: &BTreeMap<LogSequence, StoredEntry>) -> Vec<LogSequence> {
        let Some((_, last)) = stored.last_key_value() else { return Vec::new() };
        let mut end = JournalEnd::at(last);
        if let Some(page) = end.unread_page() {
            end.read_page(&stored[&page].entry);
        }
        let pages = end.pages().unwrap();
        let of_pages = pages.iter().flat_map(|page| stored[page].entry.recent.clone());
        let mut all: Vec<_> = of_pages.chain(end.recent().iter().copied()).collect();
        all.dedup();
        all
    }

    proptest! {
        #[test]
        fn all_entries_are_found_from_the_last_one(
            gaps in proptest::collection::vec(1..1_000u64, 0..400),
            reread in 0..400usize,
        ) {
            let (mut end, mut stored, mut at) = (JournalEnd::default(), BTreeMap::new(), 0);
            for (number, gap) in gaps.iter().enumerate() {
                at += gap;
                let sequence = LogSequence::new(at).unwrap();
                if number == reread && let Some((_, last)) = stored.last_key_value() {
                    end = JournalEnd::at(last);
                    if let Some(page) = end.unread_page() {
                        let page: &StoredEntry = &stored[&page];
                        end.read_page(&page.entry);
                    }
                }
                let entry = JournalEntry {
                    format: JOURNAL_FORMAT,
                    number: 0,
                    claim: 1,
                    time: chrono::DateTime::UNIX_EPOCH,
                    recent: Vec::new(),
                    pages: Vec::new(),
                    what: EntryKind::Begun { worker: String::new(), seed: None, input: None },
                };
                let entry = end.followed_by(entry).unwrap();
                prop_assert_eq!(entry.number, number as u64 + 1);
                prop_assert!(entry.recent.len() <= 64);
                end.moved_to(&entry, sequence);
                let timestamp = chrono::DateTime::UNIX_EPOCH;
                stored.insert(sequence, StoredEntry { entry, sequence, timestamp });
            }
            let all: Vec<_> = stored.keys().copied().collect();
            prop_assert_eq!(found(&stored), all);
        }
    }
}
