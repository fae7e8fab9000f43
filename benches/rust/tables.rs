//! What the tables of a pair cost, from two vocabularies in memory.
#![allow(missing_docs)] // criterion's macros make undocumented items

mod synthetic;

use std::hint::black_box;

use anydraft_core::encode::Tokenizer;
use anydraft_core::expansion::Expansion;
use anydraft_core::id::{DraftId, TargetId};
use anydraft_core::intersection;
use anydraft_core::translation::Translation;
use criterion::{Criterion, criterion_group, criterion_main};

fn benches(criterion: &mut Criterion) {
    let target: Tokenizer<TargetId> = synthetic::sentencepiece(150_000, 1);
    let draft: Tokenizer<DraftId> = synthetic::byte_level(50_000, 2);
    let (t, d) = (target.vocab(), draft.vocab());
    let translation = Translation::new(t, d, &[], &[]);
    let mut group = criterion.benchmark_group("tables of 150k with 50k");
    group.sample_size(20);
    group.bench_function("pairs", |bencher| bencher.iter(|| intersection::pairs(black_box(t), d)));
    group.bench_function("coverage", |bencher| bencher.iter(|| intersection::coverage(black_box(t), d)));
    group.bench_function("translation", |bencher| {
        bencher.iter_with_large_drop(|| Translation::new(black_box(t), d, &[], &[]));
    });
    group.bench_function("expansion", |bencher| {
        bencher.iter_with_large_drop(|| Expansion::new(black_box(&target), d, &translation));
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
