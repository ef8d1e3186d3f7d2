//! Rights that reach beyond the process: who uses one that is shut is dead before its next instruction. What is not
//! the use of one goes by unseen.

use anyhow::ensure;
use driftwatch_tests::{Act, Ground, Outcome, Scenario, Tally};

use crate::claims::{TIMES, agent_ends, alerts_tell, alone, same, twin_is_left_alone};

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

/// The agent is killed in the call and told of, where a rule shuts the right; where it shuts all the others, neither.
fn is_the_use_of(right: &str, how: &str) -> anyhow::Result<()> {
    let _alone = alone();
    let act = Act::use_right(how);
    let scenario = Scenario::start(Ground::new()?, &rule(&format!("never: [{right}]")))?;
    let trace = scenario.ground.trace("agent")?;
    agent_ends(&scenario, &act.clone().traced(&trace), Tally::all_killed(TIMES))?;
    same("calls that came back", trace.returns()?, 0)?;
    for alert in alerts_tell(&scenario, TIMES, "privilege", "rights-are-shut", "kill")? {
        same("kind of object", alert.text("/object/kind"), "privilege")?;
        same("right", alert.text("/object/privilege"), right)?;
    }
    let status = scenario.daemon.status()?;
    same("disagreements", status["events"]["disagreements"].as_u64().unwrap_or(1), 0)?;
    twin_is_left_alone(&act)?;
    drop(scenario);

    let others = "setuid, capabilities, ptrace, mount, namespaces, bpf, module, io_uring";
    let others: Vec<&str> = others.split(", ").filter(|other| *other != right).collect();
    // A mount of the agent's own needs a namespace of its own first.
    let others: Vec<&str> =
        others.into_iter().filter(|other| right != "mount" || *other != "namespaces").collect();
    let never = rule(&format!("never: [{}]", others.join(", ")));
    goes_by(&Scenario::start(Ground::new()?, &never)?, how, &Tally::all_done(TIMES))
}

/// Whatever is shut, this is none of it.
fn is_no_use(how: &str, tally: &Tally) -> anyhow::Result<()> {
    let _alone = alone();
    let all =
        rule("never: [setuid, capabilities, ptrace, mount, namespaces, bpf, module, io_uring]");
    goes_by(&Scenario::start(Ground::new()?, &all)?, how, tally)
}

fn goes_by(scenario: &Scenario, how: &str, tally: &Tally) -> anyhow::Result<()> {
    agent_ends(scenario, &Act::use_right(how), *tally)?;
    same("alerts", scenario.alerts()?.len(), 0)?;
    same("objects that were unreadable", scenario.daemon.counter("object_unreadable")?, 0)
}

macro_rules! uses {
    ($($name:ident: $right:literal, $how:literal;)*) => {$(
        #[test]
        fn $name() -> anyhow::Result<()> {
            is_the_use_of($right, $how)
        }
    )*};
}

uses! {
    another_user_is_taken_on: "setuid", "setuid";
    another_user_is_taken_on_through_the_32_bit_gate: "setuid", "setuid-int80";
    another_user_of_files_is_taken_on: "setuid", "setfsuid";
    groups_are_taken_on: "setuid", "setgroups";
    a_capability_is_taken_back: "capabilities", "capset-add";
    a_capability_is_handed_on: "capabilities", "ambient";
    a_process_is_seized: "ptrace", "ptrace-seize";
    the_memory_of_a_process_is_read: "ptrace", "memory";
    a_descriptor_is_taken_out_of_a_process: "ptrace", "descriptor";
    a_mount_is_changed: "mount", "mount";
    a_file_system_is_opened: "mount", "fsopen";
    a_mount_is_copied: "mount", "tree-clone";
    a_namespace_is_left_for_a_new_one: "namespaces", "unshare";
    a_namespace_is_entered: "namespaces", "setns";
    a_child_is_born_in_namespaces: "namespaces", "clone3";
    a_child_is_born_in_a_user_namespace: "namespaces", "clone3-user";
    a_map_of_the_kernel_is_made: "bpf", "bpf";
    an_io_uring_is_set_up: "io_uring", "io-uring";
}

macro_rules! no_uses {
    ($($name:ident: $how:literal;)*) => {$(
        #[test]
        fn $name() -> anyhow::Result<()> {
            is_no_use($how, &Tally::all_done(TIMES))
        }
    )*};
}

no_uses! {
    the_user_that_one_is_may_be_taken_on: "setuid-same";
    one_may_ask_which_user_one_is: "setfsuid-ask";
    groups_may_be_given_up: "setgroups-none";
    a_capability_may_be_given_up: "capset-drop";
    a_process_may_let_itself_be_traced: "ptrace-me";
    ones_own_memory_may_be_read: "own-memory";
    a_directory_may_be_opened_as_a_tree: "tree";
    descriptors_may_be_unshared: "unshare-files";
    a_child_may_be_born: "clone3-plain";
}

/// No module is loaded on a machine that others work on, so the success of it is untested: this is its failure.
#[test]
fn what_is_no_module_is_not_loaded_and_not_told_of() -> anyhow::Result<()> {
    let failed = (0..TIMES).fold(Tally::default(), |mut tally, _| {
        tally.count(Outcome::Failed);
        tally
    });
    is_no_use("module", &failed)
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

#[test]
fn what_cannot_be_refused_here_is_told_as_its_fallback() -> anyhow::Result<()> {
    let _alone = alone();
    let deny = rule("never: [namespaces]").replace("action: kill", "action: deny");
    let scenario = Scenario::start(Ground::new()?, &deny)?;
    agent_ends(&scenario, &Act::use_right("clone3"), Tally::all_done(TIMES))?;
    let alerts = alerts_tell(&scenario, TIMES, "privilege", "rights-are-shut", "alert")?;
    ensure!(alerts.iter().all(|alert| alert.text("/asked") == "deny"), "{:?}", alerts[0]);
    Ok(())
}
