//! A check of every tokenizer that is loaded: its bytes against its own decoder, and a round trip.

use anydraft_core::encode::Encode as _;
use anydraft_core::id::{Id, TokenId};
use anydraft_core::vocab::Kind;
use tokenizers::{Decoder as _, DecoderWrapper, Model as _};

use crate::encoder::Encoder;
use crate::error::Error;

/// How many ids are looked at, spread evenly over the vocabulary.
const SAMPLE: usize = 4096;

/// Text that is hard on a tokenizer.
const STRESS: &str = concat!(
    "The quick brown fox; it's 1234567 or 3.14159e-10, isn't it? \"Quoted\" — and… so on.\n",
    "  two  spaces   three\t\ttabs\r\n\r\n\n\n\n   \u{a0}\u{2003}\u{3000}end \n \n",
    "fn main() {\n    let mut x = vec![0u8; 1 << 20]; // ▁▁ <0x0A> <s>\n\tprintln!(\"{x:?}\");\n}\n",
    "你好,世界。東京タワー 안녕하세요 Привет мир Γειά שלום مرحبا नमस्ते สวัสดี\n",
    "e\u{301}a\u{308}\u{fffd}\u{200d}\u{feff} 👩\u{200d}👩\u{200d}👧 🏳\u{fe0f}\u{200d}🌈 𝔘𝔫𝔦 ½ ² Ⅷ ٣ ",
);

/// Checks an encoder and its vocabulary.
pub(crate) fn run(encoder: &Encoder, decoder: Option<&DecoderWrapper>, missing: &[u8]) -> Result<(), Error> {
    if let Some(decoder) = decoder {
        sample(encoder, decoder)?;
        bytes(encoder, decoder)?;
    }
    round_trip(encoder, missing)
}

/// Single tokens that stand for text decode to that text.
fn sample(encoder: &Encoder, decoder: &DecoderWrapper) -> Result<(), Error> {
    let vocab = &encoder.vocab;
    for id in vocab.ids().step_by(vocab.len().div_ceil(SAMPLE).max(1)) {
        if matches!(vocab.kind(id), Kind::Text | Kind::Byte) {
            compare(encoder, decoder, &[id])?;
        }
    }
    Ok(())
}

/// Characters spelled byte by byte decode to themselves; together they have every byte of UTF-8.
fn bytes(encoder: &Encoder, decoder: &DecoderWrapper) -> Result<(), Error> {
    let sparse = ('\u{800}'..='\u{FFFF}').step_by(0x7C1).chain(('\u{10000}'..=char::MAX).step_by(0xFFC1));
    for character in ('\0'..='\u{7FF}').chain(sparse) {
        let mut buffer = [0; 4];
        let spelled: Option<Vec<TokenId>> = character
            .encode_utf8(&mut buffer)
            .bytes()
            .map(|byte| encoder.vocab.find(&[byte]).filter(|&id| encoder.vocab.kind(id) != Kind::Added))
            .collect();
        if let Some(ids) = spelled {
            compare(encoder, decoder, &ids)?;
        }
    }
    Ok(())
}

fn compare(encoder: &Encoder, decoder: &DecoderWrapper, ids: &[TokenId]) -> Result<(), Error> {
    let got = encoder.vocab.decode(ids);
    if std::str::from_utf8(&got).is_err() {
        return Ok(());
    }
    let tokens = ids.iter().filter_map(|id| encoder.model.id_to_token(id.raw())).collect();
    let expected = decoder.decode(tokens).unwrap_or_default().into_bytes();
    if got == expected {
        Ok(())
    } else {
        Err(Error::Decode { ids: ids.iter().map(|id| id.raw()).collect(), expected, got })
    }
}

/// The stress text, line by line and as one, comes back from the encoder.
fn round_trip(encoder: &Encoder, missing: &[u8]) -> Result<(), Error> {
    for text in STRESS.split_inclusive('\n').chain([STRESS]) {
        let mut pieces = Vec::new();
        encoder.encode(text, &mut pieces);
        let ids: Vec<TokenId> = pieces.iter().map(|piece| piece.id).collect();
        let got = encoder.vocab.decode(&ids);
        if !same(text, &got, missing) {
            return Err(Error::RoundTrip { expected: text.as_bytes().to_vec(), got });
        }
    }
    Ok(())
}

/// Whether `got` is the text, but for characters with a byte that has no token.
fn same(text: &str, mut got: &[u8], missing: &[u8]) -> bool {
    for character in text.split_inclusive(|_| true) {
        match got.strip_prefix(character.as_bytes()) {
            Some(rest) => got = rest,
            None if character.bytes().any(|byte| missing.contains(&byte)) => {}
            None => return false,
        }
    }
    got.is_empty()
}
