//! The byte-level alphabet of GPT-2: every byte is written as one printable character.

/// The character of each byte.
static CHARS: [char; 256] = alphabet();

/// Characters of the alphabet are below this one.
const END: usize = 0x144;

/// The byte of each character, 256 for those outside.
static BYTES: [u16; END] = inverse();

/// Whether a byte is written as the Latin-1 character of the same number.
const fn printable(byte: usize) -> bool {
    matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF)
}

const fn alphabet() -> [char; 256] {
    let mut chars = ['\0'; 256];
    let mut byte = 0;
    let mut shifted = 0;
    while byte < 256 {
        let code = if printable(byte) {
            byte as u32
        } else {
            shifted += 1;
            0xFF + shifted
        };
        chars[byte] = match char::from_u32(code) {
            Some(found) => found,
            None => unreachable!(),
        };
        byte += 1;
    }
    chars
}

const fn inverse() -> [u16; END] {
    let chars = alphabet();
    let mut bytes = [256; END];
    let mut byte = 0;
    while byte < 256 {
        bytes[chars[byte] as usize] = byte as u16;
        byte += 1;
    }
    bytes
}

/// Appends bytes in the alphabet.
pub(crate) fn write(bytes: &[u8], out: &mut String) {
    out.extend(bytes.iter().map(|&byte| CHARS[usize::from(byte)]));
}

/// The bytes of a token written in the alphabet, or its first character that is outside.
pub(crate) fn read(token: &str) -> Result<Vec<u8>, char> {
    token
        .chars()
        .map(|c| match BYTES.get(c as usize) {
            Some(&byte) if byte < 256 => Ok(byte as u8),
            _ => Err(c),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;

    #[test]
    fn every_byte_survives() {
        let all: Vec<u8> = (0..=255).collect();
        let mut text = String::new();
        write(&all, &mut text);
        assert_eq!(read(&text), Ok(all));
    }

    #[test]
    fn the_alphabet_is_that_of_the_tokenizers_crate() {
        let ours: std::collections::BTreeSet<char> = CHARS.iter().copied().collect();
        assert_eq!(ours, ByteLevel::alphabet().into_iter().collect());
        assert_eq!(ours.len(), 256);
        assert_eq!(CHARS[usize::from(b' ')], 'Ġ');
        assert_eq!(CHARS[usize::from(b'\n')], 'Ċ');
    }

    #[test]
    fn foreign_characters_are_named() {
        assert_eq!(read("Ġa b"), Err(' '));
        assert_eq!(read("｜"), Err('｜'));
        assert_eq!(read("\u{AD}"), Err('\u{AD}'));
        assert_eq!(read(""), Ok(vec![]));
    }
}
