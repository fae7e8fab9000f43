//! What a change at the end of a text costs: flat in the length of the text.
#![allow(missing_docs)] // criterion's macros make undocumented items

mod synthetic;

use anydraft_core::id::TokenId;
use anydraft_core::retokenizer::Retokenizer;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const NEW_BYTES: usize = 20;

fn benches(criterion: &mut Criterion) {
    let tokenizers = [
        ("pieces", synthetic::byte_level::<TokenId>(50_000, 1)),
        ("seams", synthetic::sentencepiece::<TokenId>(50_000, 1)),
    ];
    for (name, tokenizer) in tokenizers {
        let mut group = criterion.benchmark_group(format!("retokenizer, {name}"));
        for kilobytes in [4, 512] {
            let mut stream = Retokenizer::new(tokenizer.clone());
            stream.push(synthetic::text(kilobytes << 10, 2).as_bytes());
            let length = stream.text().len();
            let mut new = synthetic::stretches(NEW_BYTES);
            group.bench_function(BenchmarkId::new("push and truncate", format!("{kilobytes}k")), |bencher| {
                bencher.iter(|| {
                    stream.push(&new.next().expect("without end"));
                    stream.truncate(length)
                });
            });
            group.bench_function(BenchmarkId::new("byte by byte", format!("{kilobytes}k")), |bencher| {
                bencher.iter(|| {
                    for byte in new.next().expect("without end") {
                        stream.push(&[byte]);
                    }
                    stream.truncate(length)
                });
            });
        }
        group.finish();
    }
}

criterion_group!(all, benches);
criterion_main!(all);
