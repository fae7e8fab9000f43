//! The `SentencePiece` form: a space is written `▁`, and `<0xNN>` is the raw byte NN.

use anydraft_core::vocab::Kind;

/// How a space is written.
pub(crate) const SPACE: char = '\u{2581}';

/// The byte of a token that looks like `<0xNN>`.
pub(crate) fn byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        u8::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

/// What a token of the model stands for; `fallback` says whether `<0xNN>` is a byte or plain text.
pub(crate) fn read(token: &str, fallback: bool) -> (Kind, Vec<u8>) {
    match byte(token) {
        Some(byte) if fallback => (Kind::Byte, vec![byte]),
        _ => (Kind::Text, unspaced(token).into_bytes()),
    }
}

/// The text with `▁` read as a space.
pub(crate) fn unspaced(text: &str) -> String {
    text.replace(SPACE, " ")
}

/// Appends the text with every space written as `▁`.
pub(crate) fn write(text: &str, out: &mut String) {
    out.extend(text.chars().map(|c| if c == ' ' { SPACE } else { c }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let table: &[(&str, bool, Kind, &[u8])] = &[
            ("▁the", true, Kind::Text, b" the"),
            ("▁▁", true, Kind::Text, b"  "),
            ("<0x0A>", true, Kind::Byte, b"\n"),
            ("<0xff>", true, Kind::Byte, b"\xFF"),
            ("<0xFF>", false, Kind::Text, b"<0xFF>"),
            ("<0x+1>", true, Kind::Text, b"<0x+1>"),
            ("<0x123>", true, Kind::Text, b"<0x123>"),
            ("é", true, Kind::Text, "é".as_bytes()),
        ];
        for (token, fallback, kind, bytes) in table {
            assert_eq!(read(token, *fallback), (*kind, bytes.to_vec()), "{token}");
        }
    }

    #[test]
    fn spaces_survive() {
        let mut out = String::new();
        write(" a  b\n", &mut out);
        assert_eq!(out, "▁a▁▁b\n");
        assert_eq!(unspaced(&out), " a  b\n");
    }
}
