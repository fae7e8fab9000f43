//! A vocabulary as bytes: id to bytes, bytes to ids.

use std::marker::PhantomData;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::id::{Id, TokenId};

pub mod builder;

pub use builder::VocabBuilder;

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// An ordinary token of the model's vocabulary.
    Text,
    /// A token added beside the model that stands for plain text.
    Added,
    /// A byte-fallback token: one raw byte, used only where text has no token of its own.
    Byte,
    /// A control token: it stands for no bytes.
    Special,
    /// An id with no token (a gap or padding).
    Unused,
}

#[derive(Debug)]
struct Data {
    arena: Vec<u8>,
    /// `offsets[i]..offsets[i + 1]` are the bytes of id `i`.
    offsets: Vec<u32>,
    kinds: Vec<Kind>,
    names: FxHashMap<u32, String>,
    canonical: FxHashMap<Box<[u8]>, u32>,
    /// Ids that share their bytes with a canonical id, by that id.
    duplicates: FxHashMap<u32, Vec<u32>>,
    longest: usize,
    dummy_prefix: bool,
}

/// An immutable vocabulary as bytes. Cheap to clone; `I` says whose ids these are.
#[derive(Clone, Debug)]
pub struct Vocab<I: Id = TokenId> {
    data: Arc<Data>,
    role: PhantomData<I>,
}

impl<I: Id> Vocab<I> {
    /// The same vocabulary in another role.
    #[must_use]
    pub fn retype<J: Id>(&self) -> Vocab<J> {
        Vocab { data: Arc::clone(&self.data), role: PhantomData }
    }

    /// Number of ids, unused ones included.
    pub fn len(&self) -> usize {
        self.data.kinds.len()
    }

    /// Whether there is no id at all.
    pub fn is_empty(&self) -> bool {
        self.data.kinds.is_empty()
    }

    /// All ids in ascending order.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = I> + use<I> {
        (0..self.len() as u32).map(I::new)
    }

    /// The raw bytes of a token; empty for special and unused ids and for ids beyond the vocabulary.
    pub fn bytes(&self, id: I) -> &[u8] {
        let i = id.index();
        match (self.data.offsets.get(i), self.data.offsets.get(i + 1)) {
            (Some(&start), Some(&end)) => &self.data.arena[start as usize..end as usize],
            _ => &[],
        }
    }

    /// What a token is; ids beyond the vocabulary are unused (padding).
    pub fn kind(&self, id: I) -> Kind {
        self.data.kinds.get(id.index()).copied().unwrap_or(Kind::Unused)
    }

    /// The content of a special token.
    pub fn special_name(&self, id: I) -> Option<&str> {
        self.data.names.get(&id.raw()).map(String::as_str)
    }

    /// All special tokens with their contents, in ascending order of id.
    pub fn specials(&self) -> Vec<(I, &str)> {
        let mut all: Vec<_> = self.data.names.iter().map(|(&id, name)| (I::new(id), name.as_str())).collect();
        all.sort_unstable();
        all
    }

    /// The canonical token with exactly these bytes: ordinary before added before byte fallback,
    /// then the lowest id.
    pub fn find(&self, bytes: &[u8]) -> Option<I> {
        self.data.canonical.get(bytes).map(|&id| I::new(id))
    }

    /// The other ids with the bytes of the canonical id `id`, in ascending order.
    pub fn duplicates(&self, id: I) -> impl Iterator<Item = I> + '_ {
        self.data.duplicates.get(&id.raw()).into_iter().flatten().map(|&id| I::new(id))
    }

    /// Canonical ids with their bytes, in no particular order.
    pub fn distinct(&self) -> impl Iterator<Item = (I, &[u8])> + '_ {
        self.data.canonical.iter().map(|(bytes, &id)| (I::new(id), &**bytes))
    }

    /// The length in bytes of the longest token.
    pub fn longest(&self) -> usize {
        self.data.longest
    }

    /// Whether this tokenizer puts a space before the first word of a text (`SentencePiece` style).
    pub fn dummy_prefix(&self) -> bool {
        self.data.dummy_prefix
    }

    /// Spells bytes that are not text: the token of all of them if there is one, else one token a byte.
    pub fn spell(&self, bytes: &[u8]) -> Option<Vec<I>> {
        if let Some(id) = self.find(bytes) {
            return Some(vec![id]);
        }
        bytes.iter().map(|byte| self.find(std::slice::from_ref(byte))).collect()
    }

    /// Appends the bytes of `ids` to `out`.
    pub fn decode_into(&self, ids: &[I], out: &mut Vec<u8>) {
        for &id in ids {
            out.extend_from_slice(self.bytes(id));
        }
    }

    /// The bytes of `ids`, one after the other.
    pub fn decode(&self, ids: &[I]) -> Vec<u8> {
        let mut out = Vec::new();
        self.decode_into(ids, &mut out);
        out
    }
}
