//! Any bytes as records of the kernel half: they are decoded or refused, and the pipeline takes what comes of
//! them, with a plan in force.
//!
//! One byte before each record says how long the record is beyond its head, and whether its head is to be mended:
//! left alone, hardly a record would be read further than its length.

#![no_main]

use std::{collections::BTreeMap, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use monitor::{
    event::{decode, shown},
    pipeline::{InForce, Pipeline},
    recording::Entry,
    rules::{
        SourceFile, Users,
        evaluate::Tier,
        format::samples,
        glob::Homes,
        load,
        model::{Moment, RuleSet},
    },
};
use monitor_common::record::Header;

/// 2026-11-22, noon.
const NOW: Moment = Moment::constant(1_795_348_800, 0);
/// Where a head says how long its record is.
const SIZE: usize = std::mem::offset_of!(Header, size);

static RULES: LazyLock<RuleSet> = LazyLock::new(|| {
    let file = SourceFile { name: "sample.yaml".into(), text: samples::READ.into() };
    load(&[file], &Users::default(), NOW).expect("samples load")
});

fn pipeline() -> Pipeline {
    let mut pipeline = Pipeline::default();
    let rules = RULES.clone();
    let name = |agent: &monitor::rules::model::Agent| {
        pipeline.agents.names.number(&agent.name).expect("samples have few agents")
    };
    let agent_numbers = rules.agents.iter().map(name).collect();
    pipeline.put_in_force(InForce {
        serial: 1,
        order: (0..rules.rules.len()).collect(),
        rules,
        agent_numbers,
        tier: Tier::REACT,
        homes: Homes(vec![b"/root".to_vec()]),
        now: NOW,
        labels: BTreeMap::from([((0, 0), b"/etc/shadow".to_vec())]),
    });
    pipeline
}

fuzz_target!(|bytes: &[u8]| {
    let mut pipeline = pipeline();
    let mut rest = bytes;
    while let Some((&sign, behind)) = rest.split_first() {
        let len = size_of::<Header>() + usize::from(sign & 0x7f);
        let (record, behind) = behind.split_at(len.min(behind.len()));
        let mut record = record.to_vec();
        if sign < 0x80 && record.len() >= size_of::<Header>() {
            let size = u32::try_from(record.len()).expect("small");
            record[SIZE..SIZE + 4].copy_from_slice(&size.to_ne_bytes());
        }
        take(&mut pipeline, &record);
        rest = behind;
    }
    // A gap that big is a lie, but no reason to end.
    let _missing = pipeline.missing();
});

/// Takes the bytes as one record, twice: alone, and behind those before.
fn take(pipeline: &mut Pipeline, record: &[u8]) {
    let decoded = decode(record);
    let advanced = pipeline.tapped(record, |event, agents| {
        if let Some(entry) = Entry::of(event, agents, 0) {
            let line = serde_json::to_string(&entry).expect("an entry is JSON");
            let again: Entry = serde_json::from_str(&line).expect("what is written is read");
            assert_eq!(entry, again);
        }
    });
    assert_eq!(decoded.as_ref().err(), advanced.as_ref().err(), "decoded by both or by none");
    if let Ok(Some(finding)) = &advanced {
        assert!(finding.rule.is_none_or(|rule| rule < RULES.rules.len()));
        for (_, process) in &finding.ancestry {
            let exe = process.image.exe.clone().unwrap_or_default();
            assert!(!shown(&exe).to_string().chars().any(char::is_control));
        }
    }
}
