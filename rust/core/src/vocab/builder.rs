//! Builds a vocabulary and checks it.

use std::marker::PhantomData;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{Data, Kind, Vocab};
use crate::error::Error;
use crate::id::Id;

/// So many ids are always accepted.
const ROOM: usize = 1 << 20;
/// Ids for every token that are, in a vocabulary with more.
const SPARSEST: usize = 4;

struct Entry {
    kind: Kind,
    bytes: Vec<u8>,
    name: Option<String>,
}

/// Collects tokens in any order.
#[derive(Default)]
pub struct VocabBuilder {
    entries: FxHashMap<u32, Entry>,
    dummy_prefix: bool,
}

impl VocabBuilder {
    /// An empty vocabulary.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says that the tokenizer puts a space before the first word of a text.
    pub fn dummy_prefix(&mut self, yes: bool) -> &mut Self {
        self.dummy_prefix = yes;
        self
    }

    /// Adds a token that stands for bytes (`Kind::Text`, `Kind::Added` or `Kind::Byte`).
    ///
    /// # Errors
    /// `RepeatedId` if the id is taken.
    pub fn token(&mut self, id: u32, kind: Kind, bytes: Vec<u8>) -> Result<&mut Self, Error> {
        self.insert(id, Entry { kind, bytes, name: None })
    }

    /// Adds a control token, which stands for no bytes.
    ///
    /// # Errors
    /// `RepeatedId` if the id is taken.
    pub fn special(&mut self, id: u32, content: String) -> Result<&mut Self, Error> {
        self.insert(id, Entry { kind: Kind::Special, bytes: Vec::new(), name: Some(content) })
    }

    fn insert(&mut self, id: u32, entry: Entry) -> Result<&mut Self, Error> {
        match self.entries.insert(id, entry) {
            None => Ok(self),
            Some(_) => Err(Error::RepeatedId { id }),
        }
    }

    /// The finished vocabulary; gaps become unused ids.
    ///
    /// # Errors
    /// `TooLarge` for more than 2^31 bytes, `TooSparse` for ids far beyond the number of tokens: every id takes
    /// memory, used or not.
    pub fn build<I: Id>(mut self) -> Result<Vocab<I>, Error> {
        let tokens = self.entries.len();
        let last = self.entries.keys().max().copied();
        let size = last.map_or(0, |id| id as usize + 1);
        let most = ROOM.max(tokens.saturating_mul(SPARSEST));
        if let Some(id) = last.filter(|_| size > most) {
            return Err(Error::TooSparse { id, tokens, most });
        }
        let total = self.entries.values().map(|entry| entry.bytes.len()).sum();
        if size.max(total) > i32::MAX as usize {
            return Err(Error::TooLarge { size: size.max(total) });
        }
        let mut arena = Vec::with_capacity(total);
        let mut offsets = Vec::with_capacity(size + 1);
        let mut kinds = Vec::with_capacity(size);
        let mut names = FxHashMap::default();
        let mut canonical: FxHashMap<Box<[u8]>, u32> =
            FxHashMap::with_capacity_and_hasher(self.entries.len(), rustc_hash::FxBuildHasher);
        let mut shared: Vec<u32> = Vec::new();
        offsets.push(0);
        for id in 0..size as u32 {
            let entry = self.entries.remove(&id);
            let kind = entry.as_ref().map_or(Kind::Unused, |entry| entry.kind);
            kinds.push(kind);
            if let Some(Entry { bytes, name, .. }) = entry {
                arena.extend_from_slice(&bytes);
                if let Some(name) = name {
                    names.insert(id, name);
                }
                if !bytes.is_empty() {
                    let key = bytes.into_boxed_slice();
                    match canonical.get_mut(&key) {
                        None => {
                            canonical.insert(key, id);
                        }
                        Some(first) if kind < kinds[*first as usize] => {
                            shared.push(*first);
                            *first = id;
                        }
                        Some(_) => shared.push(id),
                    }
                }
            }
            offsets.push(arena.len() as u32);
        }
        let bytes_of = |id: u32| &arena[offsets[id as usize] as usize..offsets[id as usize + 1] as usize];
        let mut duplicates: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
        shared.sort_unstable();
        for id in shared {
            duplicates.entry(canonical[bytes_of(id)]).or_default().push(id);
        }
        let longest = canonical.keys().map(|bytes| bytes.len()).max().unwrap_or(0);
        let dummy_prefix = self.dummy_prefix;
        let data = Data { arena, offsets, kinds, names, canonical, duplicates, longest, dummy_prefix };
        Ok(Vocab { data: Arc::new(data), role: PhantomData })
    }
}
