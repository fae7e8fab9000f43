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

/// The character that begins `bytes`, if one does.
pub fn first(bytes: &[u8]) -> Option<char> {
    let length = match bytes.first()? {
        0..0x80 => 1,
        0x80..0xE0 => 2,
        0xE0..0xF0 => 3,
        _ => 4,
    };
    std::str::from_utf8(bytes.get(..length)?).ok()?.chars().next()
}

/// The character that ends `bytes`, if one does.
pub fn last(bytes: &[u8]) -> Option<char> {
    let begin = floor(bytes, bytes.len().checked_sub(1)?);
    first(&bytes[begin..]).filter(|c| begin + c.len_utf8() == bytes.len())
}

/// The last place at or before `offset` where a character may begin; `offset` itself if none is near.
pub fn floor(bytes: &[u8], offset: usize) -> usize {
    let begins = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000);
    (offset.saturating_sub(3)..=offset).rev().find(begins).unwrap_or(offset)
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
    fn characters_at_both_ends() {
        let bytes = "aé世😀".as_bytes();
        assert_eq!((first(bytes), last(bytes)), (Some('a'), Some('😀')));
        assert_eq!((first(&bytes[1..]), first(&bytes[2..])), (Some('é'), None));
        assert_eq!((last(&bytes[..bytes.len() - 1]), last(&bytes[..3])), (None, Some('é')));
        assert_eq!((first(b""), last(b""), last(b"\xFF"), first(b"\xE4\xB8")), (None, None, None, None));
        assert_eq!([0, 1, 2, 3, 5, 9, 10].map(|at| floor(bytes, at)), [0, 1, 1, 3, 3, 6, 10]);
        assert_eq!(floor(b"\x80\x80\x80\x80\x80", 4), 4);
    }

    #[test]
    fn runs_cover_all_bytes() {
        let bytes = b"ab\xFF\xC3\xA9\xF0\x9F";
        let found: Vec<_> = runs(bytes).collect();
        assert_eq!(found, [Run::Text("ab"), Run::Bytes(b"\xFF"), Run::Text("é"), Run::Bytes(b"\xF0\x9F")]);
    }
}
