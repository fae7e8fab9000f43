//! A tokenizer JSON, or ready parts, to a vocabulary with its encoder.

use std::sync::Arc;

use anydraft_core::encode::{Restart, Tokenizer};
use anydraft_core::id::TokenId;
use anydraft_core::vocab::{Kind, Vocab, VocabBuilder};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokenizers::DecoderWrapper;
use twox_hash::XxHash3_128;

use crate::alike::Alike;
use crate::byte_fallback::SPACE;
use crate::cut::Cut;
use crate::encoder::Encoder;
use crate::error::{Error, Part};
use crate::model::{self, Model};
use crate::pipeline::kind;
use crate::special::{AddedToken, Matcher};
use crate::surface::{self, Surface};
use crate::{byte_fallback, byte_level, pipeline, selfcheck};

/// A tokenizer that was read and checked.
pub struct Loaded {
    /// Vocabulary and encoder.
    pub tokenizer: Tokenizer<TokenId>,
    /// The byte form the tokenizer uses.
    pub surface: Surface,
    /// A Unicode normal form (NFC and the like) was dropped: text that is not in that form is encoded
    /// as it is, byte for byte, where the tokenizer would have changed it first.
    pub string_lossy: bool,
    /// Bytes of UTF-8 that have no token of their own. A character with such a byte and no token of its
    /// own cannot be encoded and is left out.
    pub missing_bytes: Vec<u8>,
    /// A hash of what was read, in hexadecimal digits: equal tokenizers in equal words, equal fingerprints.
    pub fingerprint: String,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    decoder: Value,
    #[serde(borrow)]
    model: &'a RawValue,
}

/// What a loader hands over.
pub(crate) struct Parts {
    pub model: Model,
    pub added: Vec<AddedToken>,
    pub surface: Surface,
    pub cut: Cut,
    pub decoder: Option<DecoderWrapper>,
    /// The model sees `▁` where an added token has a space.
    pub normalized: bool,
    pub dummy_prefix: bool,
    pub string_lossy: bool,
    pub fingerprint: String,
}

/// Reads a `tokenizer.json`. Padding, truncation, the post-processor and dropout are ignored.
///
/// # Errors
/// `Json` and `Broken` for a file that is not a tokenizer, `Unsupported`, `NoSurface` and `ForeignChar`
/// for tokenizers that cannot be expressed in bytes, `Decode` and `RoundTrip` if the self-check fails.
pub fn from_json(json: &str) -> Result<Loaded, Error> {
    from_json_within(json, None)
}

/// The same without added tokens from id `rows` on, for a model that has so many rows. Where there are
/// some, the fingerprint says so.
///
/// # Errors
/// As for [`from_json`].
pub fn from_json_within(json: &str, rows: Option<u32>) -> Result<Loaded, Error> {
    let mut document: Document = serde_json::from_str(json).map_err(|error| Error::json(&error))?;
    let mut named = fingerprint(json);
    if let Some(rows) = rows {
        let all = document.added_tokens.len();
        document.added_tokens.retain(|token| token.id < rows);
        if document.added_tokens.len() < all {
            named = format!("{named}-{rows}");
        }
    }
    let normalizer = pipeline::normalizer(&document.normalizer)?;
    let pre_tokenizer = pipeline::pre_tokenizer(&document.pre_tokenizer)?;
    let decoder = pipeline::decoder(&document.decoder)?;
    let mut model = model::read(document.model)?;
    let written = [normalizer.forms.as_slice(), &pre_tokenizer.forms].concat();
    let surface = surface::agreed(&written, &decoder.forms)
        .filter(|&form| {
            // transformers 5.17 converts a byte-level GGUF file with SentencePiece's decoder before
            // its own, which changes nothing but such tokens.
            form == Surface::SentencePiece
                || !decoder.forms.contains(&Surface::SentencePiece)
                || !has_sentencepiece(&model, &document.added_tokens)
        })
        .ok_or_else(|| Error::NoSurface {
            pre_tokenizer: kind(&document.pre_tokenizer).to_owned(),
            decoder: kind(&document.decoder).to_owned(),
        })?;
    model.fallback |= decoder.fallback;
    let steps = pipeline::sequence(&decoder.steps, "decoders");
    Parts {
        cut: Cut::read(&normalizer, &pre_tokenizer, surface)?,
        added: document.added_tokens,
        decoder: serde_json::from_value(steps).map_err(|error| Error::broken(Part::Decoder, error))?,
        normalized: normalizer.forms.contains(&Surface::SentencePiece),
        dummy_prefix: normalizer.dummy_prefix
            || pre_tokenizer.dummy_prefix
            || (decoder.dummy_prefix && surface == Surface::SentencePiece),
        string_lossy: normalizer.string_lossy,
        fingerprint: named,
        model,
        surface,
    }
    .assemble()
}

/// The fingerprint that reading this `tokenizer.json` gives. Sections that are ignored (padding and
/// truncation, which change with every call, and the post-processor) do not count.
pub fn fingerprint(json: &str) -> String {
    #[derive(Deserialize)]
    struct Sections<'a> {
        #[serde(borrow, default)]
        added_tokens: Option<&'a RawValue>,
        #[serde(borrow, default)]
        normalizer: Option<&'a RawValue>,
        #[serde(borrow, default)]
        pre_tokenizer: Option<&'a RawValue>,
        #[serde(borrow, default)]
        decoder: Option<&'a RawValue>,
        #[serde(borrow, default)]
        model: Option<&'a RawValue>,
    }
    let Ok(found) = serde_json::from_str::<Sections>(json) else { return hash([json.as_bytes()]) };
    let sections = [found.added_tokens, found.normalizer, found.pre_tokenizer, found.decoder, found.model];
    hash(sections.map(|section| section.map_or("null", RawValue::get).as_bytes()))
}

/// A hash of several stretches of bytes, in hexadecimal digits.
pub(crate) fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = XxHash3_128::new();
    for part in parts {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part);
    }
    format!("{:032x}", hasher.finish_128())
}

impl Parts {
    /// The finished tokenizer, checked.
    pub(crate) fn assemble(self) -> Result<Loaded, Error> {
        let vocab = self.vocabulary()?;
        let restart = match &self.cut {
            Cut::Whole if self.model.seams => Restart::Seams,
            cut if cut.restartable() => Restart::Pieces,
            _ => Restart::Never,
        };
        let spaced = self.surface == Surface::SentencePiece;
        let matcher = Matcher::new(&self.added, spaced, self.normalized)?;
        let alike = match &self.cut {
            Cut::Stages(stages) if self.model.merges() && restart == Restart::Pieces => {
                Alike::new(stages, matcher.initials())
            }
            _ => None,
        };
        let encoder = Encoder {
            matcher,
            alike,
            vocab: vocab.clone(),
            model: self.model.inner,
            surface: self.surface,
            cut: self.cut,
            restart,
            lone_bytes: self.model.fallback && self.model.lone_bytes,
        };
        let missing_bytes = missing(&vocab);
        selfcheck::run(&encoder, self.decoder.as_ref(), &missing_bytes)?;
        Ok(Loaded {
            tokenizer: Tokenizer::new(vocab, Arc::new(encoder)),
            surface: self.surface,
            string_lossy: self.string_lossy,
            missing_bytes,
            fingerprint: self.fingerprint,
        })
    }

    fn vocabulary(&self) -> Result<Vocab<TokenId>, Error> {
        let mut builder = VocabBuilder::new();
        builder.dummy_prefix(self.dummy_prefix);
        let added: FxHashMap<u32, &AddedToken> = self.added.iter().map(|token| (token.id, token)).collect();
        let by_content: FxHashMap<&str, u32> =
            self.added.iter().map(|token| (token.content.as_str(), token.id)).collect();
        for token in &self.added {
            if token.special || self.model.unknown == Some(token.id) {
                builder.special(token.id, token.content.clone())?;
            } else {
                let content = match self.surface {
                    Surface::ByteLevel => token.content.clone(),
                    Surface::SentencePiece => byte_fallback::unspaced(&token.content),
                };
                builder.token(token.id, Kind::Added, content.into_bytes())?;
            }
        }
        for (token, id) in &self.model.tokens {
            if let Some(&other) = by_content.get(token.as_str()).filter(|&other| other != id) {
                return Err(Error::AddedId { content: token.clone(), added: other, model: *id });
            }
            if added.contains_key(id) || token.is_empty() {
                continue;
            }
            if self.model.unknown == Some(*id) {
                builder.special(*id, token.clone())?;
                continue;
            }
            let (kind, bytes) = match self.surface {
                Surface::SentencePiece => byte_fallback::read(token, self.model.fallback),
                Surface::ByteLevel => match byte_level::read(token) {
                    Ok(bytes) => (Kind::Text, bytes),
                    Err(found) => return Err(Error::ForeignChar { id: *id, token: token.clone(), found }),
                },
            };
            builder.token(*id, kind, bytes)?;
        }
        Ok(builder.build()?)
    }
}

/// Whether a token that is text would be read as `SentencePiece` writes: with `▁`, or as `<0xNN>`.
fn has_sentencepiece(model: &Model, added: &[AddedToken]) -> bool {
    let special: FxHashSet<u32> = added.iter().filter(|token| token.special).map(|token| token.id).collect();
    let tokens = model.tokens.iter().map(|(token, id)| (token, *id));
    let added = added.iter().map(|token| (&token.content, token.id));
    tokens.chain(added).any(|(token, id)| {
        !special.contains(&id) && (token.contains(SPACE) || byte_fallback::byte(token).is_some())
    })
}

/// Bytes of UTF-8 without a token.
fn missing(vocab: &Vocab<TokenId>) -> Vec<u8> {
    let possible = (0x00..=0xBF).chain(0xC2..=0xF4);
    possible.filter(|&byte| vocab.find(&[byte]).is_none()).collect()
}
