//! Which beginnings of documents are kept already: conversations grow by turns, requests share their openings.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::{Index, KEY, LONGEST};

/// A beginning is known by hash at every so many bytes, and as a whole.
const BLOCK: usize = 128;
/// There is at most one beginning for so many bytes of text.
const APART: usize = 32;

/// A beginning that is kept.
#[derive(Clone, Copy)]
struct Beginning {
    /// The position after it.
    at: u64,
    /// The oldest position of all that it lies in: kept at once it is kept as a whole.
    oldest: u64,
}

/// The beginnings that are kept, by their hashes.
///
/// Two texts with one hash would only cost that the second is not remembered.
#[derive(Clone, Default)]
pub struct Known {
    kept: FxHashMap<u64, Beginning>,
    /// Hashes with their positions, the oldest first.
    order: VecDeque<(u64, u64)>,
}

impl Known {
    /// Bytes of this process's memory that it takes.
    pub fn allocated(&self) -> usize {
        let entry = size_of::<(u64, Beginning)>() + 1;
        self.kept.capacity() * entry * 8 / 7 + self.order.capacity() * size_of::<(u64, u64)>()
    }

    /// Appends what is not there of a text: to the document that it continues if that is the latest, else as a
    /// document that repeats the last [`LONGEST`] bytes of what is there.
    pub fn add(&mut self, index: &mut Index, text: &[u8]) {
        let text = &text[text.len().saturating_sub(index.most())..];
        if text.len() <= KEY {
            return; // nothing can be found by it
        }
        let hashes = hashes(text);
        let live = |hash: &u64| self.kept.get(hash).copied().filter(|known| known.oldest >= index.start());
        let Some((blocks, known)) = (1..=hashes.len()).rev().find_map(|i| Some((i, live(&hashes[i - 1])?)))
        else {
            return self.append(index, text, &hashes, None);
        };
        let length = (blocks * BLOCK).min(text.len());
        let ends = index.document(known.at - 1).1;
        let more =
            (known.at..ends).zip(&text[length..]).take_while(|&(at, &byte)| index.byte(at) == byte).count();
        let length = length + more;
        if length == text.len() {
            return;
        }
        let repeated = if known.at + more as u64 == index.end() {
            0
        } else {
            index.begin();
            length.min(LONGEST)
        };
        index.push(&text[length - repeated..]);
        self.note(index, text, &hashes[length / BLOCK..], length / BLOCK, known.oldest);
    }

    /// Appends a text as a document.
    pub fn add_whole(&mut self, index: &mut Index, text: &[u8]) {
        let text = &text[text.len().saturating_sub(index.most())..];
        self.append(index, text, &hashes(text), None);
    }

    fn append(&mut self, index: &mut Index, text: &[u8], hashes: &[u64], oldest: Option<u64>) {
        index.begin();
        let start = index.end();
        index.push(text);
        self.note(index, text, hashes, 0, oldest.unwrap_or(start));
    }

    /// Notes the beginnings of a text that was just pushed, without the first `skipped` ones.
    fn note(&mut self, index: &Index, text: &[u8], hashes: &[u64], skipped: usize, oldest: u64) {
        for (i, &hash) in hashes.iter().enumerate() {
            let length = ((skipped + i + 1) * BLOCK).min(text.len());
            let at = index.end() - (text.len() - length) as u64;
            self.kept.insert(hash, Beginning { at, oldest });
            self.order.push_back((at, hash));
        }
        let most = index.most() / APART;
        while self.order.len() > most || self.order.front().is_some_and(|&(at, _)| at <= index.start()) {
            let Some((at, hash)) = self.order.pop_front() else { break };
            if self.kept.get(&hash).is_some_and(|known| known.at == at) {
                self.kept.remove(&hash);
            }
        }
    }
}

/// The hash of a text's beginning after every block, and of the whole.
fn hashes(text: &[u8]) -> Vec<u64> {
    let mut hash = 0x243F_6A88_85A3_08D3_u64;
    let blocks = text.chunks(BLOCK).map(|block| {
        for word in block.chunks(size_of::<u64>()) {
            let value = word.iter().fold(word.len() as u64, |value, &byte| value << 8 ^ u64::from(byte));
            hash = (hash ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            hash ^= hash >> 32;
        }
        hash
    });
    blocks.collect()
}
