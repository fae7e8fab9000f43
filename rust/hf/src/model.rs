//! The model section of a tokenizer JSON.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{SeqAccess, Visitor};
use serde_json::value::RawValue;
use tokenizers::ModelWrapper;
use tokenizers::models::bpe::BPE;
use tokenizers::models::unigram::Unigram;

use crate::byte_fallback;
use crate::error::{Error, Part};

/// A model with its tokens as it writes them.
pub(crate) struct Model {
    /// The model.
    pub inner: ModelWrapper,
    /// Its tokens and their ids.
    pub tokens: Vec<(String, u32)>,
    /// The token for unknown characters.
    pub unknown: Option<u32>,
    /// Whether unknown characters become `<0xNN>` tokens.
    pub fallback: bool,
    /// Whether the tokens of a text can be judged pair by pair: plain byte-pair merging.
    pub seams: bool,
    /// Whether no merge takes a `<0xNN>` token.
    pub lone_bytes: bool,
}

impl Model {
    /// Whether it is byte-pair encoding, which merges any text that is no token itself.
    pub(crate) fn merges(&self) -> bool {
        matches!(self.inner, ModelWrapper::BPE(_))
    }
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Bpe {
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    fuse_unk: Option<bool>,
    byte_fallback: Option<bool>,
    ignore_merges: Option<bool>,
    vocab: HashMap<String, u32>,
    merges: Vec<Merge>,
}

#[derive(Deserialize)]
struct Scores {
    unk_id: Option<usize>,
    byte_fallback: Option<bool>,
    vocab: Vec<(String, f64)>,
}

/// A merge, written as a pair or, in older files, with a space between.
struct Merge(String, String);

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Merge;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a merge of two tokens")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Merge, E> {
                match text.split_once(' ') {
                    Some((left, right)) if !right.contains(' ') => Ok(Merge(left.into(), right.into())),
                    _ => Err(E::custom(format_args!("merge {text:?} is not two tokens"))),
                }
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Merge, A::Error> {
                match (pair.next_element()?, pair.next_element()?) {
                    (Some(left), Some(right)) => Ok(Merge(left, right)),
                    _ => Err(serde::de::Error::custom("a merge has fewer than two tokens")),
                }
            }
        }
        deserializer.deserialize_any(Pair)
    }
}

/// Reads a model section.
pub(crate) fn read(section: &RawValue) -> Result<Model, Error> {
    let head: Head = parse(section)?;
    match head.kind.as_deref() {
        Some("BPE") | None => bpe(parse(section)?),
        Some("Unigram") => unigram(parse(section)?),
        Some(other) => Err(Error::Unsupported {
            part: Part::Model,
            found: other.to_owned(),
            reason: "has no tokens for arbitrary bytes",
        }),
    }
}

fn parse<'a, T: Deserialize<'a>>(section: &'a RawValue) -> Result<T, Error> {
    serde_json::from_str(section.get()).map_err(|error| Error::json(&error))
}

fn bpe(parts: Bpe) -> Result<Model, Error> {
    for (option, found) in [
        (&parts.continuing_subword_prefix, "BPE with continuing_subword_prefix"),
        (&parts.end_of_word_suffix, "BPE with end_of_word_suffix"),
    ] {
        if option.as_ref().is_some_and(|text| !text.is_empty()) {
            let reason = "marks words with characters that are not text";
            return Err(Error::Unsupported { part: Part::Model, found: found.to_owned(), reason });
        }
    }
    let merges = parts.merges.into_iter().map(|Merge(left, right)| (left, right)).collect();
    let tokens = parts.vocab.into_iter().collect();
    let mut options = BPE::builder()
        .fuse_unk(parts.fuse_unk.unwrap_or(false))
        .byte_fallback(parts.byte_fallback.unwrap_or(false))
        .ignore_merges(parts.ignore_merges.unwrap_or(false));
    if let Some(unknown) = parts.unk_token {
        options = options.unk_token(unknown);
    }
    merging(options, tokens, merges)
}

/// A byte-pair model of these tokens and merges.
pub(crate) fn merging(
    options: tokenizers::models::bpe::BpeBuilder,
    tokens: Vec<(String, u32)>,
    merges: Vec<(String, String)>,
) -> Result<Model, Error> {
    let longest = tokens.iter().map(|(token, _)| token.len()).max().unwrap_or(0);
    // The builder of the crate panics on such a merge.
    if let Some((left, right)) = merges.iter().find(|(left, right)| left.len() + right.len() > longest) {
        return Err(Error::broken(Part::Model, format_args!("{left:?} + {right:?} is no token")));
    }
    let is_byte = |token: &str| byte_fallback::byte(token).is_some();
    let lone_bytes = !merges.iter().any(|(left, right)| is_byte(left) || is_byte(right));
    let vocab: tokenizers::models::bpe::Vocab = tokens.iter().cloned().collect();
    let model =
        options.vocab_and_merges(vocab, merges).build().map_err(|error| Error::broken(Part::Model, error))?;
    let vocab_id = |token: &String| tokenizers::Model::token_to_id(&model, token);
    Ok(Model {
        unknown: model.unk_token.as_ref().and_then(vocab_id),
        fallback: model.byte_fallback,
        seams: !model.ignore_merges,
        lone_bytes,
        inner: ModelWrapper::BPE(model),
        tokens,
    })
}

fn unigram(parts: Scores) -> Result<Model, Error> {
    let tokens = parts.vocab.iter().zip(0..).map(|((token, _), id)| (token.clone(), id)).collect();
    let fallback = parts.byte_fallback.unwrap_or(false);
    let model = Unigram::from(parts.vocab, parts.unk_id, fallback)
        .map_err(|error| Error::broken(Part::Model, error))?;
    Ok(Model {
        inner: ModelWrapper::Unigram(model),
        tokens,
        unknown: parts.unk_id.map(|id| id as u32),
        fallback,
        seams: false,
        lone_bytes: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(json: &str) -> Result<Model, Error> {
        read(serde_json::from_str::<&RawValue>(json).unwrap())
    }

    #[test]
    fn both_spellings_of_merges() {
        for merges in [r#"["a b"]"#, r#"[["a","b"]]"#] {
            let json = format!(r#"{{"type":"BPE","vocab":{{"a":0,"b":1,"ab":2}},"merges":{merges}}}"#);
            let found = model(&json).unwrap();
            let tokens = tokenizers::Model::tokenize(&found.inner, "aab").unwrap();
            assert_eq!(tokens.iter().map(|token| token.id).collect::<Vec<_>>(), [0, 2]);
            assert!(found.seams);
        }
    }

    #[test]
    fn refused() {
        for (json, word) in [
            (r#"{"type":"WordPiece","vocab":{}}"#, "WordPiece"),
            (r#"{"type":"WordLevel","vocab":{}}"#, "WordLevel"),
            (r###"{"type":"BPE","vocab":{},"merges":[],"continuing_subword_prefix":"##"}"###, "continuing"),
            (r#"{"type":"BPE","vocab":{},"merges":[],"end_of_word_suffix":"</w>"}"#, "end_of_word"),
            (r#"{"type":"BPE","vocab":{"a":0},"merges":[["a","a"]]}"#, "is no token"),
            (r#"{"type":"BPE","vocab":{"a":0},"merges":["a"]}"#, "two tokens"),
            (r#"{"type":"BPE","merges":[]}"#, "vocab"),
        ] {
            let error = model(json).err().unwrap();
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
