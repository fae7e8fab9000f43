//! A tokenizer.json with any of its values exchanged, or any text at all, is loaded or refused.
#![no_main]

use anydraft_fuzz::targets::tokenizer_json;

libfuzzer_sys::fuzz_target!(
    init: { anydraft_fuzz::let_panics_of_libraries_pass(); },
    |given: tokenizer_json::Given| tokenizer_json::run(&given)
);
