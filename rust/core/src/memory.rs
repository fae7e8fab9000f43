//! What was said before: bytes, indexed by what came before them.
//!
//! An [`Index`] keeps texts as [`Documents`](Index::begin), with the places of every run of [`KEY`] bytes in
//! chains as in LZ77, the latest first. It takes 7 bytes for each byte of text when it is full, up to twice so
//! before; pushing costs what is new, and looking up does not depend on the length of what is kept. A sequence has an index of its own
//! text; a [`Memory`] is one for many texts and threads, which forgets the oldest bytes when it is full.
//! [`continuations`] asks both how a text may go on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

pub use continuations::{Continuation, continuations};
pub use index::{Index, Place};
use known::Known;

mod continuations;
mod index;
mod known;

/// Shortest match, in bytes: one or two words. A shorter one is a coincidence more often than not.
pub const KEY: usize = 8;
/// Bytes compared: a longer match says nothing more.
pub const LONGEST: usize = 64;
/// Earlier places that are compared, from the latest back.
pub const LOOKED_AT: usize = 32;
/// The least that an index can be asked to keep, in bytes.
pub const LEAST: usize = 2 * KEY;
/// The most that an index can be asked to keep, in bytes.
pub const MOST: usize = 1 << 30;

/// Texts that were seen, for many threads. Bounded; the oldest bytes are forgotten first.
pub struct Memory {
    kept: Mutex<Kept>,
    decodes: AtomicU64,
}

struct Kept {
    index: Index,
    known: Known,
}

impl Kept {
    fn new(most: usize) -> Self {
        Self { index: Index::new(most), known: Known::default() }
    }
}

impl Memory {
    /// An empty one that keeps `most` bytes, from [`LEAST`] to [`MOST`].
    pub fn new(most: usize) -> Self {
        Self { kept: Mutex::new(Kept::new(most)), decodes: AtomicU64::new(0) }
    }

    /// Remembers a text as a document. What is kept of it as the beginning of another one is not kept twice,
    /// and of one that is too long the end is kept.
    pub fn add(&self, text: &[u8]) {
        let mut kept = self.lock();
        let Kept { index, known } = &mut *kept;
        known.add(index, text);
    }

    /// Remembers documents as they are, after what is there.
    pub fn restore<'a>(&self, documents: impl IntoIterator<Item = &'a [u8]>) {
        let mut kept = self.lock();
        let Kept { index, known } = &mut *kept;
        for text in documents {
            known.add_whole(index, text);
        }
    }

    /// A number that no other decode with this memory has: from 1 on.
    pub fn number_decode(&self) -> u64 {
        self.decodes.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How many decodes have a number.
    pub fn decodes(&self) -> u64 {
        self.decodes.load(Ordering::Relaxed)
    }

    /// There were at least so many decodes before.
    pub fn skip_decodes(&self, count: u64) {
        self.decodes.fetch_max(count, Ordering::Relaxed);
    }

    /// Forgets all texts.
    pub fn clear(&self) {
        let mut kept = self.lock();
        *kept = Kept::new(kept.index.most());
    }

    /// Bytes of text.
    pub fn len(&self) -> usize {
        self.lock().index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most bytes of text that are kept.
    pub fn most(&self) -> usize {
        self.lock().index.most()
    }

    /// All documents, the oldest first, without what is forgotten of the first.
    pub fn documents(&self) -> Vec<Vec<u8>> {
        self.lock().index.documents()
    }

    /// Number of documents.
    pub fn count(&self) -> usize {
        self.lock().index.count()
    }

    /// Bytes of this process's memory that it takes.
    pub fn allocated(&self) -> usize {
        let kept = self.lock();
        kept.index.allocated() + kept.known.allocated()
    }

    /// The places whose text before them ends as `suffix` does; see [`Index::places`].
    fn with<T>(&self, work: impl FnOnce(&Index) -> T) -> T {
        work(&self.lock().index)
    }

    /// Whatever panicked while it held the lock may have left half a change: everything is forgotten.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(|poisoned| {
            let mut kept = poisoned.into_inner();
            *kept = Kept::new(kept.index.most());
            self.kept.clear_poison();
            kept
        })
    }
}
