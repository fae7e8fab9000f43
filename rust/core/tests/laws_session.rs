//! The draft's view always says what the target said.
#![allow(missing_docs)]

mod common;

use std::sync::Arc;

use anydraft_core::bridge::{Bridge, Roles};
use anydraft_core::id::{DraftId, Id, TargetId};
use anydraft_core::session::Session;
use proptest::prelude::*;

fn bridge(target: &common::Merges, draft: &common::Merges, words: bool) -> Arc<Bridge> {
    let target = common::tokenizer::<TargetId>(target, common::ADDED, false);
    let draft = common::tokenizer::<DraftId>(draft, &["<b>"], words);
    Arc::new(Bridge::new(target, draft, &Roles::default()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 1000 }))]

    #[test]
    fn splices_lead_from_what_was_shown_to_the_view(
        target in common::merges(), draft in common::merges(), words: bool,
        rounds in prop::collection::vec((common::bytes(), common::bytes(), 0..3u8), 1..8),
    ) {
        let bridge = bridge(&target, &draft, words);
        let end = TargetId::new(bridge.target().vocab().len() as u32 - 1);
        let mut session = Session::new(Arc::clone(&bridge), Vec::new(), &[]);
        let mut shown: Vec<DraftId> = Vec::new();
        let mut said: Vec<u8> = Vec::new();
        for (drafted, committed, special) in rounds {
            let drafted = bridge.draft().encode_bytes(&drafted).unwrap();
            shown.truncate(session.view().len());
            shown.extend(&drafted);
            let mut ids = bridge.target().encode_bytes(&committed).unwrap();
            if special == 0 {
                ids.push(end);
            }
            let commit = session.commit(&ids, &drafted);
            prop_assert_eq!(&commit.bytes, &committed);
            said.extend(committed);
            commit.splice.apply(&mut shown);
            prop_assert_eq!(&shown[..], session.view());
            prop_assert_eq!(bridge.draft().vocab().decode(session.view()), said.clone());
            prop_assert_eq!(session.bytes(), &said[..]);
        }
    }

    #[test]
    fn a_proposal_says_what_was_drafted(target in common::merges(), draft in common::merges(), text in common::text()) {
        let bridge = bridge(&target, &draft, true);
        let session = Session::new(Arc::clone(&bridge), Vec::new(), &[]);
        let drafted = bridge.draft().encode_bytes(text.as_bytes()).unwrap();
        let proposal = session.propose(&drafted);
        prop_assert_eq!(bridge.target().vocab().decode(&proposal), text.as_bytes());
        prop_assert_eq!(proposal, bridge.target().encode_bytes(text.as_bytes()).unwrap());
    }
}
