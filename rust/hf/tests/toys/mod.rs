//! Small hand-made tokenizers.

#![allow(dead_code, reason = "each test file uses some of them")]

use anydraft_core::encode::Piece;
use anydraft_core::id::{Id, TokenId};
use anydraft_hf::Loaded;
use serde_json::{Value, json};

/// The byte-level alphabet, by byte.
pub fn alphabet() -> Vec<char> {
    let mut shifted = 0x100..;
    let printable = |byte: u32| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    (0..256)
        .map(|byte| if printable(byte) { byte } else { shifted.next().unwrap() })
        .map(|code| char::from_u32(code).unwrap())
        .collect()
}

/// One entry of `added_tokens`.
pub fn added(id: u32, content: &str, special: bool) -> Value {
    json!({"id": id, "content": content, "special": special, "normalized": false,
        "single_word": false, "lstrip": true, "rstrip": true})
}

/// Byte-level BPE: 256 bytes, some merges, two added tokens.
pub fn byte_level() -> Value {
    let merges = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("l", "l"), ("Ċ", "Ċ"), ("Ã", "©"), ("1", "2")];
    let bytes = alphabet().into_iter().map(String::from);
    let words = merges.iter().map(|(left, right)| format!("{left}{right}"));
    let mut vocab: serde_json::Map<String, Value> =
        bytes.chain(words).zip(0..).map(|(token, id)| (token, json!(id))).collect();
    vocab.insert("<|end|>".into(), json!(300));
    json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
        "padding": null,
        "added_tokens": [added(300, "<|end|>", true), added(301, "<｜tool｜>", false)],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": 0.5, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "vocab": vocab, "merges": merges},
    })
}

/// `SentencePiece` style BPE as Llama 2 has it: byte fallback, dummy prefix, no pre-tokenizer.
pub fn sentencepiece() -> Value {
    let merges = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("▁", "▁"), ("l", "l")];
    let control = ["<unk>", "<s>", "</s>"].map(String::from);
    let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
    let letters = "▁abcdefghijklmnopqrstuvwxyzé世.,".chars().map(String::from);
    let words = merges.iter().map(|(left, right)| format!("{left}{right}"));
    let vocab: serde_json::Map<String, Value> = (control.into_iter())
        .chain(bytes)
        .chain(letters)
        .chain(words)
        .zip(0..)
        .map(|(token, id)| (token, json!(id)))
        .collect();
    json!({
        "version": "1.0",
        "added_tokens": [added(0, "<unk>", true), added(1, "<s>", true), added(2, "</s>", true),
            added(400, "\n\n", false)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": null,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
            "vocab": vocab, "merges": merges},
    })
}

/// The same tokens as a unigram model behind a splitting metaspace.
pub fn unigram() -> Value {
    let mut toy = sentencepiece();
    let mut tokens: Vec<(String, u64)> = toy["model"]["vocab"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(token, id)| (token.clone(), id.as_u64().unwrap()))
        .collect();
    tokens.sort_by_key(|&(_, id)| id);
    let vocab: Vec<Value> =
        tokens.iter().map(|(token, _)| json!([token, -10.0 / f64::from(token.len() as u32)])).collect();
    let metaspace =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    toy["model"] = json!({"type": "Unigram", "unk_id": 0, "byte_fallback": true, "vocab": vocab});
    toy["normalizer"] = Value::Null;
    toy["pre_tokenizer"] = metaspace;
    toy
}

/// Reads a toy.
pub fn load(toy: &Value) -> Loaded {
    anydraft_hf::from_json(&toy.to_string()).unwrap_or_else(|error| panic!("{error}"))
}

/// Its encoding of a text.
pub fn pieces(loaded: &Loaded, text: &str) -> Vec<Piece> {
    let mut out = Vec::new();
    loaded.tokenizer.encoder().encode(text, &mut out);
    out
}

/// The ids alone.
pub fn ids(loaded: &Loaded, text: &str) -> Vec<TokenId> {
    pieces(loaded, text).iter().map(|piece| piece.id).collect()
}

/// The tokens of a text, as bytes shown.
pub fn shown(loaded: &Loaded, text: &str) -> Vec<String> {
    let vocab = loaded.tokenizer.vocab();
    ids(loaded, text).iter().map(|&id| vocab.bytes(id).escape_ascii().to_string()).collect()
}

/// An id by number.
pub fn id(raw: u32) -> TokenId {
    TokenId::new(raw)
}
