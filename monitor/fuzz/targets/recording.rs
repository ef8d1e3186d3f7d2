//! Any text as a recording: it is read or refused with a line, and what was read is written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use monitor::recording::read;

fuzz_target!(|text: &str| {
    let recording = match read(text) {
        Ok(recording) => recording,
        Err(error) => {
            assert!((1..=text.lines().count().max(1)).contains(&error.line), "{error}");
            return;
        }
    };
    let mut again = serde_json::to_string(&recording.heading).expect("a heading is JSON");
    for entry in &recording.entries {
        assert!(entry.done().is_some(), "a verdict that is none");
        let _judged = (entry.judges(), entry.process(), entry.deed.object(), entry.deed.args());
        again.push('\n');
        again += &serde_json::to_string(entry).expect("an entry is JSON");
    }
    assert_eq!(read(&again).as_ref(), Ok(&recording), "written and read again");
});
