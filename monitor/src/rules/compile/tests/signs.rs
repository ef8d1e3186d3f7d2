//! Signs that whoever starts a program chooses: the plan recognises whom a plain reading of the signs does.

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::making::{agent, compiled, glob, homes};
use crate::rules::{
    evaluate::Tier,
    model::{RuleSet, Sign},
    recognise::Start,
    script::script,
    words::{TextGlob, Words},
};

const FILES: &[&str] = &["/lib/a.js", "**/a.js", "**/lib/*", "~/a.js", "/bin/*", "**/bin/a", "/**"];
const PROGRAMS: &[&str] = &["/bin/node", "/bin/a", "/lib/a.js", "/root/python3", "/root/a.js"];
const ARGUMENTS: &[&str] =
    &["/lib/a.js", "a.js", "../lib/./a.js", "bin/a", "-x", "-c", "--", "", "/x"];
const NAMES: &[&str] = &["A", "AB", "B"];
const VALUES: &[&str] = &["", "a", "*", "a*", "*b", "?", "[!a]*"];
const VARIABLES: &[&[u8]] =
    &[b"A=", b"A=a", b"A=ab", b"AB=b", b"B=\xff", b"AB", b"=A=a", b"A=a=b", b"XA=a", b"B=\nA=a"];

fn a_sign() -> impl Strategy<Value = Sign> {
    let value =
        option::of(select(VALUES).prop_map(|text| TextGlob::parse(text).expect("a pattern")));
    prop_oneof![
        select(FILES).prop_map(|text| Sign::Exe(glob(text))),
        select(FILES).prop_map(|text| Sign::Script(glob(text))),
        select(ARGUMENTS)
            .prop_map(|word| Sign::Args(Words::parse([word, "**"]).expect("patterns"))),
        (select(NAMES), value).prop_map(|(name, value)| Sign::Env(name.to_owned(), value)),
    ]
}

fn shows(sign: &Sign, start: &Start<'_>) -> bool {
    let argv = start.argv.expect("known");
    match sign {
        Sign::Exe(glob) => glob.matches(start.exe, &homes()),
        Sign::Script(glob) => {
            script(start.exe, argv, start.cwd).is_some_and(|path| glob.matches(&path, &homes()))
        }
        Sign::Args(words) => words.match_all(&argv[1..]),
        Sign::Env(name, value) => start.environment.iter().any(|entry| {
            let rest = entry.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
            rest.is_some_and(|rest| value.as_ref().is_none_or(|value| value.matches(rest)))
        }),
        other => panic!("{other:?} is not made here"),
    }
}

fn argv() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(select(ARGUMENTS), 0..4).prop_map(|words| {
        let words = words.into_iter().map(|word| word.as_bytes().to_vec());
        [b"name".to_vec()].into_iter().chain(words).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agents_are_recognised_by_what_they_were_started_with(
        agents in vec(vec(vec(a_sign(), 1..3), 1..3), 1..5),
        starts in vec((select(PROGRAMS), argv(), option::of(select(&["/root", "/", "/bin"][..])), vec(select(VARIABLES), 0..4)), 15),
    ) {
        let agents = agents.into_iter().map(|clauses| agent("agent", clauses)).collect::<Vec<_>>();
        let rules = RuleSet { agents, ..RuleSet::default() };
        let plan = compiled(&rules, &Tier::PREVENT).expect("there is room");
        for (exe, argv, cwd, variables) in starts {
            let environment: Vec<Vec<u8>> = variables.into_iter().map(<[u8]>::to_vec).collect();
            let start = Start {
                exe: exe.as_bytes(),
                argv: Some(&argv),
                cwd: cwd.map(str::as_bytes),
                environment: &environment,
                ..Start::default()
            };
            let is = |clause: &Vec<Sign>| clause.iter().all(|sign| shows(sign, &start));
            let meant = (1_u32..).zip(&rules.agents).filter(|(_, agent)| agent.clauses.iter().any(is));
            let meant: Vec<u32> = meant.map(|(number, _)| number).collect();
            prop_assert_eq!(plan.recognise(&start), meant, "{:?}", start);
        }
    }
}
