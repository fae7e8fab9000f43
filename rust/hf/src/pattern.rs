//! Regular expressions as text: whether one looks back, and tiktoken's dialect in Oniguruma's.

use std::ops::Range;

use crate::error::Error;

/// What a stretch of a pattern is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Item {
    /// `\n`, `\p{L}`, `\x{41}`.
    Escape,
    /// `[...]`, nested classes included.
    Class,
    /// `(`, `(?:`, `(?<=` and the like.
    Open,
    /// `)`.
    Close,
    /// `*`, `{1,3}`, with a `?` or `+` behind it.
    Repeat,
    /// Any other character.
    Char,
}

/// Takes a pattern apart. Unbalanced ones give items that the engine will refuse.
pub(crate) fn items(pattern: &str) -> Vec<(Item, Range<usize>)> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(c) = pattern[at..].chars().next() {
        let rest = &pattern[at..];
        let (item, len) = match c {
            '\\' => (Item::Escape, escape(rest)),
            '[' => (Item::Class, class(rest)),
            '(' => (Item::Open, open(rest)),
            ')' => (Item::Close, 1),
            '*' | '+' | '?' | '{' => (Item::Repeat, repeat(rest)),
            _ => (Item::Char, c.len_utf8()),
        };
        out.push((item, at..at + len));
        at += len;
    }
    out
}

fn escape(rest: &str) -> usize {
    let Some(c) = rest[1..].chars().next() else { return 1 };
    let braced = matches!(c, 'p' | 'P' | 'x' | 'u') && rest[2..].starts_with('{');
    match c {
        _ if braced => rest.find('}').map_or(rest.len(), |end| end + 1),
        'p' | 'P' => 2 + rest[2..].chars().next().map_or(0, char::len_utf8),
        'x' => rest.len().min(4),
        _ => 1 + c.len_utf8(),
    }
}

fn class(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while let Some(c) = rest[at..].chars().next() {
        match c {
            '\\' => at += escape(&rest[at..]) - 1,
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        at += c.len_utf8();
        if depth == 0 {
            break;
        }
    }
    at.min(rest.len())
}

fn open(rest: &str) -> usize {
    if !rest.starts_with("(?") {
        return 1;
    }
    let end = |found: &str| rest.find(found).map_or(rest.len(), |at| at + found.len());
    match rest.as_bytes().get(2) {
        Some(b':' | b'=' | b'!' | b'>') => 3,
        Some(b'<') if matches!(rest.as_bytes().get(3), Some(b'=' | b'!')) => 4,
        Some(b'<' | b'P') => end(">"),
        _ => rest.find([':', ')']).map_or(rest.len(), |at| at + 1),
    }
}

fn repeat(rest: &str) -> usize {
    let len = if rest.starts_with('{') { rest.find('}').map_or(rest.len(), |end| end + 1) } else { 1 };
    len + usize::from(rest[len..].starts_with(['?', '+']))
}

/// Whether a match may depend on what stands before it, or whether we cannot tell.
pub(crate) fn looks_back(pattern: &str) -> bool {
    items(pattern).into_iter().any(|(item, range)| match (item, &pattern[range]) {
        (Item::Char, text) => text == "^",
        (Item::Open, text) => !matches!(text, "(" | "(?:" | "(?=" | "(?!" | "(?>" | "(?i:"),
        (Item::Escape, text) => {
            text.starts_with(['\\'])
                && text[1..].starts_with(['b', 'B', 'A', 'G', 'K', 'X', 'y', 'Y', 'k', 'g'])
        }
        (Item::Class, text) => text.starts_with("[]") || text.starts_with("[^]"),
        _ => false,
    })
}

/// Whether every rest of a match is a match up to the same end: one class, or a run of it.
pub(crate) fn suffix_closed(pattern: &str) -> bool {
    match items(pattern).as_slice() {
        [(Item::Class | Item::Escape | Item::Char, _)] => !looks_back(pattern) && pattern != "$",
        [(Item::Class | Item::Escape, _), (Item::Repeat, repeat)] => {
            !looks_back(pattern) && matches!(&pattern[repeat.clone()], "+" | "++")
        }
        _ => false,
    }
}

/// A pattern of tiktoken (Rust's dialect, with look-around) in Oniguruma's Ruby dialect.
///
/// `{1,3}+` is possessive there but not here, `$` ends the text there but a line here, `\pL` needs
/// braces here.
///
/// # Errors
/// `Pattern` for constructs that differ and are not rewritten.
pub(crate) fn to_oniguruma(pattern: &str) -> Result<String, Error> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut groups = Vec::new();
    let mut atom = 0;
    for (item, range) in items(pattern) {
        let text = &pattern[range.clone()];
        let refused = || Error::Pattern { found: text.to_owned(), offset: range.start };
        let start = out.len();
        match item {
            Item::Char => match text {
                "^" => out.push_str("\\A"),
                "$" => out.push_str("\\z"),
                _ => out.push_str(text),
            },
            Item::Escape => out.push_str(&rewrite_escape(text).ok_or_else(refused)?),
            Item::Class => out.push_str(&rewrite_class(text).ok_or_else(refused)?),
            Item::Open => match text {
                "(" | "(?:" | "(?i:" | "(?=" | "(?!" | "(?<=" | "(?<!" | "(?>" => {
                    groups.push(start);
                    out.push_str(text);
                }
                _ => return Err(refused()),
            },
            Item::Close => {
                atom = groups.pop().ok_or_else(refused)?;
                out.push(')');
                continue;
            }
            Item::Repeat => {
                match text.strip_suffix('+').filter(|bare| bare.ends_with('}')) {
                    _ if text.starts_with("{,")
                        || (text.ends_with('?') && text.starts_with('{') && !text.contains(',')) =>
                    {
                        return Err(refused());
                    }
                    Some(bare) => {
                        out.insert_str(atom, "(?>");
                        out.push_str(bare);
                        out.push(')');
                    }
                    None => out.push_str(text),
                }
                continue;
            }
        }
        atom = start;
    }
    Ok(out)
}

fn rewrite_escape(text: &str) -> Option<String> {
    let c = text[1..].chars().next()?;
    match c {
        'p' | 'P' if text.starts_with("\\p{") || text.starts_with("\\P{") => {
            (!text.contains([':', '='])).then(|| text.to_owned())
        }
        'p' | 'P' => Some(format!("\\{c}{{{}}}", &text[2..])),
        'x' if !text.starts_with("\\x{") => Some(format!("\\x{{{}}}", &text[2..])),
        'x' | 's' | 'S' | 'd' | 'D' | 'w' | 'W' | 'n' | 'r' | 't' | 'f' | 'v' | 'A' | 'z' => {
            Some(text.to_owned())
        }
        _ => (!c.is_alphanumeric()).then(|| text.to_owned()),
    }
}

fn rewrite_class(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if rest.starts_with("--") || rest.starts_with("~~") {
            return None;
        }
        let len = if c == '\\' { escape(rest) } else { c.len_utf8() };
        if c == '\\' {
            out.push_str(&rewrite_escape(&rest[..len])?);
        } else {
            out.push(c);
        }
        at += len;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewritten() {
        for (pattern, expected) in [
            (r"\p{N}{1,3}+| ?x", r"(?>\p{N}{1,3})| ?x"),
            (r"\s++$|\s*[\r\n]", r"\s++\z|\s*[\r\n]"),
            (r"[^\r\n\p{L}$^]?+\pL++", r"[^\r\n\p{L}$^]?+\p{L}++"),
            (r"(?:ab|[c]){2}+d", r"(?>(?:ab|[c]){2})d"),
            (r"^a{1,2}b{1,2}?", r"\Aa{1,2}b{1,2}?"),
            (r"\$\x41[\x7F]", r"\$\x{41}[\x{7F}]"),
            (r"'(?i:[sdmt]|ll|ve|re)", r"'(?i:[sdmt]|ll|ve|re)"),
            (r"[\p{Han}&&[^a]]+", r"[\p{Han}&&[^a]]+"),
        ] {
            assert_eq!(to_oniguruma(pattern).as_deref(), Ok(expected), "{pattern}");
        }
    }

    #[test]
    fn refused_with_the_place() {
        for (pattern, offset) in [
            (r"a(?m)b", 1),
            (r"a{,3}", 1),
            (r"a{3}?", 1),
            (r"(?P<x>a)", 0),
            (r"ab\Kc", 2),
            (r"[a-z--b]", 0),
            (r"\p{Script=Han}", 0),
            (r"a)", 1),
            (r"\u{41}", 0),
        ] {
            match to_oniguruma(pattern) {
                Err(Error::Pattern { offset: found, .. }) => assert_eq!(found, offset, "{pattern}"),
                other => panic!("{pattern}: {other:?}"),
            }
        }
    }

    #[test]
    fn looking_back() {
        for pattern in [r"(?<=a)b", r"(?<!a)b", r"^a", r"\ba", r"\Ga", r"a\Kb", r"(?m)a", "(a)\\k<1>"] {
            assert!(looks_back(pattern), "{pattern}");
        }
        for pattern in [r"[^a]+", r"\s+(?!\S)|\s+", r"(?i:'s)|a(?=b)", r"\p{N}{1,3}", r"[\[\]^]", r"a$"] {
            assert!(!looks_back(pattern), "{pattern}");
        }
    }

    #[test]
    fn suffixes() {
        for pattern in [r"[a-z]+", r"\d", r"\p{N}", r"\s+", "x"] {
            assert!(suffix_closed(pattern), "{pattern}");
        }
        for pattern in [r"\p{N}{1,3}", "ab", r" ?\p{L}+", r"[a]+?", "[a]*", "$", r"\b"] {
            assert!(!suffix_closed(pattern), "{pattern}");
        }
    }
}
