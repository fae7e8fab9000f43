//! What holds for every text: the bytes come back, and an encoding may be restarted where it says so.

mod toys;

use std::sync::LazyLock;

use anydraft_core::encode::Restart;
use anydraft_hf::Loaded;
use proptest::prelude::*;
use toys::{byte_level, ids, load, pieces, sentencepiece, unigram};

static TOYS: LazyLock<Vec<Loaded>> = LazyLock::new(|| {
    let mut split = byte_level();
    split["pre_tokenizer"] = serde_json::json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}"}, "behavior": "Isolated", "invert": false},
        {"type": "Digits", "individual_digits": true},
        {"type": "Split", "pattern": {"Regex": "\\s+(?!\\S)|\\s+|\\S+"}, "behavior": "Removed", "invert": true},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]});
    let mut whole = byte_level();
    whole["pre_tokenizer"]["use_regex"] = serde_json::json!(false);
    let mut gappy = byte_level();
    gappy["pre_tokenizer"] = serde_json::json!({"type": "Sequence", "pretokenizers": [
        {"type": "Punctuation", "behavior": "Contiguous"},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        {"type": "Split", "pattern": {"Regex": "h."}, "behavior": "MergedWithNext", "invert": false}]});
    [byte_level(), sentencepiece(), unigram(), split, whole, gappy].iter().map(load).collect()
});

const WORDS: &[&str] =
    &["the", " the", "he", "ll", " ", "\n\n", "\n", "12", "é", "▁", "世", "<s>", "<｜tool｜>", "<0x41>"];

fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        3 => prop::sample::select(WORDS).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_come_back(text in text()) {
        for toy in TOYS.iter() {
            let vocab = toy.tokenizer.vocab();
            prop_assert_eq!(vocab.decode(&ids(toy, &text)), text.as_bytes());
        }
    }

    #[test]
    fn a_piece_begins_an_encoding_of_its_own(text in text()) {
        for toy in TOYS.iter().filter(|toy| toy.tokenizer.encoder().restart() == Restart::Pieces) {
            let all = pieces(toy, &text);
            let mut at = 0;
            for (index, piece) in all.iter().enumerate() {
                if piece.starts && text.is_char_boundary(at) {
                    prop_assert_eq!(&pieces(toy, &text[at..]), &all[index..]);
                }
                at += toy.tokenizer.vocab().bytes(piece.id).len();
            }
        }
    }

    #[test]
    fn neighbours_encode_to_themselves(text in text()) {
        for toy in TOYS.iter().filter(|toy| toy.tokenizer.encoder().restart() == Restart::Seams) {
            let vocab = toy.tokenizer.vocab();
            for pair in ids(toy, &text).windows(2) {
                if let Ok(both) = std::str::from_utf8(&vocab.decode(pair)) {
                    prop_assert_eq!(&ids(toy, both), pair);
                }
            }
        }
    }
}
