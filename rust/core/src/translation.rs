//! Dense id tables between the two vocabularies.

use crate::id::{DraftId, Id, MISSING, TargetId};
use crate::vocab::Vocab;

/// For every id of one vocabulary its image in the other, if there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Translation {
    draft_to_target: Vec<Option<TargetId>>,
    target_to_draft: Vec<Option<DraftId>>,
}

impl Translation {
    /// Tokens by bytes (the image of duplicates is the canonical token), control tokens by the pairs
    /// `to_target` and `to_draft`. Entries of those lists that name no id are ignored.
    pub fn new(
        target: &Vocab<TargetId>,
        draft: &Vocab<DraftId>,
        to_target: &[(DraftId, TargetId)],
        to_draft: &[(TargetId, DraftId)],
    ) -> Self {
        // each distinct token of the smaller side is looked up once, for both tables
        let (mut draft_to_target, mut target_to_draft) = (vec![None; draft.len()], vec![None; target.len()]);
        if draft.len() < target.len() {
            link(draft, target, &mut draft_to_target, &mut target_to_draft);
        } else {
            link(target, draft, &mut target_to_draft, &mut draft_to_target);
        }
        assign(&mut draft_to_target, to_target);
        assign(&mut target_to_draft, to_draft);
        Self { draft_to_target, target_to_draft }
    }

    /// The target token of a draft token.
    pub fn to_target(&self, id: DraftId) -> Option<TargetId> {
        self.draft_to_target.get(id.index()).copied().flatten()
    }

    /// The draft token of a target token.
    pub fn to_draft(&self, id: TargetId) -> Option<DraftId> {
        self.target_to_draft.get(id.index()).copied().flatten()
    }

    /// The table draft id → target id.
    pub fn draft_to_target(&self) -> Vec<i64> {
        dense(&self.draft_to_target)
    }

    /// The table target id → draft id.
    pub fn target_to_draft(&self) -> Vec<i64> {
        dense(&self.target_to_draft)
    }
}

fn link<I: Id, J: Id>(few: &Vocab<I>, many: &Vocab<J>, there: &mut [Option<J>], back: &mut [Option<I>]) {
    for (i, bytes) in few.distinct() {
        if let Some(j) = many.find(bytes) {
            for same in std::iter::once(i).chain(few.duplicates(i)) {
                there[same.index()] = Some(j);
            }
            for same in std::iter::once(j).chain(many.duplicates(j)) {
                back[same.index()] = Some(i);
            }
        }
    }
}

fn assign<I: Id, J: Id>(table: &mut [Option<J>], special: &[(I, J)]) {
    for &(id, image) in special {
        if let Some(slot) = table.get_mut(id.index()) {
            *slot = Some(image);
        }
    }
}

fn dense<I: Id>(table: &[Option<I>]) -> Vec<i64> {
    table.iter().map(|slot| slot.map_or(MISSING, |id| i64::from(id.raw()))).collect()
}
