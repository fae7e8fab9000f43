//! The draft's view says what the target said, whatever is drafted and committed.
#![no_main]

use anydraft_fuzz::targets::session;

libfuzzer_sys::fuzz_target!(|given: session::Given| session::run(&given));
