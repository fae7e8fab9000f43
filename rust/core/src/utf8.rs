//! Bytes that are text, bytes that are not, and bytes that may become text.

/// A stretch of bytes that is all text or all not text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Run<'a> {
    /// Valid UTF-8.
    Text(&'a str),
    /// Bytes that no continuation makes valid, or an unfinished code point at the end.
    Bytes(&'a [u8]),
}

/// Splits `bytes` into maximal runs of valid UTF-8 and the bytes between them.
pub fn runs(bytes: &[u8]) -> impl Iterator<Item = Run<'_>> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let text = Some(chunk.valid()).filter(|text| !text.is_empty()).map(Run::Text);
        let raw = Some(chunk.invalid()).filter(|raw| !raw.is_empty()).map(Run::Bytes);
        text.into_iter().chain(raw)
    })
}

/// How many bytes at the end of `bytes` are the unfinished beginning of one code point (0 to 3).
pub fn pending(bytes: &[u8]) -> usize {
    let longest = bytes.len().min(3);
    for back in 1..=longest {
        let byte = bytes[bytes.len() - back];
        if byte & 0b1100_0000 != 0b1000_0000 {
            let tail = &bytes[bytes.len() - back..];
            return match std::str::from_utf8(tail) {
                Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => back,
                _ => 0,
            };
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending_counts_only_what_can_still_become_a_code_point() {
        let table: &[(&[u8], usize)] = &[
            (b"", 0),
            (b"abc", 0),
            ("é".as_bytes(), 0),
            (b"a\xC3", 1),
            (b"a\xF0\x9F", 2),
            (b"a\xF0\x9F\x98", 3),
            (b"a\xF0\x9F\x98\x80", 0),
            (b"\x80", 0),
            (b"\xFF", 0),
            (b"\xC3\x28", 0),
            (b"\xED\xA0", 0),
        ];
        for (bytes, expected) in table {
            assert_eq!(pending(bytes), *expected, "{bytes:?}");
        }
    }

    #[test]
    fn runs_cover_all_bytes() {
        let bytes = b"ab\xFF\xC3\xA9\xF0\x9F";
        let found: Vec<_> = runs(bytes).collect();
        assert_eq!(found, [Run::Text("ab"), Run::Bytes(b"\xFF"), Run::Text("é"), Run::Bytes(b"\xF0\x9F")]);
    }
}
