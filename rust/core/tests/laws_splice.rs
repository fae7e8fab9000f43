//! The laws of splices.
#![allow(missing_docs)]

use anydraft_core::splice::Splice;
use proptest::prelude::*;

fn ids() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..3u8, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 2000 }))]

    #[test]
    fn between_leads_from_one_to_the_other_and_keeps_all_it_can(a in ids(), b in ids()) {
        let splice = Splice::between(&a, &b);
        let mut changed = a.clone();
        splice.apply(&mut changed);
        prop_assert_eq!(&changed, &b);
        prop_assert_eq!(&a[..splice.keep], &b[..splice.keep]);
        prop_assert!(splice.keep == a.len().min(b.len()) || a[splice.keep] != b[splice.keep]);
    }

    #[test]
    fn then_is_one_after_the_other(a in ids(), b in ids(), c in ids()) {
        let (first, second) = (Splice::between(&a, &b), Splice::between(&b, &c));
        let mut stepwise = a.clone();
        first.apply(&mut stepwise);
        second.apply(&mut stepwise);
        let mut at_once = a.clone();
        first.then(&second).apply(&mut at_once);
        prop_assert_eq!(stepwise, at_once);
    }
}
