//! Intersection, tables, expansion and alignment against tables and a brute-force oracle.
#![allow(missing_docs)]

mod common;

use anydraft_core::alignment::{Boundary, common_boundaries};
use anydraft_core::bridge::{Bridge, Roles};
use anydraft_core::id::{DraftId, Id, MISSING, TargetId};
use anydraft_core::intersection::{coverage, pairs};
use anydraft_core::vocab::{Kind, Vocab, VocabBuilder};
use proptest::prelude::*;

fn vocab<I: Id>(tokens: &[(Kind, Vec<u8>)]) -> Vocab<I> {
    let mut builder = VocabBuilder::new();
    for (id, (kind, bytes)) in tokens.iter().enumerate() {
        match kind {
            Kind::Unused => {}
            Kind::Special => {
                builder.special(id as u32, format!("<{id}>")).unwrap();
            }
            kind => {
                builder.token(id as u32, *kind, bytes.clone()).unwrap();
            }
        }
    }
    builder.build().unwrap()
}

fn tokens() -> impl Strategy<Value = Vec<(Kind, Vec<u8>)>> {
    let kind = prop::sample::select(vec![
        Kind::Text,
        Kind::Text,
        Kind::Added,
        Kind::Byte,
        Kind::Special,
        Kind::Unused,
    ]);
    prop::collection::vec((kind, prop::collection::vec(0..3u8, 1..3)), 0..16)
}

fn swapped(pairs: &[(TargetId, DraftId)]) -> Vec<(u32, u32)> {
    let mut all: Vec<_> = pairs.iter().map(|(t, d)| (d.raw(), t.raw())).collect();
    all.sort_unstable();
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 2000 }))]

    #[test]
    fn pairs_agree_with_brute_force_and_are_symmetric(t in tokens(), d in tokens()) {
        let (target, draft) = (vocab::<TargetId>(&t), vocab::<DraftId>(&d));
        let found = pairs(&target, &draft);
        let mut brute = Vec::new();
        for a in target.ids() {
            for b in draft.ids() {
                if !target.bytes(a).is_empty() && target.bytes(a) == draft.bytes(b) {
                    brute.push((a, b));
                }
            }
        }
        prop_assert_eq!(&found, &brute);
        let other_way = pairs(&draft.retype(), &target.retype());
        let raw: Vec<_> = other_way.iter().map(|(t, d)| (t.raw(), d.raw())).collect();
        prop_assert_eq!(swapped(&found), raw);
        let sum = coverage(&target, &draft);
        let shared = |ids: &mut dyn Iterator<Item = u32>| ids.collect::<std::collections::BTreeSet<_>>().len();
        prop_assert_eq!(sum.target_shared, shared(&mut brute.iter().map(|(t, _)| t.raw())));
        prop_assert_eq!(sum.draft_shared, shared(&mut brute.iter().map(|(_, d)| d.raw())));
    }

    #[test]
    fn the_canonical_token_is_ordinary_then_added_then_byte_then_lowest(t in tokens()) {
        let vocab = vocab::<TargetId>(&t);
        for id in vocab.ids().filter(|&id| !vocab.bytes(id).is_empty()) {
            let best = vocab.ids().filter(|&other| vocab.bytes(other) == vocab.bytes(id)).min_by_key(|&other| (vocab.kind(other), other));
            prop_assert_eq!(vocab.find(vocab.bytes(id)), best);
        }
    }

    #[test]
    fn tables_and_expansion_agree_with_the_bytes(target in common::merges(), draft in common::merges()) {
        let bridge = Bridge::new(
            common::tokenizer(&target, common::ADDED, false),
            common::tokenizer(&draft, &["<b>"], true),
            &Roles::default(),
        );
        let (target, draft) = (bridge.target().vocab(), bridge.draft().vocab());
        let table = bridge.translation().draft_to_target();
        for (d, &image) in draft.ids().zip(&table) {
            let row = bridge.expansion().row(d);
            if draft.kind(d) == Kind::Special {
                prop_assert_eq!(target.special_name(row[0]), draft.special_name(d));
                continue;
            }
            prop_assert_eq!(target.decode(row), draft.bytes(d));
            let expected = target.find(draft.bytes(d)).map_or(MISSING, |t| i64::from(t.raw()));
            prop_assert_eq!(image, expected);
            prop_assert!(image == MISSING || row.len() == 1);
        }
        prop_assert_eq!(table.len(), draft.len());
        prop_assert_eq!(bridge.translation().target_to_draft().len(), target.len());
    }
}

#[test]
fn roles_map_control_tokens_by_meaning() {
    let (target, draft) = (common::tokenizer(&[], &[], false), common::tokenizer(&[], &["xy"], false));
    let (eos_t, eos_d) = (TargetId::new(256), DraftId::new(257));
    let beyond = DraftId::new(999);
    let roles = Roles { to_target: vec![(beyond, eos_t)], to_draft: vec![(eos_t, DraftId::new(0))] };
    let bridge = Bridge::new(target, draft, &roles);
    assert_eq!(bridge.translation().to_target(eos_d), Some(eos_t), "equal contents are partners");
    assert_eq!(bridge.translation().to_draft(eos_t), Some(DraftId::new(0)), "given roles win");
    assert_eq!(bridge.translation().to_target(beyond), None);
}

#[test]
fn common_boundaries_table() {
    let at = |offset, left, right| Boundary { offset, left, right };
    let table: &[(&[usize], &[usize], &[Boundary])] = &[
        (&[], &[], &[]),
        (&[1, 3], &[2, 3], &[at(3, 2, 2)]),
        (&[1, 2, 3], &[3], &[at(3, 3, 1)]),
        (&[1, 1, 2], &[1, 2, 2], &[at(1, 2, 1), at(2, 3, 3)]),
        (&[2], &[1, 3], &[]),
    ];
    for (left, right, expected) in table {
        assert_eq!(common_boundaries(left, right), *expected, "{left:?} {right:?}");
    }
}
