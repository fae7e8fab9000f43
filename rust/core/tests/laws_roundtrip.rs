//! Detokenizer: nothing lost, nothing said twice, `truncate` undoes `push`.
#![allow(missing_docs)]

mod common;

use anydraft_core::detokenizer::Detokenizer;
use anydraft_core::id::TokenId;
use anydraft_core::utf8;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 2000 }))]

    #[test]
    fn chunks_add_up_to_the_text(merges in common::merges(), bytes in common::bytes(), step in 1..4usize) {
        let tokenizer = common::tokenizer::<TokenId>(&merges, common::ADDED, false);
        let ids = tokenizer.encode_bytes(&bytes).unwrap();
        let mut detokenizer = Detokenizer::new(tokenizer.vocab().clone());
        let mut text = String::new();
        for chunk in ids.chunks(step) {
            text += &detokenizer.push(chunk);
        }
        prop_assert_eq!(detokenizer.bytes(), &bytes[..]);
        prop_assert_eq!(detokenizer.pending(), &bytes[bytes.len() - utf8::pending(&bytes)..]);
        text += &detokenizer.finish();
        prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn truncate_undoes_push(
        merges in common::merges(), a in common::bytes(), b in common::bytes(), c in common::bytes(),
        at: prop::sample::Index,
    ) {
        let tokenizer = common::tokenizer::<TokenId>(&merges, &[], false);
        let encode = |bytes: &[u8]| tokenizer.encode_bytes(bytes).unwrap();
        let (a, b, c) = (encode(&a), encode(&b), encode(&c));
        let mut changed = Detokenizer::new(tokenizer.vocab().clone());
        changed.push(&a);
        changed.push(&b);
        let both = [a, b].concat();
        let keep = at.index(both.len() + 1);
        changed.truncate(keep);
        let mut plain = Detokenizer::new(tokenizer.vocab().clone());
        plain.push(&both[..keep]);
        prop_assert_eq!(changed.push(&c), plain.push(&c));
        prop_assert_eq!(changed.finish(), plain.finish());
        prop_assert_eq!(changed.bytes(), plain.bytes());
        prop_assert_eq!(changed.len(), plain.len());
    }
}
