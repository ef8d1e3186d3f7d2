//! Strict: every rule that is shipped, made to kill, and rules beside them that forbid everything.
//!
//! Who is an agent: in a guest whoever the shipped signs say; on a host, which others use as well, nobody but what is
//! launched as one. A person's agent that works there is none of a test's.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use driftwatch_tests::{Ground, programs};

/// The agent that everything is forbidden to.
pub(super) const AGENT: &str = "stranger";
/// Everything that can be forbidden.
const RULES: &str = r#"
rules:
  - { id: no-program, title: t, agents: [stranger, all-agents], exec: { only: [/no/such/program] }, action: kill }
  - { id: no-settings, title: t, agents: [stranger, all-agents], read: { never: [/etc/**] }, action: kill }
  - { id: no-write, title: t, agents: [stranger, all-agents], write: { only: [/no/such/file] }, action: kill }
  - { id: no-peer, title: t, agents: [stranger, all-agents], connect: { only: ["192.0.2.1:9"] }, action: kill }
  - { id: no-listen, title: t, agents: [stranger, all-agents], listen: { only: ["192.0.2.1:9"] }, action: kill }
  - id: no-right
    title: t
    agents: [stranger, all-agents]
    privilege: { never: [setuid, capabilities, ptrace, mount, namespaces, bpf, module, io_uring] }
    action: kill
"#;

/// Writes the set into a directory of the ground.
pub(super) fn write(ground: &Ground) -> anyhow::Result<PathBuf> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules");
    let strict = ground.path("strict");
    fs::create_dir(&strict)?;
    let (mut names, mut rules) = (BTreeSet::new(), 0);
    for folder in ["packs", "starter", "agents"] {
        for file in yaml_files(&shipped.join(folder))? {
            let text = fs::read_to_string(&file)?;
            names.extend(agents_of(&text).filter(|name| !name.ends_with("agents")));
            if folder != "agents" {
                let name = file.file_name().context("a file has a name")?.to_string_lossy();
                let text = made_strict(&text, folder);
                rules += text.matches("\n    action: kill").count();
                fs::write(strict.join(format!("{folder}-{name}")), text)?;
            }
        }
    }
    ensure!(rules > 50 && names.len() > 10, "{rules} rules, {names:?}: is the format another one?");
    let mut all = format!("version: 1\nmode: enforce\nagents:\n{}", launched(AGENT));
    if !programs::in_a_guest() {
        all.extend(names.iter().map(|name| launched(name)));
    }
    fs::write(strict.join("everything.yaml"), all + RULES)?;
    Ok(strict)
}

fn launched(name: &str) -> String {
    format!("  {name}: {{ any: [{{ launched-as: {name} }}] }}\n")
}

fn yaml_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<_> =
        entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    Ok(files)
}

/// The lines, each with the top-level key that it stands under.
fn under_keys(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().scan("", |key, line| {
        if line.starts_with(|first: char| first.is_ascii_alphabetic()) {
            *key = line.split(':').next().unwrap_or_default();
        }
        Some((*key, line))
    })
}

/// The names under `agents:`.
fn agents_of(text: &str) -> impl Iterator<Item = String> {
    under_keys(text).filter(|(key, _)| *key == "agents").filter_map(|(_, line)| {
        let name = line.strip_prefix("  ")?.split_once(':')?.0;
        name.starts_with(|first: char| first.is_ascii_lowercase()).then(|| name.to_owned())
    })
}

/// The file with every rule enforced and made to kill. Packs and starter have rules of the same names; their tests
/// say what the rules were.
fn made_strict(text: &str, folder: &str) -> String {
    let mut strict = String::new();
    for (key, line) in under_keys(text) {
        // Where the starter has agents of its own, those that come with the program do as well.
        let left_out = ["agents", "tests"].contains(&key);
        let softer = ["    ask:", "    fallback:", "    mode:"];
        if left_out || softer.iter().any(|start| line.starts_with(start)) {
            continue;
        }
        strict += &match line.strip_prefix("  - id: ") {
            Some(id) => format!("  - id: {folder}-{id}"),
            None if line.starts_with("mode:") => "mode: enforce".to_owned(),
            None if line.starts_with("    action:") => "    action: kill".to_owned(),
            None => line.to_owned(),
        };
        strict.push('\n');
    }
    strict
}
