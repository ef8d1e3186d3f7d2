//! Judge: what the kernel half answers when it is asked, and that a plan which answers wrongly does not come
//! into force.

use anyhow::{Context, ensure};
use driftwatch_tests::{
    half::{self, Half},
    scenario::rule_file,
};
use monitor::{
    kernel::judge::{Question, Subject},
    rehearsal::NotInForce,
    rules::plan::KernelPlan,
};
use monitor_common::{Act, Verdict};

use crate::claims::{alone, same};

const RULES: &str = "
  - id: keys-are-shut
    title: Agent read a key
    agents: [test-agent]
    read: { never: ['**/*.pem', /etc/shadow] }
    action: kill
  - id: no-net
    title: Agent connected
    agents: [test-agent]
    connect: { never: [10.0.0.0/8] }
    action: deny
  - id: known-hosts
    title: Agent connected to a host nobody knows
    agents: [test-agent]
    connect: { only: ['*.example.org:443', example.com] }
    action: deny

tests:
  - name: a key
    agent: test-agent
    read: /home/a/b.pem
    expect: kill
  - name: no key
    agent: test-agent
    read: /home/a/b.txt
    expect: allow
  - name: a private network
    agent: test-agent
    connect: 10.1.2.3:80
    expect: deny
  - name: a host that is known
    agent: test-agent
    connect: a.example.org:443
    expect: allow
  - name: one that nobody knows
    agent: test-agent
    connect: example.org:443
    expect: deny
";

fn ask(half: &mut Half, subject: Subject<'_>) -> anyhow::Result<(Option<u32>, Verdict)> {
    let bank = half.kernel.plans.active()?;
    let act = match subject {
        Subject::Peer { .. } | Subject::Host { .. } => Act::Connect,
        Subject::Privilege(_) => Act::Privilege,
        Subject::Path(_) | Subject::Unknown => Act::Read,
    };
    let question = Question::new(bank, &[1], act, subject);
    let decision = half.kernel.judge()?.ask(&question)?;
    Ok((decision.rule, decision.done))
}

/// The class of keys loses its only bit: the kernel half would let them be read.
fn corrupted(plan: &KernelPlan) -> KernelPlan {
    let mut plan = plan.clone();
    for class in &mut plan.classes {
        class.rules[0] = 0;
    }
    plan
}

#[test]
fn a_plan_that_answers_wrongly_is_refused_and_the_one_before_stays() -> anyhow::Result<()> {
    let _alone = alone();
    let rules = half::rules(&rule_file(RULES))?;
    let mut half = Half::load()?;
    let key = Subject::Path(b"/a.pem");
    let unasked = ask(&mut half, key);
    ensure!(unasked.is_err(), "there is no plan: {unasked:?}");

    let good = half.compile(&rules, false)?;
    half.put_in_force(&good, &rules)?;
    same("serial", good.header.serial, 1)?;
    ensure!(ask(&mut half, key)? == (Some(0), Verdict::Kill));
    let before = half.kernel.plans.active()?;

    let bad = corrupted(&half.compile(&rules, false)?);
    let refused = half.put_in_force(&bad, &rules).err().context("a corrupted plan in force")?;
    ensure!(matches!(refused.downcast_ref(), Some(NotInForce::Disagreement(_))), "{refused}");
    let said = refused.to_string();
    let test = "of the test `a key` the rules say kill by `keys-are-shut`, and the kernel half would do allow";
    ensure!(said.contains(test), "{said}");
    ensure!(said.contains("rules.yaml:28:11") && said.contains("help: "), "{said}");
    ensure!(half.kernel.plans.active()? == before, "the bank was switched");
    ensure!(ask(&mut half, key)? == (Some(0), Verdict::Kill), "the plan before does not answer");

    let again = half.compile(&rules, false)?;
    half.put_in_force(&again, &rules)?;
    ensure!(half.kernel.plans.active()? != before, "the bank was not switched");
    ensure!(ask(&mut half, key)? == (Some(0), Verdict::Kill));
    Ok(())
}

#[test]
fn questions_of_every_kind_are_answered() -> anyhow::Result<()> {
    let _alone = alone();
    let rules = half::rules(&rule_file(RULES))?;
    let mut half = Half::load()?;
    let plan = half.compile(&rules, false)?;
    half.install(&plan)?;
    let peer = |address: &str| -> anyhow::Result<Subject<'static>> {
        Ok(Subject::Peer { address: address.parse()?, port: 80, protocol: 6 })
    };
    let host = |name| Subject::Host { name, port: 443, protocol: 6 };
    let longest = [b"/".to_vec(), b"x".repeat(4088), b"/y.pem".to_vec()].concat();
    same("bytes", longest.len(), 4095)?;
    for (subject, answer) in [
        (Subject::Path(b"/etc/shadow"), (Some(0), Verdict::Kill)),
        (Subject::Path(b"/etc/shadow (deleted)"), (None, Verdict::Allow)),
        (Subject::Path(b"/"), (None, Verdict::Allow)),
        (Subject::Path(&longest), (Some(0), Verdict::Kill)),
        (Subject::Unknown, (Some(0), Verdict::Kill)),
        (peer("::ffff:10.0.0.1")?, (Some(1), Verdict::Deny)),
        (peer("::10.0.0.1")?, (None, Verdict::Allow)),
        (host(b"a.example.org"), (None, Verdict::Allow)),
        (host(b"example.org"), (Some(2), Verdict::Deny)),
        (host(b"notexample.org"), (Some(2), Verdict::Deny)),
        (host(b"example.com"), (None, Verdict::Allow)),
        (host(b"example.com."), (Some(2), Verdict::Deny)),
        (host(&longest), (Some(2), Verdict::Deny)),
    ] {
        let said = ask(&mut half, subject)?;
        ensure!(said == answer, "{subject:?}: {said:?}, must be {answer:?}");
    }
    ensure!(ask(&mut half, Subject::Path(b"")).is_err(), "an empty path");
    ensure!(ask(&mut half, host(b"")).is_err(), "an empty name");
    ensure!(ask(&mut half, Subject::Path(&[b'x'; 4096])).is_err(), "a path too long");
    same("recorded", half.counter("activity_seen")?, 0)
}
