//! Ids to text, piece by piece.

use crate::id::Id;
use crate::utf8;
use crate::vocab::Vocab;

/// The bytes of a growing token sequence, handed out as text as soon as it is complete.
#[derive(Clone, Debug)]
pub struct Detokenizer<I: Id> {
    vocab: Vocab<I>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    told: usize,
}

impl<I: Id> Detokenizer<I> {
    /// An empty sequence.
    pub fn new(vocab: Vocab<I>) -> Self {
        Self { vocab, bytes: Vec::new(), ends: Vec::new(), told: 0 }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All bytes so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The unfinished code point at the end.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.bytes.len() - utf8::pending(&self.bytes)..]
    }

    /// Appends tokens; returns the text that became complete. O(new bytes).
    pub fn push(&mut self, ids: &[I]) -> String {
        for &id in ids {
            self.bytes.extend_from_slice(self.vocab.bytes(id));
            self.ends.push(self.bytes.len());
        }
        let complete = self.bytes.len() - utf8::pending(&self.bytes);
        self.tell(complete)
    }

    /// Gives out the unfinished rest, with U+FFFD for what never became a code point.
    pub fn finish(&mut self) -> String {
        self.tell(self.bytes.len())
    }

    /// Keeps the first `len` tokens. Text that was already given out cannot be taken back; what follows
    /// is given out from the last complete character that is left.
    pub fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
        self.told = self.told.min(self.bytes.len() - utf8::pending(&self.bytes));
    }

    fn tell(&mut self, end: usize) -> String {
        let start = self.told;
        self.told = end.max(start);
        String::from_utf8_lossy(&self.bytes[start..self.told]).into_owned()
    }
}
