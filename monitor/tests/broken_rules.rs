//! Every file in `broken` has one mistake. How it is reported is a snapshot.

use std::{collections::BTreeMap, fs, path::Path};

use monitor::rules::{SourceFile, Users, load, model::Moment};

/// 2026-11-22, noon: grants must end within thirty days.
const NOW: Moment = Moment::constant(1_795_348_800, 0);

#[test]
fn every_mistake_is_reported_where_it_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let entries = fs::read_dir(folder).expect("the folder is part of the repository");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    assert!(files.len() >= 45, "only {} files", files.len());
    let users = Users(BTreeMap::from([("root".into(), 0), ("svc-support".into(), 1200)]));
    let mut silent = Vec::new();
    for path in files {
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        let text = fs::read(&path).expect("readable");
        match load(&[SourceFile { name: name.clone(), text }], &users, NOW) {
            Ok(_) => silent.push(name),
            Err(problems) => {
                let stem = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
                assert_eq!(problems.len(), 1, "one mistake, one problem:\n{problems}");
                insta::assert_snapshot!(stem, problems.render(false));
            }
        }
    }
    assert_eq!(silent, Vec::<String>::new(), "these were loaded");
}
