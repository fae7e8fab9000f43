//! Which byte form a tokenizer uses.

/// How a tokenizer writes bytes as characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Surface {
    /// Every byte is one character of the GPT-2 alphabet (GPT-2, Llama 3, Qwen, tiktoken).
    ByteLevel,
    /// A space is `▁`; a character without a token is `<0xNN>` tokens (Llama 2, Mistral, Gemma).
    SentencePiece,
}

/// The one form that a tokenizer writes, if what it reads is no other, or ends with this one.
pub(crate) fn agreed(written: &[Surface], read: &[Surface]) -> Option<Surface> {
    let (&form, others) = written.split_first()?;
    let reads =
        read.iter().all(|&other| other == form) || (form == Surface::ByteLevel && read.last() == Some(&form));
    (reads && others.iter().all(|&other| other == form)).then_some(form)
}

#[cfg(test)]
mod tests {
    use super::Surface::{ByteLevel, SentencePiece};
    use super::*;

    #[test]
    fn agreement() {
        assert_eq!(agreed(&[ByteLevel], &[ByteLevel]), Some(ByteLevel));
        assert_eq!(agreed(&[SentencePiece, SentencePiece], &[]), Some(SentencePiece));
        assert_eq!(agreed(&[ByteLevel], &[SentencePiece]), None);
        assert_eq!(agreed(&[ByteLevel, SentencePiece], &[]), None);
        assert_eq!(agreed(&[], &[ByteLevel]), None);
        assert_eq!(agreed(&[ByteLevel], &[SentencePiece, ByteLevel]), Some(ByteLevel));
        assert_eq!(agreed(&[ByteLevel], &[ByteLevel, SentencePiece]), None);
        assert_eq!(agreed(&[SentencePiece], &[ByteLevel, SentencePiece]), None);
    }
}
