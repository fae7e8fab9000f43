//! Incremental equals whole, for any text, any bytes and any order of changes.
#![allow(missing_docs)]

mod common;

use anydraft_core::encode::Tokenizer;
use anydraft_core::id::TokenId;
use anydraft_core::retokenizer::Retokenizer;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Change {
    Push(Vec<u8>),
    Truncate(prop::sample::Index),
    Replace(prop::sample::Index, Vec<u8>),
    Back(usize),
    Instead(usize, Vec<u8>),
}

/// A long run at once, then changes of a few bytes at its end, often by more of the same.
fn changes_at_a_run() -> impl Strategy<Value = Vec<Change>> {
    prop::sample::select(common::ALIKE).prop_flat_map(|alike| {
        let beginning = (common::text(), common::run(alike, 380..520))
            .prop_map(|parts| Change::Push([parts.0, parts.1].concat().into_bytes()));
        let same = || common::run(alike, 1..9).prop_map(String::into_bytes);
        let small = prop_oneof![
            8 => same().prop_map(Change::Push),
            2 => common::bytes().prop_map(Change::Push),
            4 => (0..20usize).prop_map(Change::Back),
            4 => (0..20usize, same()).prop_map(|(back, new)| Change::Instead(back, new)),
            1 => (0..40usize, common::bytes()).prop_map(|(back, new)| Change::Instead(back, new)),
        ];
        (beginning, prop::collection::vec(small, 1..12))
            .prop_map(|(beginning, small)| std::iter::once(beginning).chain(small).collect())
    })
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        6 => common::bytes().prop_map(Change::Push),
        1 => any::<prop::sample::Index>().prop_map(Change::Truncate),
        1 => (any::<prop::sample::Index>(), common::bytes()).prop_map(|(at, new)| Change::Replace(at, new)),
    ];
    prop::collection::vec(change, 1..14)
}

fn incremental_is_whole(
    tokenizer: &Tokenizer<TokenId>,
    changes: Vec<Change>,
    gap: bool,
) -> Result<(), TestCaseError> {
    let mut incremental = Retokenizer::new(tokenizer.clone());
    let mut text: Vec<u8> = Vec::new();
    let mut ids: Vec<TokenId> = Vec::new();
    for change in changes {
        let length = text.len();
        let (keep, new, only_cut) = match change {
            Change::Push(new) => (length, new, false),
            Change::Truncate(at) => (at.index(length + 1), Vec::new(), true),
            Change::Back(back) => (length.saturating_sub(back), Vec::new(), true),
            Change::Replace(at, new) => (at.index(length + 1), new, false),
            Change::Instead(back, new) => (length.saturating_sub(back), new, false),
        };
        text.truncate(keep);
        text.extend(&new);
        let splice = if only_cut {
            incremental.truncate(keep)
        } else if keep == length {
            incremental.push(&new)
        } else {
            incremental.replace_tail(keep, &new)
        };
        splice.apply(&mut ids);
        let mut at_once = Retokenizer::new(tokenizer.clone());
        at_once.push(&text);
        let whole = at_once.ids().to_vec();
        prop_assert_eq!(incremental.text(), &text[..]);
        prop_assert_eq!(incremental.ids(), &whole[..], "text {:?}", String::from_utf8_lossy(&text));
        prop_assert_eq!(&ids, &whole);
        prop_assert_eq!(incremental.ends(), at_once.ends());
        for (id, &end) in whole.iter().zip(at_once.ends()) {
            prop_assert!(text[..end].ends_with(tokenizer.vocab().bytes(*id)));
        }
        let covered = tokenizer.vocab().decode(&whole) == text;
        prop_assert_eq!(tokenizer.encode_bytes(&text), covered.then_some(whole));
        prop_assert!(covered || gap);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 10_000 }))]

    #[test]
    fn incremental_equals_whole(
        merges in common::merges(),
        added in prop::sample::select(vec![&[][..], common::ADDED]),
        words: bool,
        gap in prop::sample::select(vec![None, Some('😀')]),
        changes in changes(),
    ) {
        let tokenizer = common::tokenizer_with_gap::<TokenId>(&merges, added, words, gap);
        incremental_is_whole(&tokenizer, changes, gap.is_some())?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 2_000 }))]

    #[test]
    fn incremental_equals_whole_at_a_long_run(
        merges in common::merges(),
        added in prop::sample::select(vec![&[][..], common::ADDED]),
        gap in prop::sample::select(vec![None, Some('😀')]),
        changes in changes_at_a_run(),
    ) {
        let tokenizer = common::tokenizer_with_gap::<TokenId>(&merges, added, true, gap);
        incremental_is_whole(&tokenizer, changes, gap.is_some())?;
    }
}
