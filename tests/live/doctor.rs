//! Doctor: what it says of this host is what a daemon does here, and what the test finds out by itself.

use std::{fmt, fs, path::Path, process::Command};

use anyhow::{Context, ensure};
use driftwatch_tests::{
    Act, Ground, Outcome, Scenario, TcpCanary, cgroup,
    child::{self, Running},
    programs,
};
use serde_json::Value;

use crate::{
    claims::{alone, same},
    startup::in_a_private_world,
};

/// Each act is refused where it can be, and else its process is killed.
const RULES: &str = "
  - { id: reads, title: t, agents: [test-agent], read: { never: ['**/.aws/credentials'] }, action: deny, fallback: kill }
  - { id: writes, title: t, agents: [test-agent], write: { never: ['**/notes.txt'] }, action: deny, fallback: kill }
  - { id: peers, title: t, agents: [test-agent], connect: { never: ['127.66.0.0/16'] }, action: deny, fallback: kill }
  - id: programs
    title: t
    agents: [test-agent]
    exec: { never: ['/tmp/driftwatch-test-*/dropped/**'] }
    action: deny
    fallback: kill
";

/// The command, with this after `doctor`.
pub(crate) fn command(arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(programs::driftwatch()?);
    command.arg("doctor").args(["-o", "json"]).args(arguments);
    Ok(command)
}

/// Its exit code, and what it says.
pub(crate) fn said(command: &mut Command) -> anyhow::Result<(i32, Value)> {
    let ended = child::run(command)?;
    let value = serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))?;
    Ok((ended.status.code().unwrap_or(-1), value))
}

/// What it says can be done about an act.
fn can<'a>(said: &'a Value, act: &str) -> anyhow::Result<&'a str> {
    let acts = said["half"]["acts"].as_array().with_context(|| format!("no acts in {said}"))?;
    let line = acts.iter().find(|line| line["act"] == act);
    let can = line.and_then(|line| line["can"].as_str());
    can.with_context(|| format!("nothing of {act} in {said}"))
}

#[test]
fn of_each_act_it_says_what_a_daemon_does() -> anyhow::Result<()> {
    let _alone = alone();
    let (_, said) = said(&mut command(&[])?)?;
    let canary = TcpCanary::bind("127.66.0.1:0")?;
    let scenario = Scenario::start(Ground::new()?, RULES)?;
    let ground = &scenario.ground;
    let marker = ground.path("marker");
    for (act, tried) in [
        ("read", Act::read(&ground.secret())),
        ("write", Act::write(&ground.notes())),
        ("connect", Act::connect(canary.address())),
        ("exec", Act::marker(&ground.dropped(), &marker)),
    ] {
        let is = match scenario.agent(&tried)?.outcome() {
            Outcome::Refused => "refuse",
            Outcome::Killed => "kill",
            Outcome::Done => "nothing",
            Outcome::Failed => "the test did not work",
        };
        same(act, can(&said, act)?, is)?;
    }
    let status = scenario.daemon.status()?;
    let (kernel, half) = (&status["kernel"], &said["half"]);
    same("rung", &half["rung"], &kernel["rung"])?;
    same("tier", &half["tier"], &status["tier"])?;
    same("hooks", &half["wanted"], &kernel["hooks"]["wanted"])?;
    same("missing", &half["missing"], &kernel["hooks"]["missing"])?;
    let attached = kernel["hooks"]["attached"].as_u64().context("no number of hooks")?;
    ensure!(attached > 0, "no hook is attached: {status}");
    let ready = scenario.daemon.stderr();
    let rung = half["rung"].as_str().context("a name")?;
    ensure!(ready.contains(rung), "the daemon does not say {rung}: {ready}");
    Ok(())
}

#[test]
fn what_it_says_of_the_kernel_is_so() -> anyhow::Result<()> {
    let _alone = alone();
    let (_, said) = said(&mut command(&[])?)?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    same("kernel", said["kernel"].as_str().unwrap_or_default(), release.trim())?;
    let modules = fs::read_to_string("/sys/kernel/security/lsm").ok();
    let listed = said["modules"]
        .as_array()
        .map(|modules| modules.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","));
    ensure!(listed == modules, "{listed:?}, must be {modules:?}");
    let place = cgroup::mount_point()?;
    same("cgroup v2", said["cgroup"].as_str().unwrap_or_default(), &*place.to_string_lossy())?;
    ensure!(said["missing_capabilities"] == Value::Array(Vec::new()), "{said}");
    Ok(())
}

const AGENTS: &str = "version: 1
agents:
  strong: { any: [{ exe: EXE }] }
  weak: { any: [{ env: [DRIFTWATCH_DOCTOR_TEST=GROUND] }] }
  absent: { any: [{ exe: /nowhere/at/all }] }
rules:
  - { id: r, title: t, agents: [strong, weak, absent], read: { never: [/nowhere] }, action: deny }
";

#[test]
fn it_finds_the_agents_that_run_and_says_which_could_choose_not_to_be_known() -> anyhow::Result<()>
{
    let _alone = alone();
    let ground = Ground::new()?;
    let actor = ground.actor_at("bin/agent")?;
    let word = ground.directory().display().to_string();
    let text = AGENTS.replace("EXE", &actor.display().to_string()).replace("GROUND", &word);
    let rules = ground.path("rules.yaml");
    fs::write(&rules, text)?;
    let mut strong = Act::sleep(100).command_of(&actor);
    let mut weak = Act::sleep(100).command()?;
    weak.env("DRIFTWATCH_DOCTOR_TEST", &word);
    let _running = (Running::start(&mut strong)?, Running::start(&mut weak)?);
    let (code, said) = said(command(&[])?.arg("--rules").arg(&rules))?;
    let found: Vec<String> = said["agents"]
        .as_array()
        .context("agents")?
        .iter()
        .map(|known| {
            format!("{} {} {} {}", known["agent"], known["running"], known["by"], known["weak"])
        })
        .collect();
    same(
        "agents",
        found.join("\n"),
        "\"strong\" 1 [\"exe\"] false\n\"weak\" 1 [\"env\"] true".to_owned(),
    )?;
    let here = if can(&said, "read")? == "refuse" { "deny" } else { "alert" };
    same("the rule", said["rules"]["rules"][0]["here"].as_str().unwrap_or_default(), here)?;
    same("exit code", code, i32::from(here == "alert"))
}

#[test]
fn a_kernel_without_type_information_is_said_and_ends_with_5() -> anyhow::Result<()> {
    let _alone = alone();
    let place = Path::new("/sys/kernel/btf");
    let mut hidden = in_a_private_world(r#"mount -t tmpfs none "$0""#, place, &command(&[])?);
    let (code, said) = said(&mut hidden)?;
    same("exit code", code, 5)?;
    ensure!(said["half"].is_null(), "{said}");
    ensure!(
        said["without_types"].as_str().is_some_and(|why| why.contains("/sys/kernel/btf")),
        "{said}"
    );
    let advice = said["advice"][0]["fix"].as_str().unwrap_or_default();
    ensure!(advice.contains("CONFIG_DEBUG_INFO_BTF=y"), "{said}");
    Ok(())
}

#[test]
fn a_host_without_cgroup_v2_is_told_to_mount_one_where_it_is_needed() -> anyhow::Result<()> {
    let _alone = alone();
    let place = cgroup::mount_point()?;
    let mut hidden = in_a_private_world(r#"umount -l "$0""#, &place, &command(&[])?);
    let (code, said) = said(&mut hidden)?;
    ensure!(said["cgroup"].is_null(), "{said}");
    let is_needed = said["half"]["rung"] == "tracepoints" && can(&said, "connect")? != "nothing";
    let advised = said["advice"].to_string().contains("mount -t cgroup2");
    same("advice to mount it", advised, is_needed)?;
    ensure!(!is_needed || code == 1, "exit code {code}");
    Ok(())
}

/// Hosts whose whole answer is written down, below `snapshots`. Which one this is follows from what is found here
/// without the doctor.
const KINDS: [(&str, Here<'static>); 4] = [
    (
        "linux_6_18_that_forbids_trampolines",
        Here { version: "6.18", modules: "lockdown,capability,landlock,bpf", has_kprobes: false },
    ),
    (
        "linux_6_12",
        Here {
            version: "6.12",
            modules: "lockdown,capability,landlock,yama,apparmor,tomoyo,bpf,ipe,ima,evm",
            has_kprobes: true,
        },
    ),
    (
        "linux_6_12_without_bpf",
        Here {
            version: "6.12",
            modules: "lockdown,capability,landlock,ima,evm",
            has_kprobes: true,
        },
    ),
    (
        "linux_6_1",
        Here {
            version: "6.1",
            modules: "lockdown,capability,landlock,yama,apparmor,tomoyo,bpf",
            has_kprobes: true,
        },
    ),
];

/// What tells one kind of host from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Here<'a> {
    /// The first two numbers of the kernel's release.
    version: &'a str,
    /// The security modules in use.
    modules: &'a str,
    /// A kernel that forbids programs before functions was built without them.
    has_kprobes: bool,
}

impl fmt::Display for Here<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kprobes = if self.has_kprobes { "with" } else { "without" };
        write!(f, "Linux {}, modules {}, {kprobes} kprobes", self.version, self.modules)
    }
}

/// The command where the list of security modules can be read, whether or not somebody has mounted it.
fn with_modules(command: &Command) -> Command {
    let mount = r#"[ -e "$0/lsm" ] || mount -t securityfs none "$0""#;
    in_a_private_world(mount, Path::new("/sys/kernel/security"), command)
}

/// What of an answer is the same on all hosts of a kind.
fn without_names(
    text: &str,
    (release, version): (&str, &str),
    ground: &Ground,
) -> anyhow::Result<String> {
    let line = format!("kernel     {release},");
    ensure!(text.starts_with(&line), "not of {release}: {text}");
    let text = text.replacen(&line, &format!("kernel     {version}[…],"), 1);
    let place = format!("cgroup v2  {}", cgroup::mount_point()?.display());
    ensure!(text.contains(&place), "not of {place}: {text}");
    let text = text.replacen(&place, "cgroup v2  [place]", 1);
    Ok(text.replace(&ground.directory().display().to_string(), "[ground]"))
}

/// Everything that it says to a person, on a host of a kind for which that is written down.
#[test]
fn on_each_kind_of_host_it_says_what_is_written_down() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let rules = ground.path("rules.yaml");
    fs::write(&rules, driftwatch_tests::scenario::rule_file(RULES))?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let release = release.trim();
    let mut list = Command::new("cat");
    let modules = child::run(&mut with_modules(list.arg("/sys/kernel/security/lsm")))?.stdout;
    let version = release.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let here = Here {
        version: &version,
        modules: modules.trim(),
        has_kprobes: Path::new("/sys/bus/event_source/devices/kprobe").exists(),
    };

    let mut doctor = Command::new(programs::driftwatch()?);
    doctor.arg("doctor").arg("--rules").arg(&rules);
    let ended = child::run(&mut with_modules(&doctor))?;
    let text = without_names(&ended.stdout, (release, &version), &ground)?;
    let (_, said) = said(&mut with_modules(command(&[])?.arg("--rules").arg(&rules)))?;
    is_one_answer(&text, &said)?;
    match KINDS.iter().find(|(_, kind)| *kind == here) {
        Some((kind, _)) => insta::assert_snapshot!(*kind, text),
        None => eprintln!(
            "NOTHING IS WRITTEN DOWN of a host like this ({here}): its answer was not compared:\n{text}"
        ),
    }
    Ok(())
}

/// What holds on every host: people are told what programs are.
fn is_one_answer(text: &str, said: &Value) -> anyhow::Result<()> {
    let half = &said["half"];
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tier = format!("\ntier       {}, by {}: ", word(&half["tier"]), word(&half["rung"]));
    ensure!(text.contains(&tier), "no {tier:?} in {text}");
    for act in ["exec", "read", "write", "connect", "listen", "privilege"] {
        let can = match can(said, act)? {
            "refuse" => "refused before it happens",
            "kill" => "killed after it happened",
            _ => "NOT SEEN",
        };
        ensure!(text.contains(&format!("\n{act:<9}  {can}")), "{act}: not {can}: {text}");
        ensure!(half["tier"] != "prevent" || can.starts_with("refused"), "{act}: {can}: {text}");
    }
    for rule in said["rules"]["rules"].as_array().context("rules")? {
        ensure!(text.contains(&word(&rule["rule"])), "{rule} is not in {text}");
    }
    Ok(())
}
