//! What the fuzz targets share.

use std::sync::OnceLock;

use anydraft_core::encode::Tokenizer;
use anydraft_core::id::TokenId;
use arbitrary::Arbitrary;
use serde_json::Value;

#[path = "../../hf/tests/toys/mod.rs"]
pub mod toys;

pub mod targets;

/// The toys, as files.
pub fn files() -> &'static [Value; 3] {
    static FILES: OnceLock<[Value; 3]> = OnceLock::new();
    FILES.get_or_init(|| [toys::byte_level(), toys::sentencepiece(), toys::unigram()])
}

/// The toys, loaded.
pub fn tokenizers() -> &'static [Tokenizer<TokenId>; 3] {
    static LOADED: OnceLock<[Tokenizer<TokenId>; 3]> = OnceLock::new();
    LOADED.get_or_init(|| files().each_ref().map(|file| toys::load(file).tokenizer))
}

/// Panics of the tokenizer library are errors of ours at the border (`rust/bindings/src/enter.rs`), which is
/// not here: they are let pass. Every other panic ends the run, as libFuzzer has it.
pub fn let_panics_of_libraries_pass() {
    let ends = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let file = panic.location().map_or("", |at| at.file());
        if !file.contains("/tokenizers-") && !file.contains("/onig-") {
            ends(panic);
        }
    }));
}

/// Text in which tokens meet in every way.
#[derive(Arbitrary, Debug, Clone)]
pub enum Part {
    /// Any text.
    Text(String),
    /// Any bytes.
    Bytes(Vec<u8>),
    /// One of what tokenizers treat in a way of its own.
    Known(u8),
}

const KNOWN: &[&str] = &[
    " ",
    "  ",
    "\n",
    "\n\n",
    "▁",
    "the",
    " the",
    "he",
    "l",
    "ll",
    "é",
    "\u{301}",
    "1",
    "12",
    "'s",
    "<|end|>",
    "<｜tool｜>",
    "</s>",
    "世",
    "😀",
    "\u{a0}",
    "\0",
];

impl Part {
    /// As bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
            Self::Known(at) => KNOWN[usize::from(*at) % KNOWN.len()].as_bytes(),
        }
    }
}

#[cfg(test)]
mod kept {
    use std::path::Path;

    use arbitrary::{Arbitrary, Unstructured};

    use super::{let_panics_of_libraries_pass, targets};

    /// Every input that is kept for a target, as libFuzzer hands it over.
    fn each<T: for<'a> Arbitrary<'a>>(target: &str, run: impl Fn(T)) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(format!("{target}.hex"));
        let lines = std::fs::read_to_string(file).unwrap();
        let mut count = 0;
        for line in lines.lines() {
            let content: Vec<u8> =
                (0..line.len() / 2).map(|at| u8::from_str_radix(&line[2 * at..][..2], 16).unwrap()).collect();
            if let Ok(given) = T::arbitrary_take_rest(Unstructured::new(&content)) {
                run(given);
                count += 1;
            }
        }
        assert!(count > 100, "only {count} inputs are kept for {target}");
    }

    #[test]
    fn session() {
        each("session", |given| targets::session::run(&given));
    }

    #[test]
    fn retokenizer() {
        each("retokenizer", |given| targets::retokenizer::run(&given));
    }

    #[test]
    fn tokenizer_json() {
        let_panics_of_libraries_pass();
        each("tokenizer_json", |given| targets::tokenizer_json::run(&given));
    }

    #[test]
    fn tiktoken() {
        let_panics_of_libraries_pass();
        each("tiktoken", |given| targets::tiktoken::run(given));
    }
}
