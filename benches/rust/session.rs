//! What one round of string-level drafting costs on the Rust side.
#![allow(missing_docs)] // criterion's macros make undocumented items

mod synthetic;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anydraft_core::bridge::{Bridge, Roles};
use anydraft_core::session::Session;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session");
    let target = synthetic::sentencepiece(150_000, 1);
    let draft = synthetic::byte_level(50_000, 2);
    let bridge = Arc::new(Bridge::new(target, draft, &Roles::default()));
    let said = synthetic::stretches(20).map(|text| bridge.target().encode_bytes(&text));
    let drafted = synthetic::stretches(19).map(|text| bridge.draft().encode_bytes(&text));
    let rounds: Vec<_> =
        said.zip(drafted).filter_map(|(said, drafted)| said.zip(drafted)).take(1 << 14).collect();
    let mut rounds = rounds.iter().cycle();
    for tokens in [1_000, 128_000] {
        let mut prompt =
            bridge.target().encode_bytes(synthetic::text(tokens * 8, 3).as_bytes()).unwrap_or_default();
        prompt.truncate(tokens);
        let fresh = || Session::new(Arc::clone(&bridge), Vec::new(), &prompt);
        group.bench_function(BenchmarkId::new("propose, commit", tokens), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut session = fresh();
                let mut spent = Duration::ZERO;
                for _ in 0..iterations {
                    if session.len() > prompt.len() + 10_000 {
                        session = fresh();
                    }
                    let (said, drafted) = rounds.next().expect("without end");
                    let began = Instant::now();
                    session.propose(drafted);
                    session.commit(said, drafted);
                    spent += began.elapsed();
                }
                spent
            });
        });
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
