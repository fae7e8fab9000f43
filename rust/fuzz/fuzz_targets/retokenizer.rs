//! Incremental equals whole, for any bytes and any order of changes.
#![no_main]

use anydraft_fuzz::targets::retokenizer;

libfuzzer_sys::fuzz_target!(|given: retokenizer::Given| retokenizer::run(&given));
