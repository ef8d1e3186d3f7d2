//! Rights that reach beyond the process: who uses one that is shut is dead before its next instruction. What is not
//! the use of one goes by unseen.

use anyhow::{Context, ensure};
use driftwatch_tests::{Act, Ground, Outcome, Scenario, Tally, twin};

use crate::claims::{TIMES, agent_ends, alerts_tell, alone, prevents, same, twin_is_left_alone};

fn rule(sense: &str) -> String {
    format!(
        "
  - id: rights-are-shut
    title: Agent used a right
    agents: [test-agent]
    privilege: {{ {sense} }}
    action: kill
    severity: high
"
    )
}

/// A rule for each of these rights, called by its name.
fn each_shut(rights: &[&str]) -> String {
    let one = |right: &&str| {
        rule(&format!("never: [{right}]")).replace("rights-are-shut", &right.replace('_', "-"))
    };
    rights.iter().map(one).collect()
}

const ALL: &[&str] =
    &["setuid", "capabilities", "ptrace", "mount", "namespaces", "bpf", "module", "io_uring"];

/// Who uses a right in these ways is killed in the call, by the rule about that right and no other, and told of.
fn is_the_use_of(right: &str, ways: &[&str], rules: &str) -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, rules)?;
    let mut told = 0;
    for how in ways {
        let act = Act::use_right(how);
        let trace = scenario.ground.trace(how)?;
        agent_ends(&scenario, &act.clone().traced(&trace), Tally::all_killed(TIMES))
            .with_context(|| (*how).to_owned())?;
        same("calls that came back", trace.returns()?, 0)?;
        twin_is_left_alone(&act).with_context(|| (*how).to_owned())?;
        told += TIMES;
        let alerts = alerts_tell(&scenario, told, "privilege", &right.replace('_', "-"), "kill")?;
        for alert in alerts {
            same("kind of object", alert.text("/object/kind"), "privilege")?;
            same("right", alert.text("/object/privilege"), right)?;
        }
    }
    let status = scenario.daemon.status()?;
    same("disagreements", status["events"]["disagreements"].as_u64().unwrap_or(1), 0)
}

#[test]
fn another_user_or_group_is_not_taken_on() -> anyhow::Result<()> {
    let ways = ["setuid", "setuid-int80", "setfsuid", "setgroups"];
    is_the_use_of("setuid", &ways, &each_shut(ALL))
}

#[test]
fn no_capability_is_taken_back_or_handed_on() -> anyhow::Result<()> {
    is_the_use_of("capabilities", &["capset-add", "ambient"], &each_shut(ALL))
}

#[test]
fn no_other_process_is_seized_or_read_or_robbed() -> anyhow::Result<()> {
    is_the_use_of("ptrace", &["ptrace-seize", "memory", "descriptor"], &each_shut(ALL))
}

/// The mount that is changed is in a namespace of the agent's own, which it may make here.
#[test]
fn nothing_is_mounted() -> anyhow::Result<()> {
    is_the_use_of("mount", &["mount", "fsopen", "tree-clone"], &each_shut(&["mount", "setuid"]))
}

#[test]
fn no_namespace_is_made_or_entered_and_no_child_is_born_in_one() -> anyhow::Result<()> {
    let ways = ["unshare", "setns", "clone3", "clone3-user"];
    is_the_use_of("namespaces", &ways, &each_shut(ALL))
}

#[test]
fn no_map_of_the_kernel_is_made() -> anyhow::Result<()> {
    is_the_use_of("bpf", &["bpf"], &each_shut(ALL))
}

#[test]
fn no_io_uring_is_set_up() -> anyhow::Result<()> {
    is_the_use_of("io_uring", &["io-uring"], &each_shut(ALL))
}

/// Whatever is shut: what gives something up, changes nothing, or asks, is no use of a right.
#[test]
fn what_is_no_use_of_a_right_goes_by() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, &each_shut(ALL))?;
    for how in [
        "setuid-same",
        "setfsuid-ask",
        "setgroups-none",
        "capset-drop",
        "own-memory",
        "tree",
        "unshare-files",
        "clone3-plain",
    ] {
        goes_by(&scenario, how, Tally::all_done(TIMES)).with_context(|| how.to_owned())?;
    }
    same("objects that were unreadable", scenario.daemon.counter("object_unreadable")?, 0)
}

/// Whoever lets himself be traced gives something up. But where the kernel is asked before each act, it never asks for
/// the tracer again, so there it is the use that counts. Here it is a child's, of the same session, that dies of it.
#[test]
fn to_be_traced_counts_where_nobody_asks_for_the_tracer_later() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, &each_shut(ALL))?;
    if !prevents(&scenario)? {
        return goes_by(&scenario, "ptrace-me", Tally::all_done(TIMES));
    }
    let trace = scenario.ground.trace("ptrace-me")?;
    let act = Act::use_right("ptrace-me").traced(&trace);
    agent_ends(&scenario, &act, Tally::all_done(TIMES))?;
    same("calls that came back", trace.returns()?, 0)?;
    alerts_tell(&scenario, TIMES, "privilege", "ptrace", "kill").map(drop)
}

fn goes_by(scenario: &Scenario, how: &str, tally: Tally) -> anyhow::Result<()> {
    agent_ends(scenario, &Act::use_right(how), tally)?;
    same("alerts", scenario.alerts()?.len(), 0)
}

/// No module is loaded on a machine that others work on, so the success of it is untested: this is its failure. Where
/// the right is refused, nobody has looked yet at what would be loaded; where it is not, there was no use of it.
#[test]
fn who_loads_what_is_no_module_is_killed_before_it_is_looked_at_or_not_told_of()
-> anyhow::Result<()> {
    let failed = (0..TIMES).fold(Tally::default(), |mut tally, _| {
        tally.count(Outcome::Failed);
        tally
    });
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, &each_shut(ALL))?;
    if !prevents(&scenario)? {
        return goes_by(&scenario, "module", failed);
    }
    let trace = scenario.ground.trace("module")?;
    let act = Act::use_right("module");
    agent_ends(&scenario, &act.clone().traced(&trace), Tally::all_killed(TIMES))?;
    same("calls that came back", trace.returns()?, 0)?;
    let alerts = alerts_tell(&scenario, TIMES, "privilege", "module", "kill")?;
    same("alerts", alerts.len(), TIMES as usize)?;
    same("the twin", twin(&act.times(TIMES))?.tally()?, failed)
}

#[test]
fn a_rule_with_only_lets_the_rights_through_that_it_names() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = Scenario::start(Ground::new()?, &rule("only: [setuid]"))?;
    agent_ends(&scenario, &Act::use_right("setuid"), Tally::all_done(TIMES))?;
    agent_ends(&scenario, &Act::use_right("unshare"), Tally::all_killed(TIMES))?;
    alerts_tell(&scenario, TIMES, "privilege", "rights-are-shut", "kill").map(drop)
}

#[test]
fn a_right_is_excepted_for_a_program() -> anyhow::Result<()> {
    let _alone = alone();
    let except = |exe: &str| {
        rule(&format!(
            "never: [namespaces, bpf], except: [{{ privilege: [bpf], exe: ['{exe}'], reason: r }}]"
        ))
    };
    let scenario = Scenario::start(Ground::new()?, &except("**/actor"))?;
    agent_ends(&scenario, &Act::use_right("bpf"), Tally::all_done(TIMES))?;
    same("alerts", scenario.alerts()?.len(), 0)?;
    agent_ends(&scenario, &Act::use_right("unshare"), Tally::all_killed(TIMES))?;
    drop(scenario);
    let scenario = Scenario::start(Ground::new()?, &except("/usr/bin/bpftool"))?;
    agent_ends(&scenario, &Act::use_right("bpf"), Tally::all_killed(TIMES))
}

/// Where the use of a right can be refused, it is; else it is told of as the rule's fallback.
#[test]
fn a_right_is_denied_and_where_it_cannot_be_told_of() -> anyhow::Result<()> {
    let _alone = alone();
    let deny = rule("never: [namespaces]").replace("action: kill", "action: deny");
    let scenario = Scenario::start(Ground::new()?, &deny)?;
    let (tally, done) = if prevents(&scenario)? {
        (Tally::all_refused(TIMES), "deny")
    } else {
        (Tally::all_done(TIMES), "alert")
    };
    agent_ends(&scenario, &Act::use_right("clone3"), tally)?;
    let alerts = alerts_tell(&scenario, TIMES, "privilege", "rights-are-shut", done)?;
    ensure!(alerts.iter().all(|alert| alert.text("/asked") == "deny"), "{:?}", alerts[0]);
    Ok(())
}
