//! Ranks, control tokens and a pattern, whatever they are, are loaded or refused.
#![no_main]

use anydraft_fuzz::targets::tiktoken;

libfuzzer_sys::fuzz_target!(
    init: { anydraft_fuzz::let_panics_of_libraries_pass(); },
    |given: tiktoken::Given| tiktoken::run(given)
);
