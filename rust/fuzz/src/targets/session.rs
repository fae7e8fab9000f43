//! The draft's view says what the target said, whatever is drafted and committed.

use std::sync::{Arc, OnceLock};

use anydraft_core::bridge::{Bridge, Roles};
use anydraft_core::encode::Tokenizer;
use anydraft_core::id::{DraftId, Id, TargetId};
use anydraft_core::session::Session;

use crate::{Part, files, toys};

/// A pair, and rounds: what is drafted, what is committed, and text that is committed after it.
pub type Given = (u8, Vec<(Vec<u16>, Vec<u16>, Part)>);

fn bridges() -> &'static [Arc<Bridge>] {
    static MADE: OnceLock<Vec<Arc<Bridge>>> = OnceLock::new();
    MADE.get_or_init(|| {
        let load = |at: usize| toys::load(&files()[at]).tokenizer;
        let sides = |target: usize, draft: usize| -> (Tokenizer<TargetId>, Tokenizer<DraftId>) {
            (load(target).retype(), load(draft).retype())
        };
        let pairs = [(0, 1), (1, 0), (0, 2), (1, 2)];
        pairs
            .iter()
            .map(|&(target, draft)| {
                let (target, draft) = sides(target, draft);
                Arc::new(Bridge::new(target, draft, &Roles::default()))
            })
            .collect()
    })
}

/// Asserts it for one input.
pub fn run(given: &Given) {
    let bridge = &bridges()[usize::from(given.0) % 4];
    let mut session = Session::new(Arc::clone(bridge), Vec::new(), &[]);
    let mut shown: Vec<DraftId> = Vec::new();
    for (drafted, committed, part) in given.1.iter().take(8) {
        let of = |ids: &[u16], size: usize| {
            ids.iter().take(8).map(move |id| u32::from(*id) % size as u32).collect::<Vec<_>>()
        };
        let drafted: Vec<DraftId> =
            of(drafted, bridge.draft().vocab().len()).into_iter().map(DraftId::new).collect();
        let mut ids: Vec<TargetId> =
            of(committed, bridge.target().vocab().len()).into_iter().map(TargetId::new).collect();
        if let Some(more) = bridge.target().encode_bytes(part.bytes()) {
            ids.extend(more);
        }
        let _ = session.propose(&drafted);
        shown.truncate(session.view().len());
        shown.extend(&drafted);
        let commit = session.commit(&ids, &drafted);
        commit.splice.apply(&mut shown);
        assert_eq!(&shown[..], session.view());
    }
}
