//! Agreement over files that are opened: the whole way from the hook to the alert.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, ensure};
use driftwatch_tests::{AGENT, Act, Ground, Scenario};
use monitor::{
    host::Host,
    rules::{
        SourceFile,
        evaluate::{Attempt, Tier, evaluate},
        load,
        model::{Moment, Object, RuleSet},
    },
};
use monitor_common::Act as Kind;

use crate::claims::{SOON, alone, same};

/// What every rule that names what is permitted has to permit.
const SYSTEM: &str = "/usr/**, /lib/**, /lib64/**, /etc/**, /proc/**, /sys/**, /dev/**";

/// Globs of every kind, a rule of each line; `G` is the ground. Later ones are the more severe.
const NEVER: &[&str] = &[
    "'G/f/plain-0', 'G/f/plain-1', 'G/f/d1/plain-2', 'G/f/d1/d2/x.key'",
    "'G/f/d1/d2', 'G/f/d3/**'",
    "'**/plain-3', '**/d2/plain-4', '**/.hidden'",
    "'**/*.pem', 'G/f/*.key', 'G/f/d1/*.key'",
    "'G/f/d?/x.key', 'G/f/d[12]/y.key', 'G/f/d[!12]/plain-0'",
    "'**/*.tar.gz', '**/*.gz', '**/a*b*c', '**/a?c'",
    "'G/f/**/d4/**/z', 'G/f/*/d4/*', '**/d4/**'",
    "'G/**/x.{key,pem}', 'G/f/{d1,d3}/plain-{0,5}'",
    "'~/nothing', '~/.ssh/id_*', '~/**/deep.key', '~/.config/**'",
    "'**/id_[a-e]*', '**/id_?', '**/.*'",
    "'G/f/**/plain-5', '**/f/*/*/y.key', '**/*-[0-9]'",
];

/// Rules that name what may be read, and rules with exceptions.
const OTHERS: &[&str] = &[
    "only: [S, '**/d1/**', '**/*.key', 'G/f/plain-*', '~/**']",
    "never: ['G/f/**'], except: [{ path: ['**/*.pem', '**/d?/**', '**/plain-?'], reason: r }]",
    "only: [S, 'G/**'], except: [{ path: ['~/.config/**', '~/.ssh/id_a'], reason: r }]",
    "never: ['**/d2/**', '**/x.*'], except: [{ path: ['**/x.pem'], exe: [/bin/no], reason: r }]",
    "never: ['**/y.*', '~/x.*'], except: [{ path: ['**/d[1-3]/**'], exe: ['**/actor'], reason: r }]",
];

const DIRECTORIES: &[&str] =
    &["", "d1/", "d2/", "d3/", "d1/d2/", "d3/d4/", "d1/d4/d5/", "d4/d4/", ".ssh/", ".config/q/"];

const NAMES: &[&str] = &[
    "plain-0", "plain-1", "plain-2", "plain-3", "plain-4", "plain-5", "plain-66", ".hidden",
    "x.key", "y.key", "x.pem", "y.pem", "deep.key", "a.tar.gz", "b.gz", "gz", ".gz", "abc",
    "aXbYc", "a-c", "ac", "z", "id_a", "id_rsa", "id_", "id_f", ".env",
];

fn rule_set(ground: &Path) -> String {
    let severity = ["info", "low", "medium", "high", "critical"];
    let never = NEVER.iter().map(|globs| format!("never: [{globs}]"));
    let others = OTHERS.iter().map(|&sense| sense.to_owned());
    let mut rules = String::new();
    for (number, sense) in never.chain(others).enumerate() {
        let sense = sense.replace("[S,", &format!("[{SYSTEM},"));
        let sense = sense.replace("'G/", &format!("'{}/", ground.display()));
        let severity = severity[number * 7 % severity.len()];
        let act = if number % 4 == 3 { "write" } else { "read" };
        rules += &format!(
            "  - id: rule-{number}\n    title: Agent hit rule {number}\n    agents: [{AGENT}]\n    \
             {act}: {{ {sense} }}\n    action: alert\n    severity: {severity}\n"
        );
    }
    rules
}

fn plant(below: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for directory in DIRECTORIES {
        let directory = below.join(directory);
        fs::create_dir_all(&directory)?;
        for name in NAMES {
            let file = directory.join(name);
            fs::write(&file, "")?;
            files.push(file);
        }
    }
    Ok(files)
}

/// How often each rule is to be named with each file, by act.
type Expected = BTreeMap<(String, String, String), u64>;

fn expected(rules: &RuleSet, files: &[PathBuf], exe: &Path) -> anyhow::Result<Expected> {
    use std::os::unix::ffi::OsStrExt;
    let homes = Host::read().homes;
    let agent = rules.agents.iter().position(|agent| agent.name == AGENT).context("the agent")?;
    let mut expected = Expected::new();
    for (act, file) in [Kind::Read, Kind::Write]
        .into_iter()
        .flat_map(|act| files.iter().map(move |file| (act, file)))
    {
        let object = Object::Path(file.as_os_str().as_bytes().to_vec());
        let exe = Some(exe.as_os_str().as_bytes());
        let agents = [agent];
        let attempt = Attempt { exe, ..Attempt::new(&agents, act, &object, Moment::now()) };
        if let Some(rule) = evaluate(rules, &Tier::REACT, &homes, &attempt).rule {
            let id = rules.rules[rule].id.clone();
            let key = (act.name().to_owned(), file.display().to_string(), id);
            *expected.entry(key).or_default() += 1;
        }
    }
    Ok(expected)
}

#[test]
fn of_500_files_the_kernel_names_the_rules_that_the_evaluator_names() -> anyhow::Result<()> {
    let _alone = alone();
    let home = tempfile::Builder::new().prefix("driftwatch-test-").tempdir_in("/home")?;
    let ground = Ground::new()?;
    let mut files = plant(&ground.path("f"))?;
    files.extend(plant(home.path())?);
    ensure!(files.len() > 500, "only {}", files.len());
    let text = driftwatch_tests::scenario::rule_file(&rule_set(ground.directory()));
    let source = SourceFile { name: "rules.yaml".to_owned(), text: text.clone().into_bytes() };
    let rules = load(&[source], &Host::read().users, Moment::now())
        .map_err(|e| anyhow!(e.render(false)))?;
    let expected = expected(&rules, &files, &driftwatch_tests::programs::actor()?)?;
    ensure!(expected.len() > files.len() / 2, "only {} are hit", expected.len());

    let scenario = Scenario::start_file(ground, &text)?;
    for half in files.chunks(files.len() / 2 + 1) {
        let paths = || half.iter().map(PathBuf::as_path);
        for act in [Act::read_each(paths()), Act::write_each(paths())] {
            let ended = scenario.agent(&act)?;
            ensure!(ended.status.success(), "{ended:?}");
        }
    }
    let came = wait_for(&scenario, &expected, &[scenario.ground.path("f"), home.path().into()])?;
    for (key, number) in &expected {
        ensure!(came.get(key) == Some(number), "must come: {key:?}\n{}", others(&came, key));
    }
    for key in came.keys() {
        ensure!(expected.contains_key(key), "must not come: {key:?}\n{}", others(&expected, key));
    }
    let status = scenario.daemon.status()?;
    same("disagreements", status["events"]["disagreements"].as_u64().unwrap_or(1), 0)
}

/// What there is of the same file instead.
fn others(there: &Expected, key: &(String, String, String)) -> String {
    let same = there.keys().filter(|other| (&other.0, &other.1) == (&key.0, &key.1));
    format!("instead: {:?}", same.collect::<Vec<_>>())
}

fn wait_for(
    scenario: &Scenario,
    expected: &Expected,
    below: &[PathBuf],
) -> anyhow::Result<Expected> {
    let all: u64 = expected.values().sum();
    scenario.wait_for_alerts(all, SOON)?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    let mut came = Expected::new();
    for alert in scenario.alerts()? {
        let path = alert.text("/object/path").to_owned();
        if below.iter().any(|place| Path::new(&path).starts_with(place)) {
            *came.entry((alert.act().to_owned(), path, alert.rule().to_owned())).or_default() += 1;
        }
    }
    Ok(came)
}
