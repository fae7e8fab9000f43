//! What is read, and what is refused.

mod toys;

use anydraft_core::encode::Restart;
use anydraft_core::vocab::Kind;
use anydraft_hf::{Error, Surface, fingerprint, from_json, from_tiktoken, tiktoken_fingerprint};
use serde_json::{Value, json};
use toys::{added, byte_level, id, ids, load, pieces, sentencepiece, shown, unigram};

#[test]
fn byte_level_tokens_are_raw_bytes() {
    let loaded = load(&byte_level());
    let vocab = loaded.tokenizer.vocab();
    assert_eq!(loaded.surface, Surface::ByteLevel);
    assert_eq!(vocab.find(b" the").map(|id| vocab.kind(id)), Some(Kind::Text));
    assert_eq!(vocab.bytes(id(301)), "<｜tool｜>".as_bytes());
    assert_eq!((vocab.kind(id(300)), vocab.kind(id(301))), (Kind::Special, Kind::Added));
    assert_eq!(vocab.special_name(id(300)), Some("<|end|>"));
    assert!(vocab.dummy_prefix() && loaded.missing_bytes.is_empty() && !loaded.string_lossy);
    assert_eq!(loaded.tokenizer.encoder().restart(), Restart::Pieces);
    assert_eq!(loaded.tokenizer.encoder().longest_added(), "<｜tool｜>".len());
    assert_eq!(shown(&loaded, "he the"), ["he", " the"]);
}

#[test]
fn sentencepiece_tokens_are_raw_bytes() {
    let loaded = load(&sentencepiece());
    let vocab = loaded.tokenizer.vocab();
    assert_eq!(loaded.surface, Surface::SentencePiece);
    assert_eq!((vocab.kind(id(3 + 0x41)), vocab.bytes(id(3 + 0x41))), (Kind::Byte, &b"A"[..]));
    assert_eq!(vocab.kind(vocab.find(b" ").unwrap()), Kind::Text);
    assert_eq!(vocab.specials().len(), 3);
    assert!(vocab.dummy_prefix());
    assert_eq!(loaded.tokenizer.encoder().restart(), Restart::Seams);
    assert_eq!(shown(&loaded, "the the"), ["t", "he", " the"]);
    assert_eq!(shown(&loaded, "A\n\n"), ["A", r"\n\n"]);
}

#[test]
fn a_literal_meta_space_is_not_a_space() {
    for toy in [sentencepiece(), unigram()] {
        let loaded = load(&toy);
        assert_eq!(shown(&loaded, "a▁b"), ["a", r"\xe2", r"\x96", r"\x81", "b"]);
    }
}

#[test]
fn text_that_looks_special_is_plain() {
    let byte_level = load(&byte_level());
    assert!(!ids(&byte_level, "a<|end|>").contains(&id(300)));
    assert!(ids(&byte_level, "a<｜tool｜>b").contains(&id(301)));
    let sentencepiece = load(&sentencepiece());
    assert!(ids(&sentencepiece, "</s><unk>").iter().all(|found| *found > id(2)));
}

#[test]
fn pieces_start_where_the_pre_tokenizer_cuts() {
    let loaded = load(&byte_level());
    let found = pieces(&loaded, "he the12<｜tool｜>x");
    let starts: Vec<bool> = found.iter().map(|piece| piece.starts).collect();
    assert_eq!(starts, [true, true, true, true, true]);
    let starts: Vec<bool> = pieces(&loaded, "hex he").iter().map(|piece| piece.starts).collect();
    assert_eq!(starts, [true, false, true, false]);
}

#[test]
fn unigram_behind_a_metaspace() {
    let loaded = load(&unigram());
    assert_eq!(loaded.tokenizer.encoder().restart(), Restart::Pieces);
    assert!(loaded.tokenizer.vocab().dummy_prefix());
    assert_eq!(shown(&loaded, "the the"), ["t", "he", " the"]);
}

#[test]
fn restarts() {
    let whole =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let never = json!({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false});
    let punctuation = json!({"type": "Sequence", "pretokenizers": [{"type": "Punctuation", "behavior": "Contiguous"}, whole]});
    let (mut a, mut b, mut c, mut d) = (byte_level(), sentencepiece(), byte_level(), byte_level());
    a["pre_tokenizer"] = whole.clone();
    b["pre_tokenizer"] = never;
    c["pre_tokenizer"] = punctuation;
    d["pre_tokenizer"] = whole;
    d["model"]["ignore_merges"] = json!(true);
    for (toy, expected) in
        [(a, Restart::Seams), (b, Restart::Seams), (c, Restart::Never), (d, Restart::Never)]
    {
        assert_eq!(load(&toy).tokenizer.encoder().restart(), expected);
    }
}

#[test]
fn ids_out_of_proportion_are_refused_before_they_take_memory() {
    for id in [1_u32 << 20, 1_000_000_000, u32::MAX] {
        let mut toy = byte_level();
        toy["model"]["vocab"]["far"] = json!(id);
        let error = from_json(&toy.to_string()).err().unwrap().to_string();
        assert!(error.contains(&id.to_string()) && error.contains("at most 1048576"), "{error}");
        let ranks = (0..=255).map(|byte| (vec![byte], u32::from(byte))).collect();
        assert!(from_tiktoken(ranks, vec![("<end>".into(), id)], ".").is_err());
    }
    let mut toy = byte_level();
    toy["model"]["vocab"]["far"] = json!((1 << 20) - 1);
    assert_eq!(load(&toy).tokenizer.vocab().len(), 1 << 20);
}

#[test]
fn long_pieces_are_known_where_the_cut_is() {
    let mut runs = byte_level();
    runs["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "(?:ab)+|."}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]});
    for (toy, expected) in [(byte_level(), true), (runs, false), (sentencepiece(), false), (unigram(), false)]
    {
        assert_eq!(load(&toy).tokenizer.encoder().long_pieces().is_some(), expected);
    }
    let loaded = load(&byte_level());
    let long = loaded.tokenizer.encoder().long_pieces().unwrap();
    assert_eq!(long.class('a'), long.class('世'));
    assert_ne!(long.class('<'), long.class('>')); // an added token begins with it
}

#[test]
fn normal_forms_are_dropped_and_told() {
    let mut toy = byte_level();
    toy["normalizer"] = json!({"type": "NFC"});
    let loaded = load(&toy);
    assert!(loaded.string_lossy);
    assert_eq!(shown(&loaded, "e\u{301}"), ["e", r"\xcc", r"\x81"]);
}

#[test]
fn bytes_without_a_token_are_told_and_left_out() {
    let mut toy = byte_level();
    toy["model"]["vocab"].as_object_mut().unwrap().remove("Ą"); // 0x04
    let loaded = load(&toy);
    assert_eq!(loaded.missing_bytes, [4]);
    assert_eq!(shown(&loaded, "h\u{4}e"), ["h", "e"]);
}

#[test]
fn fingerprints() {
    let (one, other) = (load(&byte_level()), load(&sentencepiece()));
    assert_eq!(one.fingerprint, load(&byte_level()).fingerprint);
    assert_ne!(one.fingerprint, other.fingerprint);
    assert_eq!(one.fingerprint.len(), 32);
    let mut used = byte_level();
    used["padding"] = json!({"strategy": "BatchLongest"});
    used["truncation"] = json!({"max_length": 8});
    assert_eq!(fingerprint(&used.to_string()), one.fingerprint);
    used["model"]["merges"].as_array_mut().unwrap().pop();
    assert_ne!(fingerprint(&used.to_string()), one.fingerprint);
    assert_eq!(fingerprint("no JSON").len(), 32);
}

/// As transformers 5.17 converts the tokenizer of a GGUF file.
fn with_both_decoders(mut toy: Value) -> Value {
    toy["decoder"] = json!({"type": "Sequence", "decoders": [
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
    ]});
    toy["normalizer"] = json!({"type": "Sequence", "normalizers": []});
    toy["model"]["byte_fallback"] = json!(true);
    toy["model"]["fuse_unk"] = json!(true);
    toy
}

#[test]
fn a_decoder_of_both_forms_reads_byte_level_tokens() {
    let (plain, both) = (load(&byte_level()), load(&with_both_decoders(byte_level())));
    assert_eq!(both.surface, Surface::ByteLevel);
    for text in ["he the", "a▁b <0x0A>", "  ça va\n\n", "<|end|><｜tool｜>"] {
        assert_eq!(shown(&plain, text), shown(&both, text));
    }
    for content in ["a▁b", "<0x41>"] {
        let mut toy = with_both_decoders(byte_level());
        toy["added_tokens"].as_array_mut().unwrap().push(added(302, content, false));
        let error = from_json(&toy.to_string()).err().unwrap();
        assert!(error.to_string().contains("no byte form"), "{error}");
        *toy["added_tokens"].as_array_mut().unwrap().last_mut().unwrap() = added(302, content, true);
        assert_eq!(shown(&load(&toy), "he the"), ["he", " the"]);
    }
}

#[test]
fn a_decoder_that_strips_before_byte_level_has_no_dummy_prefix() {
    let mut toy = with_both_decoders(byte_level());
    toy["pre_tokenizer"]["add_prefix_space"] = json!(false);
    assert!(!load(&toy).tokenizer.vocab().dummy_prefix());
    let strip = json!({"type": "Strip", "content": " ", "start": 1, "stop": 0});
    toy["decoder"]["decoders"].as_array_mut().unwrap().insert(3, strip);
    assert!(!load(&toy).tokenizer.vocab().dummy_prefix());
}

#[test]
fn refused_by_name() {
    let with = |mut toy: Value, key: &str, section: Value| {
        toy[key] = section;
        toy
    };
    let mut clash = byte_level();
    clash["added_tokens"] = json!([added(5, "<|end|>", true)]);
    let mut foreign = byte_level();
    foreign["model"]["vocab"]["a b"] = json!(302);
    let table = [
        (with(byte_level(), "normalizer", json!({"type": "Lowercase"})), "normalizer Lowercase"),
        (
            with(byte_level(), "pre_tokenizer", json!({"type": "BertPreTokenizer"})),
            "pre-tokenizer BertPreTokenizer",
        ),
        (with(byte_level(), "pre_tokenizer", Value::Null), "no byte form"),
        (
            with(byte_level(), "decoder", json!({"type": "WordPiece", "prefix": "", "cleanup": true})),
            "decoder WordPiece",
        ),
        (with(sentencepiece(), "decoder", json!({"type": "ByteLevel"})), "no byte form"),
        (with(byte_level(), "model", json!({"type": "WordPiece", "vocab": {}})), "model WordPiece"),
        (clash, "id 5, but id 300"),
        (foreign, "outside the byte-level alphabet"),
    ];
    for (toy, words) in table {
        let error = from_json(&toy.to_string()).err().unwrap();
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(matches!(from_json("{"), Err(Error::Json { .. })));
}

#[test]
fn a_token_that_decodes_to_other_bytes_fails_the_self_check() {
    let mut toy = sentencepiece();
    toy["decoder"]["decoders"].as_array_mut().unwrap().remove(1); // <0xNN> now decodes to itself
    assert!(matches!(from_json(&toy.to_string()), Err(Error::Decode { .. })));
}

#[test]
fn tiktoken_merges_by_rank_of_the_result() {
    let words: [&[u8]; 6] = [b"ab", b"bc", b"abc", b" a", b"\n\n", b"12"];
    let bytes = (0..=255u8).map(|byte| vec![byte]).chain(words.map(<[u8]>::to_vec));
    let ranks: Vec<(Vec<u8>, u32)> = bytes.zip(1000..).collect();
    let specials = vec![("<s>".to_owned(), 1)];
    let pattern = r"\p{N}{1,2}+| ?\p{L}++|\s++$|\s+(?!\S)|\s|[^\s\p{L}\p{N}]++";
    let loaded = from_tiktoken(ranks.clone(), specials.clone(), pattern).unwrap();
    assert_eq!(loaded.tokenizer.encoder().restart(), Restart::Pieces);
    let reversed = ranks.iter().rev().cloned().collect();
    assert_eq!(tiktoken_fingerprint(reversed, &specials, pattern), loaded.fingerprint);
    assert_ne!(tiktoken_fingerprint(ranks.clone(), &[], pattern), loaded.fingerprint);
    assert_eq!(shown(&loaded, "abcd bc 123"), ["abc", "d", " ", "bc", " ", "12", "3"]);
    assert_eq!(shown(&loaded, "x\n\ny"), ["x", r"\n", r"\n", "y"]);
    assert_eq!(shown(&loaded, "x\n\n"), ["x", r"\n\n"]);
    assert_eq!(loaded.tokenizer.vocab().kind(id(1)), Kind::Special);
    assert_eq!(loaded.tokenizer.vocab().kind(id(999)), Kind::Unused);

    let again = vec![("<s>".to_owned(), 1000)];
    assert!(matches!(from_tiktoken(ranks.clone(), again, pattern), Err(Error::Vocabulary(_))));
    let refused = from_tiktoken(ranks, specials, r"(?m)a$");
    assert!(matches!(refused, Err(Error::Pattern { offset: 0, .. })));
}
