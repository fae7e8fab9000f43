//! Incremental equals whole, for any text, any bytes and any order of changes.
#![allow(missing_docs)]

mod common;

use anydraft_core::id::TokenId;
use anydraft_core::retokenizer::Retokenizer;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Change {
    Push(Vec<u8>),
    Truncate(prop::sample::Index),
    Replace(prop::sample::Index, Vec<u8>),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        6 => common::bytes().prop_map(Change::Push),
        1 => any::<prop::sample::Index>().prop_map(Change::Truncate),
        1 => (any::<prop::sample::Index>(), common::bytes()).prop_map(|(at, new)| Change::Replace(at, new)),
    ];
    prop::collection::vec(change, 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn incremental_equals_whole(
        merges in common::merges(),
        added in prop::sample::select(vec![&[][..], common::ADDED]),
        words: bool,
        gap in prop::sample::select(vec![None, Some('😀')]),
        changes in changes(),
    ) {
        let tokenizer = common::tokenizer_with_gap::<TokenId>(&merges, added, words, gap);
        let mut incremental = Retokenizer::new(tokenizer.clone());
        let mut text: Vec<u8> = Vec::new();
        let mut ids: Vec<TokenId> = Vec::new();
        for change in changes {
            let splice = match change {
                Change::Push(new) => {
                    text.extend(&new);
                    incremental.push(&new)
                }
                Change::Truncate(at) => {
                    text.truncate(at.index(text.len() + 1));
                    incremental.truncate(text.len())
                }
                Change::Replace(at, new) => {
                    text.truncate(at.index(text.len() + 1));
                    let keep = text.len();
                    text.extend(&new);
                    incremental.replace_tail(keep, &new)
                }
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
            prop_assert!(covered || gap.is_some());
        }
    }
}
