//! Texts in a ring, with the places of every run of `KEY` bytes in chains.

use std::collections::VecDeque;

use super::{KEY, LEAST, LONGEST, LOOKED_AT, MOST};

/// Links of a chain that are followed, those to places of other runs with the same hash included.
const WALKED: usize = 8 * LOOKED_AT;
/// Places for each entry of the table of hashes, before it is doubled.
const LOAD: usize = 4;
/// Entries of the table of hashes at first.
const FIRST: usize = 256;
const NONE: u32 = u32::MAX;

/// Where a text goes on that ended as the text that was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The byte that follows, counted from the first that was ever pushed.
    pub position: u64,
    /// Bytes in common before it, from [`KEY`] to [`LONGEST`].
    pub length: usize,
}

/// Documents, of which the latest grows, and their places. A document's oldest bytes may be forgotten.
///
/// Positions count all bytes that were ever pushed, and so only grow. The byte of position `p` lies in slot
/// `p % most`. A *place* is a position with a byte of its document in it and `KEY` before it.
#[derive(Clone)]
pub struct Index {
    most: usize,
    text: Vec<u8>,
    /// For the place in a slot, how far back the one before it in its chain is; 0 is none.
    links: Vec<u32>,
    /// By hash, the slot of the latest place. A place that is forgotten is taken out.
    heads: Vec<u32>,
    /// Where each document starts that has bytes left, but for those forgotten; never empty.
    starts: VecDeque<u64>,
    end: u64,
    /// The last `KEY` bytes, of whatever documents.
    key: u64,
}

impl Index {
    /// An empty one that keeps `most` bytes, from [`LEAST`] to [`MOST`].
    pub fn new(most: usize) -> Self {
        Self {
            most: most.clamp(LEAST, MOST),
            text: Vec::new(),
            links: Vec::new(),
            heads: vec![NONE; FIRST],
            starts: VecDeque::from([0]),
            end: 0,
            key: 0,
        }
    }

    /// Bytes of text.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The most bytes that are kept.
    pub fn most(&self) -> usize {
        self.most
    }

    /// The oldest position that is kept.
    pub fn start(&self) -> u64 {
        self.end - self.text.len() as u64
    }

    /// The position of the next byte.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Number of documents that are not empty.
    pub fn count(&self) -> usize {
        self.starts.len() - usize::from(self.starts.back() == Some(&self.end))
    }

    /// Bytes of this process's memory that it takes.
    pub fn allocated(&self) -> usize {
        let words = self.links.capacity() + self.heads.capacity() + 2 * self.starts.capacity();
        self.text.capacity() + size_of::<u32>() * words
    }

    /// What is pushed from now on is another document.
    pub fn begin(&mut self) {
        if self.starts.back() != Some(&self.end) {
            self.starts.push_back(self.end);
        }
    }

    /// Appends bytes to the latest document.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut slot = self.slot(self.end);
        for &byte in bytes {
            if self.text.len() == self.most {
                self.forget();
                self.text[slot] = byte;
                self.links[slot] = 0;
            } else {
                if self.text.len() == self.text.capacity() {
                    self.grow();
                }
                self.text.push(byte);
                self.links.push(0);
            }
            let document = self.starts.back().copied().unwrap_or(0);
            if self.end - document >= KEY as u64 {
                self.note(slot);
            }
            self.end += 1;
            self.key = self.key << 8 | u64::from(byte);
            slot = if slot + 1 == self.most { 0 } else { slot + 1 };
            if self.text.len() > LOAD * self.heads.len() && self.text.len() < self.most {
                self.widen();
            }
        }
    }

    /// Makes room for twice the text, and for no more than will be kept.
    fn grow(&mut self) {
        let more = self.text.len().max(FIRST).min(self.most - self.text.len());
        self.text.reserve_exact(more);
        self.links.reserve_exact(self.text.capacity() - self.links.len());
    }

    /// Makes the place in `slot`, of position `end`, the latest of its chain.
    fn note(&mut self, slot: usize) {
        let bucket = bucket(self.key, self.heads.len());
        let older = self.heads[bucket];
        if older != NONE {
            let back = if older as usize >= slot {
                slot + self.most - older as usize
            } else {
                slot - older as usize
            };
            self.links[slot] = back as u32;
        }
        self.heads[bucket] = slot as u32;
    }

    /// Takes the oldest byte out, and with it the place whose run begins with it.
    fn forget(&mut self) {
        let oldest = self.start();
        let ends = self.starts.get(1).copied().unwrap_or(self.end);
        let place = oldest + KEY as u64;
        if place < ends {
            let key = (oldest..place).fold(0, |key, at| key << 8 | u64::from(self.byte(at)));
            let (bucket, slot) = (bucket(key, self.heads.len()), self.slot(place) as u32);
            if self.heads[bucket] == slot {
                self.heads[bucket] = NONE;
            }
        }
        if oldest + 1 == ends && self.starts.len() > 1 {
            self.starts.pop_front();
        }
    }

    /// Doubles the table of hashes. Nothing was forgotten yet.
    fn widen(&mut self) {
        self.heads = vec![NONE; 2 * self.heads.len()];
        let (end, key) = (self.end, self.key);
        for document in 0..self.starts.len() {
            let start = self.starts[document];
            let ends = self.starts.get(document + 1).copied().unwrap_or(end);
            for position in start..ends {
                let slot = position as usize;
                self.links[slot] = 0;
                if position - start >= KEY as u64 {
                    self.note(slot);
                }
                self.key = self.key << 8 | u64::from(self.text[slot]);
            }
        }
        self.key = key;
    }

    /// The places whose text before them ends as `suffix` does, the latest first; at most [`LOOKED_AT`].
    ///
    /// No match runs across two documents. None is found by fewer than [`KEY`] bytes.
    pub fn places(&self, suffix: &[u8]) -> Vec<Place> {
        let suffix = &suffix[suffix.len().saturating_sub(LONGEST)..];
        let Some(run) = suffix.last_chunk::<KEY>() else { return Vec::new() };
        let head = self.heads[bucket(u64::from_be_bytes(*run), self.heads.len())];
        if head == NONE {
            return Vec::new();
        }
        let least = self.start() + KEY as u64;
        let mut position = self.position(head as usize);
        let mut found = Vec::new();
        for _ in 0..WALKED {
            let length = self.common(suffix, position);
            if length >= KEY {
                found.push(Place { position, length });
            }
            let back = u64::from(self.links[self.slot(position)]);
            if back == 0 || position < least + back || found.len() == LOOKED_AT {
                break;
            }
            position -= back;
        }
        found
    }

    /// How many bytes before `position` are the last of `suffix`.
    fn common(&self, suffix: &[u8], position: u64) -> usize {
        let floor = self.document(position - 1).0.max(self.start());
        let mut before = (floor..position).rev();
        suffix.iter().rev().take_while(|&&byte| before.next().is_some_and(|at| self.byte(at) == byte)).count()
    }

    /// At most `wanted` bytes from `position` on, to the end of its document.
    pub fn following(&self, position: u64, wanted: usize) -> Vec<u8> {
        let ends = self.document(position).1.min(position.saturating_add(wanted as u64));
        (position.max(self.start())..ends).map(|at| self.byte(at)).collect()
    }

    /// The last bytes of the latest document, at most `wanted`.
    pub fn tail(&self, wanted: usize) -> Vec<u8> {
        let floor = self.starts.back().copied().unwrap_or(0).max(self.start());
        (floor.max(self.end.saturating_sub(wanted as u64))..self.end).map(|at| self.byte(at)).collect()
    }

    /// All documents, the oldest first, without what is forgotten of the first.
    pub fn documents(&self) -> Vec<Vec<u8>> {
        let starts = self.starts.iter().take(self.count());
        starts.map(|&start| self.following(start.max(self.start()), self.most)).collect()
    }

    /// Where the document of a position starts and ends; it may be forgotten in part.
    pub fn document(&self, position: u64) -> (u64, u64) {
        let next = self.starts.partition_point(|&start| start <= position);
        let start = if next == 0 { 0 } else { self.starts[next - 1] };
        (start, self.starts.get(next).copied().unwrap_or(self.end))
    }

    /// The byte of a position that is kept.
    pub fn byte(&self, position: u64) -> u8 {
        self.text[self.slot(position)]
    }

    fn slot(&self, position: u64) -> usize {
        (position % self.most as u64) as usize
    }

    /// The position that is kept in a slot.
    fn position(&self, slot: usize) -> u64 {
        let last = self.end - 1;
        let back = (self.slot(last) + self.most - slot) % self.most;
        last - back as u64
    }
}

/// The entry of a table of so many, a power of two, for a run.
fn bucket(key: u64, entries: usize) -> usize {
    let mixed = (key ^ key >> 29).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> (64 - entries.trailing_zeros())) as usize
}
