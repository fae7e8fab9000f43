//! Tokenizers in tiktoken's form: ranks, special tokens and a pattern.

use rustc_hash::FxHashMap;
use tokenizers::DecoderWrapper;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use crate::byte_level;
use crate::cut::Cut;
use crate::error::Error;
use crate::load::{Loaded, Parts, hash};
use crate::model::merging;
use crate::pattern::to_oniguruma;
use crate::special::AddedToken;
use crate::surface::Surface;

/// Reads a tokenizer in tiktoken's form. Ids are the ranks as given.
///
/// # Errors
/// `Pattern` for a regular expression that has no safe translation, `Broken` for one that is invalid,
/// `Vocabulary` if an id is given twice, `Decode` and `RoundTrip` if the self-check fails.
pub fn from_tiktoken(
    mut ranks: Vec<(Vec<u8>, u32)>,
    specials: Vec<(String, u32)>,
    pattern: &str,
) -> Result<Loaded, Error> {
    ranks.sort_unstable_by_key(|&(_, rank)| rank);
    let taken = |id: &u32| ranks.binary_search_by_key(id, |&(_, rank)| rank).is_ok();
    if let Some(&(_, id)) = specials.iter().find(|(_, id)| taken(id)) {
        return Err(anydraft_core::error::Error::RepeatedId { id }.into());
    }
    let fingerprint = fingerprint(&ranks, &specials, pattern);
    let cut = Cut::pattern(&to_oniguruma(pattern)?)?;
    let names: Vec<String> = ranks
        .iter()
        .map(|(bytes, _)| {
            let mut name = String::with_capacity(bytes.len() * 2);
            byte_level::write(bytes, &mut name);
            name
        })
        .collect();
    let merges = merges(&ranks)
        .into_iter()
        .map(|(left, right)| (names[left as usize].clone(), names[right as usize].clone()))
        .collect();
    let tokens = names.into_iter().zip(ranks.iter().map(|&(_, rank)| rank)).collect();
    let added = specials
        .into_iter()
        .map(|(content, id)| AddedToken { id, content, special: true, normalized: false })
        .collect();
    Parts {
        model: merging(BPE::builder().ignore_merges(true), tokens, merges)?,
        added,
        surface: Surface::ByteLevel,
        cut,
        decoder: Some(DecoderWrapper::ByteLevel(ByteLevel::default())),
        normalized: false,
        dummy_prefix: false,
        string_lossy: false,
        fingerprint,
    }
    .assemble()
}

/// Every way to make a token out of two, in order of the tokens' ranks and then of their halves': tiktoken
/// merges the pair whose *result* has the lowest rank, so each such pair is a merge. Tokens are named by
/// their place in `ranks`.
fn merges(ranks: &[(Vec<u8>, u32)]) -> Vec<(u32, u32)> {
    let places: FxHashMap<&[u8], u32> =
        ranks.iter().zip(0..).map(|((bytes, _), place)| (bytes.as_slice(), place)).collect();
    let mut out = Vec::with_capacity(ranks.len() * 3);
    for (bytes, _) in ranks {
        let first = out.len();
        out.extend((1..bytes.len()).filter_map(|at| {
            let (left, right) = bytes.split_at(at);
            Some((*places.get(left)?, *places.get(right)?))
        }));
        out[first..].sort_unstable();
    }
    out
}

/// The fingerprint that reading a tokenizer in tiktoken's form gives, in whatever order its tokens come.
pub fn tiktoken_fingerprint(
    mut ranks: Vec<(Vec<u8>, u32)>,
    specials: &[(String, u32)],
    pattern: &str,
) -> String {
    ranks.sort_unstable_by_key(|&(_, rank)| rank);
    fingerprint(&ranks, specials, pattern)
}

fn fingerprint(ranks: &[(Vec<u8>, u32)], specials: &[(String, u32)], pattern: &str) -> String {
    let mut specials: Vec<_> = specials.iter().map(|(content, id)| (content.as_bytes(), id)).collect();
    specials.sort_unstable();
    let mut flat = Vec::with_capacity(ranks.len() * 16);
    for (bytes, id) in ranks.iter().map(|(bytes, rank)| (bytes.as_slice(), rank)).chain(specials) {
        flat.extend_from_slice(&id.to_le_bytes());
        flat.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        flat.extend_from_slice(bytes);
    }
    hash([&ranks.len().to_le_bytes(), flat.as_slice(), pattern.as_bytes()])
}
