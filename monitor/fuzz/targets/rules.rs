//! Any bytes as a rule file. What must hold of them is the law of `monitor/tests/hostile/law.rs`.

#![no_main]

#[path = "../../tests/hostile/law.rs"]
mod law;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Some(rules) = law::hold(text) {
        law::can_be_used(&rules);
    }
});
