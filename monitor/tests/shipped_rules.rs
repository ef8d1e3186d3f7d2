//! The rule files that come with Driftwatch: they load, their own tests pass, and they are as complete as they say.
//!
//! Every directory below `rules/` that is a set is read as one: `starter`, `demo`, each example by itself, the
//! packs with the agents and lists that they name. What the tests inside the files say is theirs; here is only
//! counted that they are there, and that none is about nothing. No root, no kernel.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use monitor::rules::{
    SourceFile, Users,
    compile::{Ground, compile},
    evaluate::{Args, Attempt, Tier},
    examples,
    glob::Homes,
    load,
    model::{Example, Moment, Object, RuleSet, Sign},
    reach::{evaluate_here, within},
    style,
};
use monitor_common::Verdict;

/// 2026-11-22, noon: the day of the data. Exceptions and grants end.
const NOW: Moment = Moment::constant(1_795_348_800, 0);
/// 2035: every exception and every grant in the files has ended, and their tests are to say the same.
const LATER: Moment = Moment::constant(2_051_222_400, 0);

/// `rules/NAME` of the checkout.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in it")
        .join("rules")
        .join(name)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = read.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    paths
}

/// The rule files of directories, as the daemon would read them.
fn files(folders: &[PathBuf]) -> Vec<SourceFile> {
    let paths = folders.iter().flat_map(|folder| entries(folder));
    let rule_files = paths.filter(|path| path.extension().is_some_and(|end| end == "yaml"));
    let read = |path: PathBuf| SourceFile {
        name: path.display().to_string(),
        text: fs::read(&path).expect("readable"),
    };
    let files: Vec<_> = rule_files.map(read).collect();
    assert!(!files.is_empty(), "no rule files in {folders:?}");
    files
}

fn loaded(files: &[SourceFile]) -> RuleSet {
    let users = Users(BTreeMap::from([("root".into(), 0), ("svc-support".into(), 1200)]));
    load(files, &users, NOW).unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

/// The set in a directory.
fn set(name: &str) -> RuleSet {
    loaded(&files(&[folder(name)]))
}

/// The directories that make one set together: what is shipped, and the packs that use it.
fn pack_folders() -> [PathBuf; 3] {
    ["agents", "lists", "packs"].map(folder)
}

/// The names of the examples that somebody is to learn from, `NN-what`.
fn example_names() -> Vec<String> {
    let names = entries(&folder("examples")).into_iter().map(|path| {
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        format!("examples/{name}")
    });
    names.filter(|name| name != "examples/reference").collect()
}

/// Runs the tests of a set, today and when all that ends has ended.
fn assert_tests_pass(name: &str, rules: &RuleSet) {
    for (now, outcomes) in [NOW, LATER].map(|now| (now, examples::run(rules, now))) {
        for outcome in outcomes {
            let test = &rules.tests[outcome.test];
            let by = outcome.rule.map(|rule| &*rules.rules[rule].id);
            let (place, said, got) = (&test.place, &test.name, outcome.got);
            assert!(outcome.passed, "{name}: {said} at {place}, {now}: got {got:?} by {by:?}");
        }
    }
}

/// Every set by its name.
fn sets() -> Vec<(String, RuleSet)> {
    let small = ["starter", "demo", "examples/reference"].map(str::to_owned);
    let names = small.into_iter().chain(example_names());
    let sets = names.map(|name| (name.clone(), set(&name)));
    sets.chain([("packs".to_owned(), loaded(&files(&pack_folders())))]).collect()
}

#[test]
fn every_set_loads_and_its_tests_pass() {
    for (name, rules) in sets() {
        assert_tests_pass(&name, &rules);
    }
}

/// What the daemon makes the kernel half say before rules are in force, said of the plan here.
#[test]
fn the_plan_of_every_set_says_of_its_tests_what_the_rules_say() {
    let (homes, tier, mut hosts) = (Homes(vec![b"/root".to_vec()]), Tier::REACT, 0);
    for (name, whole) in sets() {
        let rules = within(&whole, NOW).rules;
        let agent_numbers: Vec<u32> = (1..).take(rules.agents.len()).collect();
        let ground = Ground {
            secret: 7,
            homes: &homes,
            tier: &tier,
            serial: 1,
            agent_numbers: &agent_numbers,
            watch: false,
        };
        let plan = compile(&rules, &ground).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
        for test in &rules.tests {
            let Example { agent, act, object, exe, how, args, traits, place, .. } = test;
            if matches!(object, Object::Socket(_)) {
                continue;
            }
            hosts += usize::from(matches!(object, Object::Host { .. }));
            let (acting, exe) = ([*agent], exe.as_deref());
            let (how, args, traits) = (*how, Args::Known(args), *traits);
            let attempt =
                Attempt { exe, how, args, traits, ..Attempt::new(&acting, *act, object, NOW) };
            let meant = evaluate_here(&rules, &tier, &homes, &attempt).rule;
            let said =
                plan.verdict(&[agent_numbers[*agent]], *act, object, exe, args, (how, traits));
            assert_eq!(said.map(|rule| plan.order[rule]), meant, "{name}: {place}");
        }
    }
    assert!(hosts > 20, "only {hosts} tests name hosts");
}

/// What we ask of others in CI, `driftwatch fmt --check`.
#[test]
fn every_file_is_in_the_one_style() {
    let small = ["agents", "lists", "packs", "starter", "demo"].map(str::to_owned);
    for name in small.into_iter().chain(example_names()) {
        for file in files(&[folder(&name)]) {
            let formatted = style::format(&file).unwrap_or_else(|problems| panic!("{problems}"));
            assert!(formatted.as_bytes() == file.text, "{}: run `driftwatch fmt rules`", file.name);
        }
    }
}

#[test]
fn examples_are_many_and_each_is_about_something() {
    let names = example_names();
    assert!(names.len() >= 25, "{names:?}");
    for (number, name) in (1..).zip(names) {
        assert!(
            name.starts_with(&format!("examples/{number:02}-")),
            "{name} is not number {number}"
        );
        let files = files(&[folder(&name)]);
        for file in &files {
            assert!(file.text.starts_with(b"# "), "{}: a file begins with who and what", file.name);
        }
        let rules = loaded(&files);
        assert!(rules.tests.len() >= 4, "{name} has {} tests", rules.tests.len());
        let expected = |verdict| rules.tests.iter().any(|test| test.expect == verdict);
        assert!(expected(Verdict::Allow), "{name} allows nothing");
        assert!(expected(Verdict::Deny) || expected(Verdict::Kill), "{name} refuses nothing");
        assert_all_used(&name, &rules);
    }
}

/// Every rule decides a test and every agent acts in one: else nobody knows whether it says what it should.
fn assert_all_used(name: &str, rules: &RuleSet) {
    let deciding: BTreeSet<_> =
        rules.tests.iter().filter_map(|test| test.rule.as_deref()).collect();
    for rule in &rules.rules {
        assert!(deciding.contains(&*rule.id), "{name}: no test is decided by {}", rule.id);
    }
    let acting: BTreeSet<_> = rules.tests.iter().map(|test| test.agent).collect();
    for (index, agent) in rules.agents.iter().enumerate() {
        assert!(acting.contains(&index), "{name}: {} acts in no test", agent.name);
    }
}

#[test]
fn packs_watch_until_somebody_says_otherwise() {
    let names: Vec<_> = entries(&folder("packs"));
    assert_eq!(names.len(), 5, "{names:?}");
    for file in files(&[folder("packs")]) {
        let text = String::from_utf8(file.text).expect("rule files are text");
        assert!(text.contains("\nmode: monitor\n"), "{}", file.name);
        assert!(!text.contains("mode: enforce"), "{}", file.name);
    }
    assert_all_used("packs", &loaded(&files(&pack_folders())));
}

#[test]
fn packs_fit_into_one_plan() {
    let mut check = Command::new(env!("CARGO_BIN_EXE_driftwatch"));
    let output =
        check.arg("check").args(pack_folders()).output().expect("it was built with this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn data_says_of_which_day_it_is() {
    for file in files(&[folder("agents"), folder("lists")]) {
        assert!(file.text.starts_with(b"# data version: 2026-"), "{}", file.name);
    }
}

/// How many items a list stands for, braces written out, as objects of `act`.
fn count(act: &str, list: &str) -> usize {
    let rule = format!(
        "version: 1\nrules:\n  - {{ id: counts, title: t, agents: [codex], {act}: {{ never: [\"@{list}\"] }}, action: alert }}\n"
    );
    let mut all = files(&[folder("agents"), folder("lists")]);
    all.push(SourceFile { name: "counts.yaml".into(), text: rule.into_bytes() });
    loaded(&all).rules[0].objects.len()
}

#[test]
fn lists_are_as_long_as_they_are_said_to_be() {
    let secrets = count("read", "secrets/all");
    assert!(secrets >= 150, "{secrets} secret paths");
    let power = count("connect", "power/sockets") + count("connect", "power/metadata");
    let changes = count("write", "persist") + count("write", "agent-config");
    assert!(secrets + power + changes >= 201, "{secrets} + {power} + {changes}");
}

#[test]
fn every_secret_list_is_under_the_umbrella() {
    // Beside it on purpose: ordinary programs read these all day.
    let beside = ["secrets/memory-maps", "secrets/host-identity", "secrets/root-home"];
    let text = fs::read_to_string(folder("lists/secrets.yaml")).expect("readable");
    let names = text.lines().filter_map(|line| line.strip_prefix("  secrets/")?.split_once(':'));
    let whole = count("read", "secrets/all");
    let names: Vec<_> = names.map(|(name, _)| format!("secrets/{name}")).collect();
    assert!(names.len() >= 30, "{names:?}");
    for name in names.into_iter().filter(|name| name != "secrets/all") {
        let both = format!("secrets/all\", \"@{name}");
        let more = count("read", &both) - whole;
        assert_eq!(more > 0, beside.contains(&&*name), "{name}");
    }
}

#[test]
fn agents_are_known_by_strong_signs_where_there_are_any() {
    let rules = loaded(&files(&[folder("agents"), folder("lists")]));
    let names: BTreeSet<_> = rules.agents.iter().map(|agent| &*agent.name).collect();
    for name in [
        "claude-code",
        "codex",
        "cursor",
        "gemini-cli",
        "aider",
        "opencode",
        "goose",
        "copilot-cli",
        "openhands",
    ] {
        assert!(names.contains(name), "{name} is missing");
    }
    // What an agent sets for its tools is never all there is to know a program by, where it has a program.
    let by_env_only = rules
        .agents
        .iter()
        .filter(|agent| agent.clauses.iter().flatten().all(|sign| matches!(sign, Sign::Env(..))));
    let by_env_only: Vec<_> = by_env_only.map(|agent| &*agent.name).collect();
    assert_eq!(by_env_only, ["antigravity", "cline", "openclaw"]);
}

/// The agents of which an executable or a script is a sign.
fn agents_of(rules: &RuleSet, path: &str) -> Vec<String> {
    let homes = Homes(vec![b"/root".to_vec()]);
    let is_one = |sign: &Sign| match sign {
        Sign::Exe(glob) | Sign::Script(glob) => glob.matches(path.as_bytes(), &homes),
        _ => false,
    };
    let known = rules.agents.iter().filter(|agent| agent.clauses.iter().flatten().any(is_one));
    known.map(|agent| agent.name.clone()).collect()
}

#[test]
fn programs_as_they_were_measured_are_recognised() {
    let rules = loaded(&files(&[folder("agents"), folder("lists")]));
    for (path, agent) in [
        ("/usr/lib/node_modules/@anthropic-ai/claude-code/bin/claude.exe", "claude-code"),
        ("/home/ana/.local/share/claude/versions/2.1.197", "claude-code"),
        (
            "/usr/lib/node_modules/@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex",
            "codex",
        ),
        (
            "/home/ana/.nvm/versions/node/v24.9.0/lib/node_modules/@google/gemini-cli/bundle/gemini.js",
            "gemini-cli",
        ),
        ("/usr/lib/node_modules/opencode-ai/bin/opencode.exe", "opencode"),
        ("/root/.opencode/bin/opencode", "opencode"),
        ("/usr/lib/node_modules/@github/copilot-linux-x64/copilot", "copilot-cli"),
        ("/home/ana/.local/share/cursor-agent/versions/2026.11.07/node", "cursor"),
        ("/home/ana/.local/share/pipx/venvs/aider-chat/bin/aider", "aider"),
        ("/home/ana/.npm/_npx/1f/node_modules/.bin/mcp-server-filesystem", "mcp-server"),
        ("/home/ana/.local/bin/goose", "goose"),
    ] {
        assert_eq!(agents_of(&rules, path), [agent], "{path}");
    }
    // AWS Copilot, a database tool, and interpreters and shells that everybody has.
    for path in [
        "/usr/local/bin/copilot",
        "/home/ana/go/bin/goose",
        "/usr/bin/node",
        "/usr/bin/python3.12",
        "/usr/bin/bash",
    ] {
        assert_eq!(agents_of(&rules, path), Vec::<String>::new(), "{path}");
    }
}
