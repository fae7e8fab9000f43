//! φ: every draft token as target tokens.

use crate::encode::Tokenizer;
use crate::id::{DraftId, Id, TargetId};
use crate::translation::Translation;
use crate::vocab::Vocab;

/// Compressed rows: row `d` holds the target tokens of draft token `d`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expansion {
    offsets: Vec<u32>,
    ids: Vec<TargetId>,
}

impl Expansion {
    /// One token where the vocabularies share it, else the target's own encoding of its bytes; an
    /// empty row where the target cannot write the bytes, and for control tokens without a partner.
    pub fn new(target: &Tokenizer<TargetId>, draft: &Vocab<DraftId>, translation: &Translation) -> Self {
        let mut offsets = Vec::with_capacity(draft.len() + 1);
        let mut ids = Vec::with_capacity(draft.len());
        offsets.push(0);
        for d in draft.ids() {
            match translation.to_target(d) {
                Some(t) => ids.push(t),
                None => ids.extend(target.encode_bytes(draft.bytes(d)).unwrap_or_default()),
            }
            offsets.push(ids.len() as u32);
        }
        Self { offsets, ids }
    }

    /// The target tokens of a draft token.
    pub fn row(&self, id: DraftId) -> &[TargetId] {
        match (self.offsets.get(id.index()), self.offsets.get(id.index() + 1)) {
            (Some(&start), Some(&end)) => &self.ids[start as usize..end as usize],
            _ => &[],
        }
    }

    /// Where each row starts; one entry more than there are draft tokens.
    pub fn offsets(&self) -> Vec<i64> {
        self.offsets.iter().map(|&offset| i64::from(offset)).collect()
    }

    /// All rows, one after the other.
    pub fn ids(&self) -> Vec<i64> {
        self.ids.iter().map(|id| i64::from(id.raw())).collect()
    }
}
