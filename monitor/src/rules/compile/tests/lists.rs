//! Arguments: what the plan says of them is what the evaluator says, of rules, of exceptions and of signs.

use monitor_common::{Act, plan::LIST_BYTES};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::making::{agent, compiled, exception, glob, homes, place, rule, set};
use crate::rules::{
    evaluate::{Args, Attempt, Tier, evaluate},
    model::{Item, Moment, Object, Objects, Program, Rule, RuleSet, Sense, Sign},
    plan::KernelPlan,
    recognise::Start,
    words::Words,
};

const WORDS: &[&str] = &[
    "a", "b", "ab", "", "*", "?", "a*", "*b", "*a*b*", "[!a]", "[!/]", "[!/]*", "-a", "*/*", "**",
];
const TEXTS: &[&[u8]] =
    &[b"a", b"b", b"ab", b"ba", b"", b"/", b"a/b", b"-a", b"\x01", b"\xff", b"**", b"b\na"];
const PROGRAMS: &[&str] = &["/bin/a", "**/a", "**/a*", "/bin/*", "~/a", "**/b"];
const PATHS: &[&str] = &["/bin/a", "/bin/b", "/root/a", "/root/b", "/x/ab", "/c"];

fn words() -> impl Strategy<Value = Words> {
    vec(select(WORDS), 0..5).prop_map(|words| Words::parse(words).expect("patterns"))
}

fn texts() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let text = prop_oneof![
        8 => select(TEXTS).prop_map(<[u8]>::to_vec),
        1 => vec(1_u8..=255, 0..6),
    ];
    vec(text, 0..6)
}

fn programs(items: std::ops::Range<usize>) -> impl Strategy<Value = Objects> {
    let item = (select(PROGRAMS), option::weighted(0.8, words())).prop_map(|(path, words)| {
        let is = match words {
            Some(words) => Program::With(glob(path), words),
            None => Program::File(glob(path)),
        };
        Item { text: is.to_string(), is, list: None, place: place(1) }
    });
    vec(item, items).prop_map(Objects::Programs)
}

fn a_rule() -> impl Strategy<Value = Rule> {
    let sense = select(&[Sense::Only, Sense::Never, Sense::Never][..]);
    (sense, programs(0..5), vec(programs(1..3), 0..3)).prop_map(|(sense, objects, exceptions)| {
        let exceptions = exceptions.into_iter().map(|objects| exception(objects, &[])).collect();
        Rule { exceptions, ..rule("rule", Act::Exec, sense, objects) }
    })
}

fn winner(plan: &KernelPlan, path: &Object, args: Args<'_>) -> Option<usize> {
    let winner = plan.verdict(&[1], Act::Exec, path, None, args, Default::default());
    winner.map(|rule| plan.order[rule])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plan_and_evaluator_agree_about_arguments(
        rules in vec(a_rule(), 1..6),
        tries in vec((select(PATHS), option::weighted(0.9, texts())), 30),
    ) {
        let rules = set(rules);
        let plan = compiled(&rules, &Tier::PREVENT).expect("there is room");
        for (path, texts) in tries {
            let path = Object::Path(path.as_bytes().to_vec());
            let args = Args::of(texts.as_deref());
            let attempt = Attempt { args, ..Attempt::new(&[0], Act::Exec, &path, Moment::UNIX_EPOCH) };
            let meant = evaluate(&rules, &Tier::PREVENT, &homes(), &attempt).rule;
            prop_assert_eq!(winner(&plan, &path, args), meant, "{:?} {:?}\n{}", path, args, plan);
        }
    }

    #[test]
    fn agents_are_recognised_by_their_arguments(
        signs in vec((words(), option::of(select(PROGRAMS))), 1..6),
        starts in vec((select(PATHS), texts()), 20),
    ) {
        let clause = |(words, exe): &(Words, Option<&str>)| {
            let exe = exe.map(|exe| Sign::Exe(glob(exe)));
            vec![exe.into_iter().chain([Sign::Args(words.clone())]).collect()]
        };
        let agents = signs.iter().map(|sign| agent("agent", clause(sign))).collect();
        let plan = compiled(&RuleSet { agents, ..RuleSet::default() }, &Tier::PREVENT).expect("there is room");
        for (path, texts) in starts {
            let is = |(words, exe): &(Words, Option<&str>)| words.match_all(&texts)
                && exe.is_none_or(|exe| glob(exe).matches(path.as_bytes(), &homes()));
            let meant: Vec<u32> = (1_u32..).zip(&signs).filter(|(_, sign)| is(sign)).map(|(number, _)| number).collect();
            let argv = [vec![b"odd\xff".to_vec()], texts.clone()].concat();
            let start = Start { exe: path.as_bytes(), argv: Some(&argv), ..Start::default() };
            prop_assert_eq!(plan.recognise(&start), meant, "{:?}", texts);
            let start = Start { argv: None, ..start };
            prop_assert!(plan.recognise(&start).is_empty(), "what is not known is no sign");
        }
    }
}

fn git(words: &str) -> Objects {
    let is = Program::With(glob("**/git"), Words::parse(words.split(' ')).expect("patterns"));
    Objects::Programs(vec![Item { text: is.to_string(), is, list: None, place: place(1) }])
}

#[test]
fn arguments_that_are_not_known_shut_and_let_nothing_through() {
    let path = Object::Path(b"/usr/bin/git".to_vec());
    let shut = rule("shut", Act::Exec, Sense::Never, git("push **"));
    let open = rule("open", Act::Exec, Sense::Only, git("status"));
    let mut lifted = rule("lifted", Act::Exec, Sense::Never, git("**"));
    lifted.exceptions = vec![exception(git("status"), &[])];
    for (rule, arg, hit) in [
        (&shut, Some("push"), true),
        (&shut, Some("fetch"), false),
        (&shut, None, true),
        (&open, Some("status"), false),
        (&open, None, true),
        (&lifted, Some("status"), false),
        (&lifted, None, true),
    ] {
        let plan = compiled(&set(vec![rule.clone()]), &Tier::PREVENT).expect("there is room");
        let texts: Vec<Vec<u8>> = arg.into_iter().map(|arg| arg.as_bytes().to_vec()).collect();
        let args = if arg.is_some() { Args::Known(&texts) } else { Args::Unknown };
        assert_eq!(winner(&plan, &path, args).is_some(), hit, "{} {arg:?}", rule.id);
        let other = Object::Path(b"/usr/bin/tig".to_vec());
        assert_eq!(winner(&plan, &other, Args::Unknown).is_some(), rule.id == "open");
    }
}

#[test]
fn words_for_one_program_do_not_multiply_those_for_another() {
    let item = |program: usize, word: usize| {
        let words = Words::parse(["**", &format!("word-{word}"), "**", "--force*", "**"]);
        let is = Program::With(glob(&format!("**/program-{program}")), words.expect("patterns"));
        Item { text: is.to_string(), is, list: None, place: place(1) }
    };
    let items = (0..100).flat_map(|program| (0..3).map(move |word| item(program, word)));
    let objects = Objects::Programs(items.collect());
    let rules = set(vec![rule("shut", Act::Exec, Sense::Never, objects)]);
    let plan = compiled(&rules, &Tier::PREVENT).expect("there is room");
    assert!(plan.sizes[2].states < 400, "{:?}", plan.sizes);
}

#[test]
fn words_that_there_is_no_room_for_are_refused_at_their_place() {
    let item = |word: usize| {
        let words = Words::parse(["**", &format!("{word}x"), "**", &format!("y{word}"), "**"]);
        let is = Program::With(glob("**/git"), words.expect("patterns"));
        Item { text: is.to_string(), is, list: None, place: place(word + 1) }
    };
    let objects = Objects::Programs((0..40).map(item).collect());
    let rules = set(vec![rule("shut", Act::Exec, Sense::Never, objects)]);
    let errors = compiled(&rules, &Tier::PREVENT).expect_err("40 words may be remembered or not");
    assert_eq!(errors.len(), 1);
    assert!(errors[0].message.contains("lists of arguments are too many"), "{}", errors[0]);
    assert!(errors[0].place.line > 5, "{}", errors[0]);
}

#[test]
fn a_list_is_looked_at_to_its_last_byte_and_not_beyond() {
    let sign = Sign::Args(Words::parse(["**", "end"]).expect("patterns"));
    let agents = vec![agent("agent", vec![vec![sign]])];
    let plan = compiled(&RuleSet { agents, ..RuleSet::default() }, &Tier::PREVENT).expect("room");
    let recognised = |long: usize| {
        let argv = [b"x".to_vec(), vec![b'y'; long], b"end".to_vec()];
        !plan.recognise(&Start { argv: Some(&argv), ..Start::default() }).is_empty()
    };
    assert!(recognised(LIST_BYTES - 7));
    assert!(!recognised(LIST_BYTES - 6));
}
