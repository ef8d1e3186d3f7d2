//! Tests of the whole line, from texts to rulings.

use monitor_common::{Act, Verdict};
use proptest::prelude::*;

use super::{
    evaluate::{Attempt, Ruling, Tier, evaluate, explain_match, settle, strength_order},
    glob::Homes,
    model::{Object, RuleSet, Severity, Sign},
    *,
};

/// 2026-11-22, noon.
const NOW: model::Moment = model::Moment::constant(1_795_348_800, 0);

const AGENTS: &str = "version: 1
mode: enforce
agents:
  one: { any: [{ exe: /opt/one }] }
  two: { any: [{ exe: /opt/two }] }
  both: { any: [{ agent: one }, { agent: two }] }
";

const STARTER: [(&str, &str); 3] = [
    ("10-coding-agents.yaml", include_str!("../../../rules/starter/10-coding-agents.yaml")),
    ("20-secrets.yaml", include_str!("../../../rules/starter/20-secrets.yaml")),
    ("30-egress.yaml", include_str!("../../../rules/starter/30-egress.yaml")),
];

fn file(name: &str, text: impl AsRef<[u8]>) -> SourceFile {
    SourceFile { name: name.into(), text: text.as_ref().to_vec() }
}

fn users() -> Users {
    Users([("root".to_owned(), 0), ("ana".to_owned(), 1000), ("bo".to_owned(), 1001)].into())
}

fn good(text: &str) -> RuleSet {
    load(&[file("a.yaml", text)], &users(), NOW).unwrap_or_else(|problems| panic!("{problems}"))
}

fn bad(files: &[SourceFile]) -> Vec<String> {
    let problems = load(files, &users(), NOW).expect_err("there is a mistake");
    problems.iter().map(|(place, problem)| format!("{place}: {}", problem.message)).collect()
}

fn rule(id: &str, agents: &str, act: &str, rest: &str) -> String {
    format!("  - {{ id: {id}, title: t, agents: [{agents}], {act}, {rest} }}\n")
}

fn ruled(rules: &[String]) -> RuleSet {
    good(&format!("{AGENTS}rules:\n{}", rules.concat()))
}

fn on(rules: &RuleSet, tier: Tier, act: Act, object: &Object, exe: Option<&str>) -> Ruling {
    let exe = exe.map(str::as_bytes);
    evaluate(
        rules,
        &tier,
        &Homes::default(),
        &Attempt { exe, ..Attempt::new(&[0], act, object, NOW) },
    )
}

fn read(object: &Object) -> Attempt<'_> {
    Attempt::new(&[0], Act::Read, object, NOW)
}

fn path(text: &str) -> Object {
    Object::Path(text.as_bytes().to_vec())
}

#[test]
fn the_starter_rules_load_and_their_tests_pass() {
    let files = STARTER.map(|(name, text)| file(name, text));
    let rules =
        load(&files, &Users::default(), NOW).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((rules.files, rules.agents.len()), (3, 8));
    assert!(rules.rules.iter().all(|rule| rule.mode == model::Mode::Monitor), "nothing is refused");
    let outcomes = examples::run(&rules, NOW);
    assert!(outcomes.len() >= 30);
    for outcome in &outcomes {
        assert!(outcome.passed, "{}: {outcome:?}", rules.tests[outcome.test].name);
    }
    let tested = |id: &str| rules.tests.iter().any(|test| test.rule.as_deref() == Some(id));
    for rule in &rules.rules {
        assert!(tested(&rule.id), "no test shows {}", rule.id);
    }
}

#[test]
fn the_page_about_the_language_is_true() {
    let page = include_str!("../../../rules/README.md");
    let text = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let users = Users([("svc-worker".to_owned(), 1200)].into());
    let rules = load(&[file("README.md", text)], &users, NOW)
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert!(examples::run(&rules, NOW).iter().all(|outcome| outcome.passed));
}

#[test]
fn a_test_that_expects_something_else_fails() {
    let body = rule("r", "one", "read: { never: [/x] }", "action: deny");
    let other = rule("s", "one", "read: { never: [/y] }", "action: deny");
    let tests = "tests:
  - { name: verdict, agent: one, read: /x, expect: alert }
  - { name: rule, agent: one, read: /x, expect: deny, rule: s }
  - { name: nothing, agent: two, read: /x, expect: deny }
  - { name: good, agent: one, read: /x, expect: deny, rule: r }
";
    let rules = good(&format!("{AGENTS}rules:\n{body}{other}{tests}"));
    let passed: Vec<bool> =
        examples::run(&rules, NOW).iter().map(|outcome| outcome.passed).collect();
    assert_eq!(passed, [false, false, false, true]);
}

#[test]
fn every_place_in_the_model_is_where_it_was_written() {
    let text = format!(
        "{AGENTS}lists:\n  keys: [~/.ssh/id_*, \"@more\"]\n  more: [/k]\nrules:\n{}",
        rule("r", "both", "read: { never: [\"@keys\", /x] }", "action: kill, severity: high")
    );
    let rules = good(&text);
    let rule = &rules.rules[0];
    assert_eq!(rule.agents, [0, 1], "a group is its members");
    assert_eq!((rule.severity, rule.fallback), (Severity::High, Verdict::Kill));
    assert_eq!(rule.place.to_string(), "a.yaml:11:11");
    let model::Objects::Paths(items) = &rule.objects else { panic!("paths") };
    let items: Vec<_> = items
        .iter()
        .map(|item| (&*item.text, item.list.as_deref(), item.place.to_string()))
        .collect();
    assert_eq!(items[0], ("~/.ssh/id_*", Some("keys"), "a.yaml:8:10".to_owned()));
    assert_eq!(items[1], ("/k", Some("more"), "a.yaml:9:10".to_owned()));
    assert_eq!((items[2].0, items[2].1), ("/x", None));
    assert_eq!(rules.agents[1].place.to_string(), "a.yaml:5:3");
}

#[test]
fn signs_under_all_are_one_clause_for_each_choice() {
    let rules = good(
        "version: 1
agents:
  a:
    all: [{ exe: \"/opt/{x,y}\" }, { user: [ana, 1001] }]
  b:
    any: [{ exe: b }, { launched-as: bee }, { cgroup: /bees.slice/** }, { user: [root] }]
  c:
    any: [{ launched-as: c }]
",
    );
    let clauses: Vec<usize> = rules.agents.iter().map(|agent| agent.clauses.len()).collect();
    assert_eq!(clauses, [4, 3, 0]);
    assert!(rules.agents[0].clauses.iter().all(|clause| clause.len() == 2));
    assert_eq!(rules.agents[0].clauses[1][1], Sign::User(1001));
    assert_eq!(rules.agents[1].launched_as, ["b", "bee"]);
    assert_eq!(rules.agents[2].launched_as, ["c"]);
    let Sign::Exe(glob) = &rules.agents[1].clauses[0][0] else { panic!("an executable") };
    assert!(glob.matches(b"/usr/bin/b", &Homes::default()), "a bare name is a file name");
}

#[test]
fn problems_of_all_files_are_told_at_once() {
    let first = format!(
        "{AGENTS}rules:\n{}{}",
        rule("r", "on", "read: { never: [x] }", "action: deny"),
        rule("r", "both", "read: { never: [/x] }", "action: dny"),
    );
    let second = "version: 1\nlists:\n  l: [\"@m\"]\nagents:\n  one: { any: [{ exe: /o }] }\n";
    assert_eq!(
        bad(&[file("a.yaml", first), file("b.yaml", second)]),
        [
            "a.yaml:8:33: unknown agent `on`",
            "a.yaml:8:54: `x` is not a path",
            "a.yaml:9:71: unknown action `dny`",
            "b.yaml:3:7: unknown list `@m`",
            "b.yaml:5:3: agent `one` is defined twice",
        ]
    );
}

#[test]
fn names_and_ids_are_unique_over_all_files() {
    let one = format!(
        "{AGENTS}lists: {{ l: [/x] }}\nrules:\n{}",
        rule("r", "one", "exec: { never: [nc] }", "action: deny")
    );
    let two = format!(
        "version: 1\nlists: {{ l: [/y] }}\nrules:\n{}",
        rule("r", "two", "exec: { never: [nc] }", "action: deny")
    );
    let problems = load(&[file("a.yaml", one), file("b.yaml", two)], &users(), NOW).unwrap_err();
    assert_eq!(problems.len(), 2);
    let text = problems.render(false);
    assert!(
        text.contains("list `l` is defined twice") && text.contains("rule `r` is defined twice")
    );
    assert!(text.contains(" ::: a.yaml:9:11"), "the first place is shown as well:\n{text}");
    assert!(text.ends_with("2 files, 2 problems. Nothing was loaded."));
}

#[test]
fn a_file_that_cannot_be_read_hides_what_follows_from_it() {
    let rules = format!(
        "version: 1\nrules:\n{}",
        rule("r", "one", "read: { never: [\"@l\", x] }", "action: deny")
    );
    let files = [file("a.yaml", "version: 1\nagents: ["), file("b.yaml", rules)];
    let problems = bad(&files);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("a.yaml:2:9: this is not YAML"), "{problems:?}");
    assert_eq!(problems[1], "b.yaml:3:61: `x` is not a path");
}

#[test]
fn large_files_and_large_lists_are_refused() {
    let large = vec![b'#'; source::FILE_BYTES + 1];
    assert_eq!(bad(&[file("a.yaml", large)]), ["a.yaml:1:1: the file is larger than 1 MiB"]);
    let items: Vec<String> = (0..5000).map(|number| format!("/{number}")).collect();
    let list = format!("lists:\n  l: [{}]\n", items.join(","));
    let rules: String = (0..201)
        .map(|n| rule(&format!("r{n}"), "one", "read: { never: [\"@l\"] }", "action: deny"))
        .collect();
    let problems = bad(&[file("a.yaml", format!("{AGENTS}{list}rules:\n{rules}"))]);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].ends_with("the rules have more than 1000000 items together"));
}

#[test]
fn many_agents_and_many_braces_are_refused() {
    let names: String =
        (0..1025).map(|n| format!("  a{n}: {{ any: [{{ exe: /a }}] }}\n")).collect();
    let problems = bad(&[file("a.yaml", format!("version: 1\nagents:\n{names}"))]);
    assert_eq!(problems, ["a.yaml:1027:3: there are more than 1024 agents and groups"]);
    let braces: Vec<String> =
        (0..1000).map(|n| format!("\"/{n}{}\"", "{a,b}".repeat(10))).collect();
    let act = format!("read: {{ never: [{}] }}", braces.join(","));
    let text = format!("{AGENTS}rules:\n{}", rule("r", "one", &act, "action: deny"));
    let problems = bad(&[file("a.yaml", text)]);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].ends_with("the rules have more than 1000000 items together"));
}

#[test]
fn a_list_behind_two_lists_is_opened_once() {
    let mut lists = String::from("lists:\n  a0: [/x]\n  b0: [/y]\n");
    for n in 1..60 {
        let m = n - 1;
        lists += &format!("  a{n}: [\"@a{m}\", \"@b{m}\"]\n  b{n}: [\"@b{m}\", \"@a{m}\"]\n");
    }
    let rule = rule("r", "one", "read: { never: [\"@a59\"] }", "action: deny");
    let rules = good(&format!("{AGENTS}{lists}rules:\n{rule}"));
    assert_eq!(rules.rules[0].objects.len(), 2);
}

#[test]
fn a_flood_of_problems_is_counted_and_cut() {
    let items: Vec<String> = (0..300).map(|number| format!("n{number}")).collect();
    let rule =
        rule("r", "one", &format!("read: {{ never: [{}] }}", items.join(",")), "action: deny");
    let problems =
        load(&[file("a.yaml", format!("{AGENTS}rules:\n{rule}"))], &users(), NOW).unwrap_err();
    assert_eq!(problems.len(), 300);
    let text = problems.render(true);
    assert!(
        text.contains("200 more are not shown.")
            && text.ends_with("1 file, 300 problems. Nothing was loaded.")
    );
}

#[test]
fn colour_is_asked_for_and_nothing_steers_the_terminal() {
    let text = "version: 1\nlists:\n  \"\\e[31m\": [/x]\n";
    let problems = load(&[file("\x1b[2J.yaml", text)], &users(), NOW).unwrap_err();
    assert!(!problems.render(false).contains('\x1b'), "{:?}", problems.render(false));
    assert!(problems.render(true).contains("\x1b["));
    assert!(!problems.render(true).contains("\x1b[2J"));
}

#[test]
fn the_order_of_tags_has_no_meaning() {
    let tags = "action: deny, tags: { nist: [MAP], owasp: [ASI03], attack: [T1552] }";
    let rules =
        good(&format!("{AGENTS}rules:\n{}", rule("r", "one", "read: { never: [/x] }", tags)));
    let names: Vec<_> = rules.rules[0].tags.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["attack", "owasp", "nist"]);
}

#[test]
fn a_list_is_what_the_rule_makes_of_it() {
    let lists = "lists:\n  hosts: [192.0.2.0/24, \"2001:db8::1\"]\n";
    let rule = rule("r", "one", "connect: { only: [\"@hosts:443/udp\"] }", "action: deny");
    let rules = good(&format!("{AGENTS}{lists}rules:\n{rule}"));
    let model::Objects::Destinations(items) = &rules.rules[0].objects else {
        panic!("destinations")
    };
    assert!(items.iter().all(|item| item.is.port == Some(443) && item.is.protocol.is_some()));
    assert_eq!(items[0].text, "192.0.2.0/24");
    assert_eq!(items[0].list.as_deref(), Some("hosts"));
}

#[test]
fn only_is_hit_by_everything_else_and_never_by_what_is_listed() {
    let rules = ruled(&[
        rule("exec", "one", "exec: { only: [/usr/bin/git] }", "action: deny"),
        rule("read", "one", "read: { never: [/k/**] }", "action: deny"),
    ]);
    let done = |act, object: &str| on(&rules, Tier::PREVENT, act, &path(object), None).done;
    assert_eq!(done(Act::Exec, "/usr/bin/git"), Verdict::Allow);
    assert_eq!(done(Act::Exec, "/usr/bin/gitk"), Verdict::Deny);
    assert_eq!(done(Act::Read, "/k/a"), Verdict::Deny);
    assert_eq!(done(Act::Read, "/j/a"), Verdict::Allow);
    assert_eq!(done(Act::Write, "/k/a"), Verdict::Allow, "another act");
    let object = path("/k/a");
    let other = Attempt::new(&[1], Act::Read, &object, NOW);
    let ruling = evaluate(&rules, &Tier::PREVENT, &Homes::default(), &other);
    assert_eq!((ruling.rule, ruling.done), (None, Verdict::Allow), "another agent");
    let nested = Attempt { agents: &[1, 0], ..other };
    assert_eq!(evaluate(&rules, &Tier::PREVENT, &Homes::default(), &nested).done, Verdict::Deny);
}

#[test]
fn an_exception_holds_for_its_objects_and_executables_only() {
    let except = "[{ path: [/k/a], exe: [/usr/bin/ssh], reason: r }, { path: [/k/b], reason: r }]";
    let act = format!("read: {{ never: [/k/*], except: {except} }}");
    let rules = ruled(&[rule("r", "one", &act, "action: deny")]);
    let done = |object: &str, exe| on(&rules, Tier::PREVENT, Act::Read, &path(object), exe).done;
    assert_eq!(done("/k/a", Some("/usr/bin/ssh")), Verdict::Allow);
    assert_eq!(done("/k/a", Some("/usr/bin/cat")), Verdict::Deny);
    assert_eq!(done("/k/a", None), Verdict::Deny, "an unknown executable is not trusted");
    assert_eq!(done("/k/b", None), Verdict::Allow);
    assert_eq!(done("/k/c", Some("/usr/bin/ssh")), Verdict::Deny);
}

#[test]
fn an_unknown_object_hits_every_rule_and_no_exception() {
    let act = "read: { never: [/k], except: [{ path: [/**], reason: r }] }";
    let never = ruled(&[rule("r", "one", act, "action: deny")]);
    let only = ruled(&[rule("r", "one", "read: { only: [/**] }", "action: deny")]);
    for rules in [never, only] {
        let ruling = on(&rules, Tier::PREVENT, Act::Read, &Object::Unknown, None);
        assert_eq!(ruling, Ruling { rule: Some(0), asked: Verdict::Deny, done: Verdict::Deny });
        assert_eq!(
            explain_match(&rules.rules[0], &Homes::default(), &read(&Object::Unknown)),
            None
        );
    }
}

#[test]
fn the_strongest_rule_decides_wherever_it_stands() {
    let never = "read: { never: [/x] }";
    let rules = ruled(&[
        rule("watched-kill", "one", never, "action: kill, mode: monitor"),
        rule("alert", "one", never, "action: alert, severity: critical"),
        rule("deny", "one", never, "action: deny, severity: low"),
        rule("deny-high", "one", never, "action: deny, severity: high"),
        rule("deny-kill", "one", never, "action: deny, fallback: kill, severity: info"),
        rule("deny-high-too", "one", never, "action: deny, severity: high"),
    ]);
    assert_eq!(strength_order(&rules.rules, &Tier::PREVENT), [3, 5, 2, 4, 0, 1]);
    assert_eq!(strength_order(&rules.rules, &Tier::REACT), [4, 0, 3, 5, 2, 1]);
    let ruling = on(&rules, Tier::PREVENT, Act::Read, &path("/x"), None);
    assert_eq!(ruling, Ruling { rule: Some(3), asked: Verdict::Deny, done: Verdict::Deny });
    let ruling = on(&rules, Tier::REACT, Act::Read, &path("/x"), None);
    assert_eq!(ruling, Ruling { rule: Some(4), asked: Verdict::Deny, done: Verdict::Kill });
}

#[test]
fn monitor_only_alerts_and_the_tier_decides_what_deny_can_be() {
    let rules = ruled(&[
        rule("a", "one", "read: { never: [/x] }", "action: deny"),
        rule("b", "one", "read: { never: [/x] }", "action: deny, mode: monitor"),
        rule("c", "one", "connect: { never: [192.0.2.1] }", "action: deny"),
        rule("d", "one", "read: { never: [/x] }", "action: kill"),
    ]);
    let settled = |tier| rules.rules.iter().map(|rule| settle(rule, &tier)).collect::<Vec<_>>();
    use Verdict::{Alert, Deny, Kill};
    assert_eq!(settled(Tier::PREVENT), [Deny, Alert, Deny, Kill]);
    assert_eq!(settled(Tier::REACT), [Alert, Alert, Deny, Kill]);
    assert_eq!((Tier::PREVENT.name(), Tier::REACT.name()), ("prevent", "react"));
}

#[test]
fn a_match_is_explained_by_the_item_and_its_list() {
    let lists = "lists:\n  keys: [/a, ~/.ssh/id_*]\n";
    let one = rule("r", "one", "read: { never: [/x, \"@keys\"] }", "action: deny");
    let two = rule("s", "one", "read: { only: [/x] }", "action: alert");
    let rules = good(&format!("{AGENTS}{lists}rules:\n{one}{two}"));
    let homes = Homes::default();
    let object = path("/home/ana/.ssh/id_rsa");
    let matched = explain_match(&rules.rules[0], &homes, &read(&object)).unwrap();
    assert_eq!((matched.text, matched.list), ("~/.ssh/id_*", Some("keys")));
    assert_eq!(matched.place.line, 8);
    assert_eq!(explain_match(&rules.rules[0], &homes, &read(&path("/y"))), None);
    assert_eq!(explain_match(&rules.rules[1], &homes, &read(&object)), None);
}

/// What may be put into a rule file by mistake or malice.
fn scrap() -> impl Strategy<Value = String> {
    let signs = "[\\[\\]{}:,\"'#&*!|>%@`~?\\- \n\t\r\\\\/.0-9a-zé☃\u{0}\u{202e}]{1,6}";
    let words = prop::sample::select(vec![
        "\n",
        "\n  ",
        "- ",
        ": ",
        "never",
        "only",
        "\"@",
        "*a",
        "&a ",
        "<<: *a",
        "---\n",
        "...\n",
        "null",
        "1e9",
        "0x7f",
        "::1",
        "[::]:0",
        "/0",
        ":*",
        "**",
        "{,",
        "[!",
        "\\x00",
        "\u{feff}",
        "!!binary ",
        "|\n",
    ]);
    prop_oneof![signs, words.prop_map(str::to_owned)]
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0_usize..40, scrap()), 1..6);
    (0_usize..3, edits).prop_map(|(which, edits)| {
        let mut text = STARTER[which].1.as_bytes().to_vec();
        for (at, cut, scrap) in edits {
            let start = at.index(text.len() + 1);
            let end = (start + cut).min(text.len());
            text.splice(start..end, scrap.bytes());
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in mutated(), other in prop::collection::vec(any::<u8>(), 0..200)) {
        let files = [file("a.yaml", text), file("b.yaml", other)];
        let problems = load(&files, &users(), NOW).expect_err("the second file is no rule file");
        let rendered = problems.render(false);
        prop_assert!(rendered.ends_with("Nothing was loaded."));
        prop_assert!(!rendered.chars().any(|letter| letter.is_control() && letter != '\n'));
        prop_assert!(problems.iter().all(|(place, _)| place.line > 0 && place.column > 0));
    }

    #[test]
    fn what_loads_can_be_asked(text in mutated()) {
        if let Ok(rules) = load(&[file("a.yaml", text)], &users(), NOW) {
            prop_assert_eq!(examples::run(&rules, NOW).len(), rules.tests.len());
            prop_assert!(rules.rules.iter().all(|rule| !rule.objects.is_empty()));
            let known = |agent: &usize| *agent < rules.agents.len();
            prop_assert!(rules.rules.iter().all(|rule| rule.agents.iter().all(known)));
        }
    }

    #[test]
    fn order_does_not_matter_and_more_rules_are_never_weaker(
        lines in prop::collection::vec((0_usize..4, 0_usize..2, 0_usize..3, 0_usize..3), 1..8),
        turn in any::<prop::sample::Index>(),
        object in 0_usize..4,
        react in any::<bool>(),
    ) {
        let text = |(n, &(item, sense, action, mode)): (usize, &(usize, usize, usize, usize))| {
            let item = ["/a", "/a/**", "/b", "/**"][item];
            let act = format!("read: {{ {}: [{item}] }}", ["only", "never"][sense]);
            let action = ["alert", "deny", "kill"][action];
            let mode = ["", ", mode: monitor", ", mode: enforce"][mode];
            rule(&format!("r{n}"), "one", &act, &format!("action: {action}{mode}"))
        };
        let mut texts: Vec<String> = lines.iter().enumerate().map(text).collect();
        let object = path(["/a", "/a/x", "/b", "/c"][object]);
        let tier = if react { Tier::REACT } else { Tier::PREVENT };
        let verdict = |texts: &[String]| on(&ruled(texts), tier, Act::Read, &object, None).done;
        let all = verdict(&texts);
        prop_assert!(all >= verdict(&texts[..1]));
        let turn = turn.index(texts.len());
        texts.rotate_left(turn);
        prop_assert_eq!(all, verdict(&texts));
    }
}
