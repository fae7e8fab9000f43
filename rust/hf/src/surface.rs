//! Which byte form a tokenizer uses.

use crate::error::Error;
use crate::pipeline::{Decoder, Normalizer, PreTokenizer, kind, sequence};

/// How a tokenizer writes bytes as characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Surface {
    /// Every byte is one character of the GPT-2 alphabet (GPT-2, Llama 3, Qwen, tiktoken).
    ByteLevel,
    /// A space is `▁`; a character without a token is `<0xNN>` tokens (Llama 2, Mistral, Gemma).
    SentencePiece,
}

/// The form that all sections agree on.
pub(crate) fn find(
    normalizer: &Normalizer,
    pre_tokenizer: &PreTokenizer,
    decoder: &Decoder,
) -> Result<Surface, Error> {
    let byte_level = normalizer.byte_level || pre_tokenizer.byte_level;
    let spaces = normalizer.spaces || pre_tokenizer.spaces;
    let undecided = decoder.steps.is_empty();
    match (byte_level, spaces) {
        (true, false) if decoder.byte_level || undecided => Ok(Surface::ByteLevel),
        (false, true) if decoder.spaces || undecided => Ok(Surface::SentencePiece),
        _ => Err(Error::NoSurface {
            pre_tokenizer: kind(&sequence(&pre_tokenizer.stages, "pretokenizers")).to_owned(),
            decoder: kind(&sequence(&decoder.steps, "decoders")).to_owned(),
        }),
    }
}
