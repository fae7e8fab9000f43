//! The laws of what is remembered, against slow definitions.
#![allow(missing_docs)]

use std::sync::Arc;
use std::thread;

use anydraft_core::memory::{Continuation, Index, KEY, LONGEST, LOOKED_AT, Memory, Place, continuations};
use proptest::prelude::*;

/// Texts of few letters with runs that come again.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(b'a'..b'd', 0..12),
        Just(b"abcdefgh".to_vec()),
        Just(b"abcdefghi".to_vec()),
        Just(vec![b'a'; 9]),
        Just((0..70).collect()),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// Documents with their first positions, and the bytes that are kept.
struct Slow {
    documents: Vec<(u64, Vec<u8>)>,
    end: u64,
    most: usize,
}

impl Slow {
    fn new(most: usize) -> Self {
        Self { documents: Vec::new(), end: 0, most }
    }

    fn add(&mut self, text: &[u8]) {
        if !text.is_empty() {
            self.documents.push((self.end, text.to_vec()));
            self.end += text.len() as u64;
        }
    }

    /// Each document's first position that is kept, and what is kept of it.
    fn kept(&self) -> Vec<(u64, &[u8])> {
        let start = self.end.saturating_sub(self.most as u64);
        let cut = |(at, text): &(u64, Vec<u8>)| {
            let gone = start.saturating_sub(*at).min(text.len() as u64);
            (at + gone, gone as usize)
        };
        self.documents.iter().map(|document| (cut(document).0, &document.1[cut(document).1..])).collect()
    }

    fn places(&self, suffix: &[u8]) -> Vec<Place> {
        let mut found = Vec::new();
        for (at, text) in self.kept() {
            for place in 1..text.len() {
                let both = suffix.iter().rev().zip(text[..place].iter().rev());
                let length = both.take_while(|(a, b)| a == b).count().min(LONGEST);
                if length >= KEY {
                    found.push(Place { position: at + place as u64, length });
                }
            }
        }
        found.reverse();
        found.truncate(LOOKED_AT);
        found
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn places_are_those_of_a_search(texts in prop::collection::vec(text(), 0..12), most in 16..300usize) {
        let (mut index, mut slow) = (Index::new(most), Slow::new(most));
        for text in &texts {
            index.begin();
            for piece in text.chunks(5) {
                index.push(piece);
            }
            slow.add(text);
            let kept: Vec<_> = slow.kept().into_iter().map(|(_, text)| text.to_vec()).filter(|text| !text.is_empty()).collect();
            prop_assert_eq!(index.documents(), kept);
            prop_assert_eq!(index.count(), index.documents().len());
            for suffix in texts.iter().chain([&index.tail(LONGEST)]) {
                prop_assert_eq!(index.places(suffix), slow.places(suffix), "{:?}", suffix);
            }
        }
        prop_assert!(index.len() <= index.most());
    }

    #[test]
    fn what_follows_ends_with_its_document(texts in prop::collection::vec(text(), 1..8), wanted in 0..40usize) {
        let mut index = Index::new(200);
        let mut slow = Slow::new(200);
        for text in &texts {
            index.begin();
            index.push(text);
            slow.add(text);
        }
        for (at, text) in slow.kept() {
            for place in 0..text.len() {
                let expected = &text[place..text.len().min(place + wanted)];
                prop_assert_eq!(index.following(at + place as u64, wanted), expected);
            }
        }
    }

    #[test]
    fn continuations_are_all_that_followed(
        own in text(), texts in prop::collection::vec(text(), 0..6), wanted in 1..20usize
    ) {
        let (mut index, mut slow) = (Index::new(1 << 20), Slow::new(1 << 20));
        index.push(&own);
        slow.add(&own);
        let (memory, mut other) = (Memory::new(1 << 20), Slow::new(1 << 20));
        memory.restore(texts.iter().map(Vec::as_slice));
        for text in &texts {
            other.add(text);
        }

        let suffix = &own[own.len().saturating_sub(LONGEST)..];
        let mut followed: Vec<(Vec<u8>, usize)> = Vec::new();
        for place in slow.places(suffix) {
            let run = own[place.position as usize..].to_vec();
            followed.push((run.into_iter().cycle().take(wanted).collect(), place.length));
        }
        let (own_places, joined) = (followed.len(), texts.concat());
        for place in other.places(suffix) {
            let ends = other.documents.iter().map(|(at, text)| at + text.len() as u64);
            let ends = ends.filter(|&end| end > place.position).min().unwrap();
            let ends = ends.min(place.position + wanted as u64) as usize;
            followed.push((joined[place.position as usize..ends].to_vec(), place.length));
        }

        let found = continuations(&index, Some(&memory), wanted, usize::MAX);
        prop_assert_eq!(found.iter().map(|one| one.count).sum::<usize>(), followed.len());
        for (i, one) in found.iter().enumerate() {
            prop_assert!(followed.iter().any(|(bytes, _)| bytes == &one.bytes));
            let alike: Vec<_> = followed.iter().filter(|(bytes, _)| one.bytes.starts_with(bytes)).collect();
            prop_assert!(alike.iter().any(|(_, length)| *length == one.length));
            prop_assert!(one.count <= alike.len());
            let others = found.iter().enumerate().filter(|(j, _)| *j != i);
            prop_assert!(others.into_iter().all(|(_, other)| !other.bytes.starts_with(&one.bytes)));
        }
        prop_assert!(found.is_sorted_by(|a, b| a.length >= b.length));
        prop_assert_eq!(found.first().map(|one| one.length), followed.iter().map(|(_, length)| *length).max());
        let alone = continuations(&index, None, wanted, usize::MAX);
        prop_assert_eq!(alone.iter().map(|one| one.count).sum::<usize>(), own_places);
        prop_assert_eq!(continuations(&index, Some(&memory), wanted, 2), &found[..found.len().min(2)]);
    }

    #[test]
    fn everything_that_was_added_can_be_found_while_there_is_room(
        texts in prop::collection::vec(text(), 1..10), cuts in prop::collection::vec(0..400usize, 1..10)
    ) {
        let memory = Memory::new(1 << 20);
        let mut whole = Vec::new();
        for (text, cut) in texts.iter().zip(&cuts) {
            whole.truncate(*cut); // other beginnings of what was there, and longer ones
            whole.extend_from_slice(text);
            memory.add(&whole);
            let documents = memory.documents();
            for run in whole.windows(KEY + 1) {
                prop_assert!(documents.iter().any(|kept| kept.windows(KEY + 1).any(|other| other == run)));
            }
            let before = memory.len();
            memory.add(&whole);
            prop_assert_eq!(memory.len(), before);
        }
    }
}

#[test]
fn places_are_those_of_a_search_while_the_table_grows_and_the_ring_turns() {
    let words: [&[u8]; 5] = [b"the quick ", b"brown fox ", b"jumps over ", b"a lazy dog ", b"12345678"];
    let (mut index, mut slow) = (Index::new(5000), Slow::new(5000));
    let mut chance = 7_u32;
    for _ in 0..40 {
        let mut text = Vec::new();
        for _ in 0..40 {
            chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.extend_from_slice(words[(chance >> 24) as usize % 5]);
        }
        index.begin();
        index.push(&text);
        slow.add(&text);
        for suffix in [&index.tail(LONGEST), &b"jumps over the quick brown fox 12345678"[..], &text[3..12]] {
            assert!(!index.places(suffix).is_empty());
            assert_eq!(index.places(suffix), slow.places(suffix));
        }
    }
    assert_eq!(index.len(), 5000);
}

fn followed(bytes: &[u8], length: usize, count: usize) -> Continuation {
    Continuation { bytes: bytes.to_vec(), length, count }
}

fn asked(own: &[u8], remembered: &[&[u8]], wanted: usize) -> Vec<Continuation> {
    let mut index = Index::new(1 << 16);
    index.push(own);
    let memory = Memory::new(1 << 16);
    memory.restore(remembered.iter().copied());
    continuations(&index, Some(&memory), wanted, 8)
}

#[test]
fn the_longer_match_wins_and_the_own_text_at_equal_length() {
    let own = b"_call the function; then call the function";
    let found = asked(own, &[b"_call the function()", b"and then call the function[]"], 2);
    assert_eq!(found, [followed(b"[]", 23, 1), followed(b"; ", 17, 1), followed(b"()", 17, 1)]);
    let found = asked(own, &[b" call the function()"], 2);
    assert_eq!(found, [followed(b"()", 18, 1), followed(b"; ", 17, 1)]);
}

#[test]
fn what_followed_last_comes_first_and_then_what_followed_more_often() {
    let remembered: [&[u8]; 5] =
        [b"12345678 ax", b"12345678 ay", b"12345678 b_", b"12345678 ay", b"12345678 c_"];
    let found = asked(b"12345678 ", &remembered, 2);
    let expected =
        [followed(b"c_", 9, 1), followed(b"ay", 9, 2), followed(b"b_", 9, 1), followed(b"ax", 9, 1)];
    assert_eq!(found, expected);
}

#[test]
fn one_that_ends_early_is_counted_with_its_longer_one() {
    let remembered: [&[u8]; 3] = [b"12345678 x", b"12345678 abc", b"12345678 ab"];
    assert_eq!(asked(b"12345678 ", &remembered, 3), [followed(b"abc", 9, 2), followed(b"x", 9, 1)]);
}

#[test]
fn a_run_repeats_itself_at_the_end_of_the_text_alone() {
    assert_eq!(asked(b"the end the end ", &[], 20)[0].bytes, b"the end the end the ");
    assert_eq!(asked(b"the end ", &[b"the end the end "], 20)[0].bytes, b"the end ");
}

#[test]
fn fewer_than_eight_bytes_are_no_match() {
    assert_eq!(asked(b"abcdefg abcdefg", &[], 4), []);
    assert_eq!(asked(b"", &[b"abcdefgh"], 4), []);
    assert_eq!(asked(b"abcdefgh, abcdefgh", &[], 1), [followed(b",", KEY, 1)]);
}

#[test]
fn nothing_runs_across_two_documents() {
    assert_eq!(asked(b"abcdefgh", &[b"abcd", b"efghijkl"], 4), []);
    assert_eq!(asked(b"abcdefgh", &[b"abcdefgh", b"ijkl"], 4), []);
    assert_eq!(asked(b"xabcdefgh", &[b"x", b"abcdefgh!"], 4), [followed(b"!", KEY, 1)]);
}

#[test]
fn a_conversation_is_kept_once() {
    let memory = Memory::new(1 << 20);
    let turns: Vec<u8> = (0..3000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    for length in (500..turns.len()).step_by(777) {
        memory.add(&turns[..length]);
        assert_eq!((memory.len(), memory.count()), (length, 1));
    }
    memory.add(b"something else was said meanwhile");
    let before = memory.len();
    memory.add(&turns);
    assert!(memory.len() - before <= 777 + LONGEST); // what is new, and what leads to it
    assert_eq!(memory.count(), 3);
}

#[test]
fn what_is_forgotten_is_remembered_anew() {
    let memory = Memory::new(4096);
    let first: Vec<u8> = (0..1000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    memory.add(&first);
    memory.add(&vec![b'.'; 4000]);
    memory.add(&first);
    assert!(memory.documents().concat().ends_with(&first));
    assert_eq!(memory.len(), 4096);
    memory.clear();
    assert_eq!((memory.len(), memory.count(), memory.most()), (0, 0, 4096));
}

#[test]
fn a_memory_is_bounded_whatever_is_added() {
    let memory = Memory::new(1 << 16);
    for i in 0..20_000_u32 {
        let text: Vec<u8> =
            (0..9 + i % 60).map(|j| ((i * 31 + j).wrapping_mul(2_654_435_761) >> 20) as u8).collect();
        memory.add(&text);
    }
    memory.add(&vec![7; 1 << 18]);
    for i in 0..20_000_u64 {
        memory.add(&[&i.to_be_bytes()[..], b"."].concat()); // as short as can be found
    }
    assert_eq!(memory.len(), 1 << 16);
    assert_eq!(memory.count(), (1_usize << 16).div_ceil(9));
    assert!(memory.allocated() < 12 << 16, "{}", memory.allocated());
}

#[test]
fn looking_up_does_not_depend_on_how_much_is_kept() {
    let mut index = Index::new(1 << 22);
    for _ in 0..20_000 {
        index.push(b"all work and no play makes jack a dull boy. ");
    }
    assert_eq!(index.places(&index.tail(LONGEST)).len(), LOOKED_AT);
    assert!(index.allocated() < 9 * (1 << 20), "{}", index.allocated());
}

#[test]
fn threads_share_a_memory() {
    let memory = Arc::new(Memory::new(1 << 14));
    let threads: Vec<_> = (0..4_u8)
        .map(|i| {
            let memory = Arc::clone(&memory);
            thread::spawn(move || {
                for j in 0..300_u32 {
                    let text = format!("thread {i} says number {j}, and thread {i} says number {j} again");
                    memory.add(text.as_bytes());
                    let mut own = Index::new(1 << 14);
                    own.push(&text.as_bytes()[..30]);
                    let found = continuations(&own, Some(&memory), 8, 4);
                    assert!(found.iter().all(|one| one.bytes.len() <= 8));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(memory.len() <= 1 << 14);
}
