//! Containers: who runs in a container that its engine says is an agent's, is one.
//!
//! The engines are the test's own, for no real one runs where these tests must: see [`driftwatch_tests::engine`]
//! and [`driftwatch_tests::containerd`].

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use driftwatch_tests::{
    Act, Ground, Outcome, Scenario, Tally,
    cgroup::ScratchCgroup,
    child::{self, Running, wait_until},
    containerd::Containerd,
    engine::{Contained, Engine, MANY, Manner},
};

use crate::{
    claims::{SOON, alone, same},
    recognition::{FEW, ends},
};

/// What an engine has said has been acted upon by then, also after a failure.
const HEARD: Duration = Duration::from_secs(60);

/// A rule file whose agent has these signs and may not read what is planted.
fn seen_by(signs: &str) -> String {
    format!(
        "version: 1\nmode: enforce\n\nagents:\n  seen-agent:\n    {signs}\n  named-agent:
    any: [{{ exe: '**/bin/named' }}]\n\nrules:
  - id: secrets-are-shut
    title: Agent read a planted credential
    agents: [seen-agent, named-agent]
    read: {{ never: ['**/.aws/credentials'] }}
    action: kill
"
    )
}

/// An id as engines make them.
fn id(number: u8) -> String {
    let nonce = std::process::id();
    format!("{number:02x}{nonce:08x}").repeat(7)[..64].to_owned()
}

/// A container as the kernel sees it: a cgroup with a first process, which waits.
struct Box {
    // The order matters: the process ends before its cgroup is removed.
    init: Option<Running>,
    cgroup: ScratchCgroup,
    _parent: ScratchCgroup,
    id: String,
}

impl Box {
    /// In a cgroup of this name, in which `ID` stands for its id.
    fn new(number: u8, name: &str) -> anyhow::Result<Self> {
        let id = id(number);
        let parent = ScratchCgroup::new()?;
        let cgroup = parent.below(&name.replace("ID", &id))?;
        Ok(Self { init: None, cgroup, _parent: parent, id })
    }

    /// With a first process that waits, as Docker has it under systemd.
    fn started(number: u8) -> anyhow::Result<Self> {
        Self::started_in(number, "docker-ID.scope")
    }

    /// The same in a cgroup of this name.
    fn started_in(number: u8, name: &str) -> anyhow::Result<Self> {
        let mut new = Self::new(number, name)?;
        new.init = Some(Running::start(&mut new.cgroup.inside(&Act::sleep(100).command()?))?);
        // The shell has gone into the cgroup by then, and is the actor.
        let procs = new.cgroup.path().join("cgroup.procs");
        let inside = || Ok(fs::read_to_string(&procs)?.lines().next().map(drop));
        wait_until(SOON, inside)?.context("a process in the cgroup")?;
        Ok(new)
    }

    /// What the engine knows of it.
    fn contained(&self) -> Contained {
        Contained::new(&self.id, self.init.as_ref().map_or(0, Running::pid))
    }

    /// The act in it, by a program that is no agent by itself.
    fn inside(&self, scenario: &Scenario, act: &Act) -> Command {
        self.cgroup.inside(&act.command_of(&scenario.ground.dropped()))
    }
}

/// What the daemon says of the engine.
fn of_engine(scenario: &Scenario, engine: &Path, field: &str) -> anyhow::Result<u64> {
    let status = scenario.daemon.status()?;
    let value = &status["engines"][engine.display().to_string()][field];
    value.as_u64().with_context(|| format!("no {field} in {status}"))
}

/// Waits until the daemon knows so many containers.
fn knows(scenario: &Scenario, engine: &Path, containers: u64) -> anyhow::Result<()> {
    let known = || {
        let now = of_engine(scenario, engine, "containers")?;
        Ok((now == containers).then_some(()))
    };
    wait_until(HEARD, known)?.with_context(|| {
        format!(
            "not {containers} containers: {:?}",
            scenario.daemon.status().map(|s| s["engines"].clone())
        )
    })
}

/// Of two containers only the first shows the signs.
fn only_the_first_is_seen(
    signs: &str,
    first: impl Fn(Contained) -> Contained,
    second: impl Fn(Contained) -> Contained,
) -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let (one, two) = (Box::started(1)?, Box::started(2)?);
    let engine = Engine::start(&ground.path("engine.sock"))?;
    engine.tell(&first(one.contained()), "start");
    engine.tell(&second(two.contained()), "start");
    let scenario = Scenario::start_beside(ground, &seen_by(signs), &[engine.socket()])?;
    knows(&scenario, engine.socket(), 2)?;
    let read = Act::read(&scenario.ground.secret());
    ends("the one", Tally::all_killed(FEW), || Ok(one.inside(&scenario, &read)))?;
    ends("the other", Tally::all_done(FEW), || Ok(two.inside(&scenario, &read)))?;
    ends("outside", Tally::all_done(FEW), || Ok(read.command_of(&scenario.ground.dropped())))?;
    let alerts = scenario.wait_for_alerts(u64::from(FEW), SOON)?;
    same("agent", alerts.first().context("an alert")?.agent(), "seen-agent")
}

#[test]
fn an_agent_is_recognised_by_the_image_of_its_container() -> anyhow::Result<()> {
    only_the_first_is_seen(
        "any: [{ container: { image: 'ghcr.io/acme/rag-worker:*' } }]",
        |one| one.of("ghcr.io/acme/rag-worker:1.4"),
        |two| two.of("ghcr.io/acme/rag-worker-base:1.4"),
    )
}

#[test]
fn an_agent_is_recognised_by_the_name_of_its_container() -> anyhow::Result<()> {
    only_the_first_is_seen(
        "any: [{ container: { name: rag-* } }]",
        |one| one.named("rag-7"),
        |two| two.named("database-7"),
    )
}

#[test]
fn an_agent_is_recognised_by_a_label_of_its_container() -> anyhow::Result<()> {
    only_the_first_is_seen(
        "any: [{ container: { label: { ai.acme/agent: rag } } }]",
        |one| one.labelled("ai.acme/agent", "rag"),
        |two| two.labelled("ai.acme/agent", "other").labelled("rag", "ai.acme/agent"),
    )
}

#[test]
fn an_agent_with_an_image_and_a_label_is_recognised_by_both_and_not_by_one() -> anyhow::Result<()> {
    only_the_first_is_seen(
        "all: [{ container: { image: '*/worker' } }, { container: { label: { agent: '*' } } }]",
        |one| one.of("a/worker").labelled("agent", "x"),
        |two| two.of("a/worker"),
    )
}

#[test]
fn an_agent_with_a_container_and_an_executable_is_recognised_by_both() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let one = Box::started(1)?;
    let engine = Engine::start(&ground.path("engine.sock"))?;
    engine.tell(&one.contained().named("rag-1"), "start");
    let signs = "all: [{ container: { name: rag-* } }, { exe: '**/bin/agent' }]";
    let scenario = Scenario::start_beside(ground, &seen_by(signs), &[engine.socket()])?;
    knows(&scenario, engine.socket(), 1)?;
    let agent = scenario.ground.actor_at("bin/agent")?;
    let read = Act::read(&scenario.ground.secret());
    ends("both", Tally::all_killed(FEW), || Ok(one.cgroup.inside(&read.command_of(&agent))))?;
    ends("the container", Tally::all_done(FEW), || Ok(one.inside(&scenario, &read)))?;
    ends("the executable", Tally::all_done(FEW), || Ok(read.command_of(&agent)))
}

/// The process and its child were there before anybody knew what the container is; one of them is an agent
/// already, and gets the limits of the other on top.
#[test]
fn what_runs_in_a_container_is_adopted_when_its_engine_tells_of_it() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let (go, one, two) = (ground.path("go"), Box::started(1)?, Box::started(2)?);
    let named = ground.actor_at("bin/other")?;
    let engine = Engine::start(&ground.path("engine.sock"))?;
    let rules = seen_by("any: [{ container: { name: rag-* } }]").replace("bin/named", "bin/other");
    let rules = rules.replace("agents: [seen-agent, named-agent]", "agents: [seen-agent]");
    let scenario = Scenario::start_beside(ground, &rules, &[engine.socket()])?;
    let read = Act::read(&scenario.ground.secret()).after(&go);
    let acts = [read.clone(), read.clone().via("setsid"), read.clone().via("thread")];
    let mut inside = Vec::new();
    let mut outside = Vec::new();
    for act in &acts {
        inside.push(Running::start(&mut one.inside(&scenario, act))?);
        inside.push(Running::start(&mut one.cgroup.inside(&act.command_of(&named)))?);
        outside.push(Running::start(&mut two.inside(&scenario, act))?);
    }
    std::thread::sleep(Duration::from_millis(400));
    engine.tell(&one.contained().named("rag-1"), "start");
    engine.tell(&two.contained().named("database"), "start");
    knows(&scenario, engine.socket(), 2)?;
    fs::write(&go, "")?;
    for running in inside {
        let ended = running.wait()?;
        ensure!(ended.outcome() == Outcome::Killed, "inside: {ended:?}");
    }
    for running in outside {
        let ended = running.wait()?;
        ensure!(ended.outcome() == Outcome::Done, "outside: {ended:?}");
    }
    let alerts = scenario.wait_for_alerts(6, SOON)?;
    same("agent", alerts.first().context("an alert")?.agent(), "seen-agent")
}

/// What happens between the start of a container and the moment in which it is known is nobody's. How long that is,
/// is said and not claimed (`--nocapture`).
#[test]
fn what_goes_on_in_a_container_is_stopped_when_its_engine_tells_of_it() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let engine = Engine::start(&ground.path("engine.sock"))?;
    let signs = seen_by("any: [{ container: { name: rag-* } }]");
    let scenario = Scenario::start_beside(ground, &signs, &[engine.socket()])?;
    knows(&scenario, engine.socket(), 0)?;
    let mut took = Vec::new();
    for number in 1..=10 {
        let one = Box::started(number)?;
        let on_and_on = Act::opens(&scenario.ground.secret(), 100_000_000);
        let running = Running::start(&mut one.inside(&scenario, &on_and_on))?;
        std::thread::sleep(Duration::from_millis(200));
        let begin = Instant::now();
        engine.tell(&one.contained().named("rag-1"), "start");
        let ended = running.wait()?;
        took.push(begin.elapsed());
        ensure!(ended.outcome() == Outcome::Killed, "{ended:?}");
    }
    took.sort_unstable();
    eprintln!("from the event to the end of what went on: {took:?}");
    Ok(())
}

#[test]
fn what_runs_in_a_container_before_the_daemon_is_adopted() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let (go, one) = (ground.path("go"), Box::started(1)?);
    let engine = Engine::start(&ground.path("engine.sock"))?;
    engine.tell(&one.contained().named("rag-1"), "start");
    let read = Act::read(&ground.secret()).after(&go);
    let running = Running::start(&mut one.cgroup.inside(&read.command_of(&ground.dropped())))?;
    std::thread::sleep(Duration::from_millis(400));
    let signs = seen_by("any: [{ container: { name: rag-* } }]");
    let scenario = Scenario::start_beside(ground, &signs, &[engine.socket()])?;
    knows(&scenario, engine.socket(), 1)?;
    fs::write(&go, "")?;
    let ended = running.wait()?;
    ensure!(ended.outcome() == Outcome::Killed, "{ended:?}");
    scenario.wait_for_alerts(1, SOON).map(drop)
}

/// Nobody has told that it was started: it is expected where engines put it.
#[test]
fn a_container_that_was_made_is_recognised_from_its_first_exec() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let one = Box::new(1, "ID")?;
    let parent = one.cgroup.name()?;
    let parent = parent.strip_suffix(&one.id).context("its id")?;
    let engine = Engine::start(&ground.path("engine.sock"))?;
    let signs = seen_by("any: [{ container: { name: rag-* } }]");
    let scenario = Scenario::start_beside(ground, &signs, &[engine.socket()])?;
    let made = Contained { cgroup_parent: parent.to_owned(), ..one.contained().named("rag-1") };
    // The engine tells of it for as long as nobody has heard it: its listeners come and go.
    wait_until(HEARD, || {
        engine.tell(&made, "create");
        Ok((of_engine(&scenario, engine.socket(), "containers")? == 1).then_some(()))
    })?
    .context("the container is known")?;
    let read = Act::read(&scenario.ground.secret());
    ends("its first", Tally::all_killed(FEW), || Ok(one.inside(&scenario, &read)))
}

#[test]
fn a_container_that_has_ended_is_no_agent_any_more() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let one = Box::started(1)?;
    let engine = Engine::start(&ground.path("engine.sock"))?;
    let known = one.contained().named("rag-1");
    engine.tell(&known, "start");
    let signs = seen_by("any: [{ container: { name: rag-* } }]");
    let scenario = Scenario::start_beside(ground, &signs, &[engine.socket()])?;
    let read = Act::read(&scenario.ground.secret());
    knows(&scenario, engine.socket(), 1)?;
    ends("before", Tally::all_killed(FEW), || Ok(one.inside(&scenario, &read)))?;
    engine.end(&known);
    knows(&scenario, engine.socket(), 0)?;
    ends("after", Tally::all_done(FEW), || Ok(one.inside(&scenario, &read)))
}

#[test]
fn containers_stay_agents_while_their_engine_is_away_and_are_known_again_after()
-> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let (one, two) = (Box::started(1)?, Box::started(2)?);
    let socket = ground.path("engine.sock");
    let engine = Engine::start(&socket)?;
    engine.tell(&one.contained().named("rag-1"), "start");
    let signs = seen_by("any: [{ container: { name: rag-* } }]");
    let scenario = Scenario::start_beside(ground, &signs, &[&socket])?;
    let read = Act::read(&scenario.ground.secret());
    knows(&scenario, &socket, 1)?;
    drop(engine);
    let away = || {
        let status = scenario.daemon.status()?;
        Ok((status["engines"][socket.display().to_string()]["state"] == "absent").then_some(()))
    };
    wait_until(HEARD, away)?.context("the engine is away")?;
    ends("while it is away", Tally::all_killed(FEW), || Ok(one.inside(&scenario, &read)))?;
    let engine = Engine::start(&socket)?;
    engine.tell(&two.contained().named("rag-2"), "start");
    let other = || {
        Ok((child::run(&mut two.inside(&scenario, &read))?.outcome() == Outcome::Killed)
            .then_some(()))
    };
    wait_until(HEARD, other)?.context("the other container is an agent")?;
    ends("the one that went", Tally::all_done(FEW), || Ok(one.inside(&scenario, &read)))
}

/// An engine that lies about the first process cannot make an agent of somebody else.
#[test]
fn a_container_that_is_in_no_cgroup_of_its_own_is_nobody() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let engine = Engine::start(&ground.path("engine.sock"))?;
    let lie = Contained::new(&id(1), std::process::id()).named("rag-1");
    engine.tell(&lie, "start");
    engine.tell(&Contained { pid: 1, id: id(2), ..lie }, "start");
    let signs = seen_by("any: [{ container: { name: rag-* } }]");
    let scenario = Scenario::start_beside(ground, &signs, &[engine.socket()])?;
    let unplaced = || Ok((of_engine(&scenario, engine.socket(), "unplaced")? == 2).then_some(()));
    wait_until(HEARD, unplaced)?.context("two containers that are nowhere")?;
    let read = Act::read(&scenario.ground.secret());
    ends("anybody", Tally::all_done(FEW), || Ok(read.command_of(&scenario.ground.dropped())))
}

/// As Kubernetes has it: the cgroup below those of its pod, the name in a label.
#[test]
fn an_agent_is_recognised_by_what_containerd_says() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let (one, two) = (Box::started_in(1, "cri-containerd-ID.scope")?, Box::started_in(2, "ID")?);
    let go = ground.path("go");
    let engine = Containerd::start(&ground.path("containerd.sock"))?;
    let name = "io.kubernetes.container.name";
    let first = one.contained().of("ghcr.io/acme/rag-worker:1").labelled(name, "rag-1");
    engine.tell("k8s.io", &first, "/tasks/start");
    engine.tell("default", &two.contained().labelled(name, "rag-2"), "/tasks/start");
    let signs = "all: [{ container: { image: '*/rag-worker:*' } }, { container: { name: rag-* } },
           { container: { label: { io.kubernetes.container.name: '*' } } }]";
    let read = Act::read(&ground.secret());
    let waiting = read.clone().after(&go).command_of(&ground.dropped());
    let early = Running::start(&mut one.cgroup.inside(&waiting))?;
    std::thread::sleep(Duration::from_millis(400));
    let scenario = Scenario::start_beside(ground, &seen_by(signs), &[engine.socket()])?;
    knows(&scenario, engine.socket(), 2)?;
    fs::write(&go, "")?;
    let ended = early.wait()?;
    ensure!(ended.outcome() == Outcome::Killed, "adopted: {ended:?}");
    ends("the one", Tally::all_killed(FEW), || Ok(one.inside(&scenario, &read)))?;
    ends("the other", Tally::all_done(FEW), || Ok(two.inside(&scenario, &read)))?;
    engine.end("k8s.io", &first);
    knows(&scenario, engine.socket(), 1)?;
    ends("after its end", Tally::all_done(FEW), || Ok(one.inside(&scenario, &read)))
}

/// The specification says where it will be, before anything of it runs.
#[test]
fn a_container_that_containerd_has_made_is_recognised_from_its_first_exec() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let one = Box::new(1, "ID")?;
    let engine = Containerd::start(&ground.path("containerd.sock"))?;
    let signs = seen_by("any: [{ container: { label: { agent: rag } } }]");
    let scenario = Scenario::start_beside(ground, &signs, &[engine.socket()])?;
    let made = Contained { cgroup_parent: one.cgroup.name()?, ..one.contained() };
    let made = made.labelled("agent", "rag");
    // It tells of it for as long as nobody has heard it: its listeners come and go.
    wait_until(HEARD, || {
        engine.tell("k8s.io", &made, "/containers/create");
        Ok((of_engine(&scenario, engine.socket(), "containers")? == 1).then_some(()))
    })?
    .context("the container is known")?;
    let read = Act::read(&scenario.ground.secret());
    ends("its first", Tally::all_killed(FEW), || Ok(one.inside(&scenario, &read)))
}

#[test]
fn what_does_not_speak_grpc_does_not_hold_up_the_daemon() -> anyhow::Result<()> {
    let _alone = alone();
    for manner in [Manner::Hangs, Manner::Resets, Manner::Endless, Manner::Garbage] {
        let ground = Ground::new()?;
        let named = ground.actor_at("bin/named")?;
        let engine = Engine::start(&ground.path("containerd.sock"))?;
        engine.turn(manner);
        let signs = seen_by("any: [{ container: { name: rag-* } }]");
        let scenario = Scenario::start_beside(ground, &signs, &[engine.socket()])?;
        let failed = || Ok((of_engine(&scenario, engine.socket(), "failures")? > 0).then_some(()));
        wait_until(HEARD, failed)?.with_context(|| format!("{manner:?} is noticed"))?;
        let read = Act::read(&scenario.ground.secret());
        ends("another agent", Tally::all_killed(FEW), || Ok(read.command_of(&named)))?;
    }
    Ok(())
}

/// Whatever an engine does, the daemon's loop goes on, and the engine is asked again.
#[test]
fn no_engine_holds_up_the_daemon() -> anyhow::Result<()> {
    let _alone = alone();
    for manner in Manner::HOSTILE {
        let ground = Ground::new()?;
        let named = ground.actor_at("bin/named")?;
        let one = Box::started(1)?;
        let engine = Engine::start(&ground.path("engine.sock"))?;
        engine.turn(manner);
        engine.tell(&one.contained().named("rag-1"), "start");
        let signs = seen_by("any: [{ container: { name: rag-* } }]");
        let scenario = Scenario::start_beside(ground, &signs, &[engine.socket()])?;
        let read = Act::read(&scenario.ground.secret());
        let noticed = || match manner {
            Manner::Many => {
                let refused = of_engine(&scenario, engine.socket(), "refused")?;
                Ok((refused > u64::from(MANY / 2)).then_some(()))
            }
            _ => Ok((of_engine(&scenario, engine.socket(), "failures")? > 0).then_some(())),
        };
        wait_until(HEARD, noticed)?.with_context(|| format!("{manner:?} is noticed"))?;
        ends("another agent", Tally::all_killed(FEW), || Ok(read.command_of(&named)))?;
        scenario.wait_for_alerts(u64::from(FEW), SOON)?;
        let resident = scenario.daemon.resident_kib()?;
        ensure!(resident < 256 << 10, "{manner:?}: {resident} KiB");
        engine.turn(Manner::Honest);
        knows(&scenario, engine.socket(), 1).with_context(|| format!("after {manner:?}"))?;
        ends("inside", Tally::all_killed(FEW), || Ok(one.inside(&scenario, &read)))?;
    }
    Ok(())
}
