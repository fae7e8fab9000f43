//! Why a tokenizer is refused.

use thiserror::Error;

/// A section of a tokenizer JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// What changes the text before anything else.
    Normalizer,
    /// What cuts the text into pieces.
    PreTokenizer,
    /// What turns a piece into tokens.
    Model,
    /// What turns tokens into text.
    Decoder,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Normalizer => "normalizer",
            Self::PreTokenizer => "pre-tokenizer",
            Self::Model => "model",
            Self::Decoder => "decoder",
        })
    }
}

/// What can go wrong while a tokenizer is read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// The text is no JSON, or not that of a tokenizer.
    #[error("not a tokenizer JSON: {detail}")]
    Json {
        /// The parser's words.
        detail: String,
    },
    /// A section is of a kind that cannot be expressed in bytes.
    #[error("{part} {found} {reason}")]
    Unsupported {
        /// The section.
        part: Part,
        /// What was found there.
        found: String,
        /// Why it is refused, as the rest of a sentence.
        reason: &'static str,
    },
    /// A section is of a known kind but does not hold together.
    #[error("{part} cannot be built: {detail}")]
    Broken {
        /// The section.
        part: Part,
        /// The words of the `tokenizers` crate.
        detail: String,
    },
    /// Neither a byte-level nor a `SentencePiece` style tokenizer.
    #[error("no byte form found: pre-tokenizer {pre_tokenizer}, decoder {decoder}")]
    NoSurface {
        /// The kind of the pre-tokenizer.
        pre_tokenizer: String,
        /// The kind of the decoder.
        decoder: String,
    },
    /// A token of a byte-level model that is not written in the byte-level alphabet.
    #[error("token {id} {token:?} has {found:?}, which is outside the byte-level alphabet")]
    ForeignChar {
        /// The token's id.
        id: u32,
        /// The token as the model writes it.
        token: String,
        /// The first character outside the alphabet.
        found: char,
    },
    /// An added token's id disagrees with the model's.
    #[error("added token {content:?} has id {added}, but id {model} in the model")]
    AddedId {
        /// The token's content.
        content: String,
        /// The id among the added tokens.
        added: u32,
        /// The id in the model's vocabulary.
        model: u32,
    },
    /// A regular expression that cannot be rewritten for the engine without changing what it matches.
    #[error("pattern has {found:?} at byte {offset}, which has no safe translation")]
    Pattern {
        /// The construct.
        found: String,
        /// Where in the pattern.
        offset: usize,
    },
    /// A token's bytes disagree with the tokenizer's own decoder.
    #[error("self-check: ids {ids:?} stand for {:?}, but decode to {:?}", shown(got), shown(expected))]
    Decode {
        /// The ids.
        ids: Vec<u32>,
        /// What the tokenizer decodes them to.
        expected: Vec<u8>,
        /// What the vocabulary says.
        got: Vec<u8>,
    },
    /// A text does not survive encoding.
    #[error("self-check: {:?} came back from the encoder as {:?}", shown(expected), shown(got))]
    RoundTrip {
        /// The bytes of the text.
        expected: Vec<u8>,
        /// The bytes of its encoding.
        got: Vec<u8>,
    },
    /// The vocabulary is not valid.
    #[error(transparent)]
    Vocabulary(#[from] anydraft_core::error::Error),
}

fn shown(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

impl Error {
    pub(crate) fn json(detail: &serde_json::Error) -> Self {
        Self::Json { detail: detail.to_string() }
    }

    pub(crate) fn broken(part: Part, detail: impl std::fmt::Display) -> Self {
        Self::Broken { part, detail: detail.to_string() }
    }
}
