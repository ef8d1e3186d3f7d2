//! Labels: another name does not open a file that a rule shuts.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail, ensure};
use driftwatch_tests::{Act, Ground, Outcome, Scenario, Tally, child};
use rustix::process::Signal;

use crate::claims::{SOON, TIMES, agent_ends, alone, nothing_came_of_it, same, twin_is_left_alone};

/// The planted credential is shut by a name that begins at the root.
fn shut(ground: &Ground) -> String {
    format!(
        "
  - id: secrets-are-shut
    title: Agent read a planted credential
    agents: [test-agent]
    read: {{ never: ['{}/home/.a?s/**'] }}
    action: kill
",
        ground.directory().display()
    )
}

fn disagreements(scenario: &Scenario) -> anyhow::Result<u64> {
    let status = scenario.daemon.status()?;
    status["events"]["disagreements"].as_u64().context("disagreements")
}

/// Opened under this name the file is shut as ever, and the alert says what it is.
fn is_shut_by_inode(scenario: &Scenario, name: &Path) -> anyhow::Result<()> {
    let trace = scenario.ground.trace("agent")?;
    let read = Act::read(name);
    agent_ends(scenario, &read.clone().traced(&trace), Tally::all_killed(TIMES))?;
    nothing_came_of_it(&trace)?;
    let secret = scenario.ground.secret();
    let by_inode = format!("matched by inode: {}", secret.display());
    let alerts = scenario.wait_for_alerts(u64::from(TIMES), SOON)?;
    same("alerts", alerts.len(), TIMES as usize)?;
    for alert in alerts {
        same("path", alert.text("/object/path"), &*name.display().to_string())?;
        same("rule", alert.rule(), "secrets-are-shut")?;
        let matched = alert.text("/rule/matched");
        ensure!(matched.contains("/home/.a?s/**") && matched.ends_with(&by_inode), "{matched}");
    }
    same("disagreements", disagreements(scenario)?, 0)?;
    twin_is_left_alone(&read)
}

fn link(from: &Path, to: &Path) -> io::Result<PathBuf> {
    fs::hard_link(from, to)?;
    Ok(to.to_owned())
}

#[test]
fn a_hard_link_that_was_there_before_is_shut() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let other = link(&ground.secret(), &ground.path("home/harmless"))?;
    let rules = shut(&ground);
    is_shut_by_inode(&Scenario::start(ground, &rules)?, &other)
}

#[test]
fn a_hard_link_that_is_made_later_is_shut() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let rules = shut(&ground);
    let scenario = Scenario::start(ground, &rules)?;
    let other = link(&scenario.ground.secret(), &scenario.ground.path("home/harmless"))?;
    is_shut_by_inode(&scenario, &other)
}

#[test]
fn a_file_that_was_renamed_is_shut() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let rules = shut(&ground);
    let scenario = Scenario::start(ground, &rules)?;
    let other = scenario.ground.path("home/harmless");
    fs::rename(scenario.ground.secret(), &other)?;
    is_shut_by_inode(&scenario, &other)
}

/// File systems tell the generation of an inode in different ways; this one is in memory.
#[test]
fn a_hard_link_on_tmpfs_is_shut() -> anyhow::Result<()> {
    let _alone = alone();
    let memory = tempfile::Builder::new().prefix("driftwatch-test-").tempdir_in("/dev/shm")?;
    let secret = memory.path().join("secret");
    fs::write(&secret, "secret")?;
    let ground = Ground::new()?;
    let planted = format!("{}/home/.a?s/**", ground.directory().display());
    let rules = shut(&ground).replace(&planted, &secret.display().to_string());
    let scenario = Scenario::start(ground, &rules)?;
    let other = link(&secret, &memory.path().join("harmless"))?;
    agent_ends(&scenario, &Act::read(&other), Tally::all_killed(TIMES))?;
    same("disagreements", disagreements(&scenario)?, 0)
}

/// In a mount namespace of its own, where the test has the file at another place.
#[test]
fn a_bind_mount_is_shut() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let rules = shut(&ground);
    let scenario = Scenario::start(ground, &rules)?;
    let other = scenario.ground.path("home/harmless");
    fs::write(&other, "")?;
    let act = Act::read(&other).command()?;
    let mut mounted = Command::new("unshare");
    mounted.args([
        "-m",
        "--propagation",
        "private",
        "sh",
        "-c",
        "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"",
        "sh",
    ]);
    mounted.arg(scenario.ground.secret()).arg(&other).arg(act.get_program()).args(act.get_args());
    ensure!(child::run(&mut mounted)?.outcome() == Outcome::Done, "untagged");
    let ended = scenario.run_as(driftwatch_tests::AGENT, &mounted)?;
    ensure!(ended.outcome() == Outcome::Killed, "{ended:?}");
    let alerts = scenario.wait_for_alerts(1, SOON)?;
    let matched = alerts.first().context("an alert")?.text("/rule/matched").to_owned();
    ensure!(matched.contains("matched by inode"), "{matched}");
    same("disagreements", disagreements(&scenario)?, 0)
}

#[test]
fn other_files_are_left_alone() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let (rules, linked) = (shut(&ground), link(&ground.notes(), &ground.path("home/linked"))?);
    let scenario = Scenario::start(ground, &rules)?;
    for file in [scenario.ground.notes(), linked] {
        agent_ends(&scenario, &Act::read(&file), Tally::all_done(TIMES))?;
    }
    // The file itself is shut by its name, and the alert says nothing else.
    agent_ends(&scenario, &Act::read(&scenario.ground.secret()), Tally::all_killed(TIMES))?;
    for alert in scenario.wait_for_alerts(u64::from(TIMES), SOON)? {
        let matched = alert.text("/rule/matched");
        ensure!(matched.ends_with("/home/.a?s/**"), "{matched}");
    }
    Ok(())
}

/// A number of an inode is given to another file as soon as it is free; that one is not shut.
#[test]
fn a_file_that_has_the_number_of_a_deleted_one_is_left_alone() -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let _alone = alone();
    let ground = Ground::new()?;
    let rules = shut(&ground);
    let scenario = Scenario::start(ground, &rules)?;
    let secret = scenario.ground.secret();
    let inode = fs::metadata(&secret)?.ino();
    fs::remove_file(&secret)?;
    let again = (0..2000).find_map(|number| {
        let file = scenario.ground.path(&format!("home/new-{number}"));
        fs::write(&file, "").ok()?;
        (fs::metadata(&file).ok()?.ino() == inode).then_some(file)
    });
    let Some(again) = again else {
        eprintln!("this file system does not give numbers of inodes again so soon");
        return Ok(());
    };
    agent_ends(&scenario, &Act::read(&again), Tally::all_done(TIMES))
}

fn labels(scenario: &Scenario) -> anyhow::Result<u64> {
    scenario.daemon.status()?["rules"]["labels"].as_u64().context("labels")
}

/// Waits until so many files are known by their inode.
fn wait_for_labels(scenario: &Scenario, count: u64) -> anyhow::Result<()> {
    let all = child::wait_until(SOON, || Ok((labels(scenario)? == count).then_some(())))?;
    match all {
        Some(()) => Ok(()),
        None => bail!("{} labels, not {count}", labels(scenario)?),
    }
}

/// Waits until an agent is killed for reading this.
fn wait_until_shut(scenario: &Scenario, file: &Path) -> anyhow::Result<()> {
    let read = Act::read(file);
    let shut = child::wait_until(SOON, || {
        Ok((scenario.agent(&read)?.outcome() == Outcome::Killed).then_some(()))
    })?;
    shut.with_context(|| format!("{} stays open", file.display()))
}

fn plan(scenario: &Scenario) -> anyhow::Result<u64> {
    scenario.daemon.status()?["rules"]["plan"].as_u64().context("plan")
}

#[test]
fn a_file_that_comes_later_is_shut_under_another_name() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let rules = shut(&ground);
    let scenario = Scenario::start(ground, &rules)?;
    let later = scenario.ground.path("home/.aws/later");
    fs::write(&later, "x")?;
    let other = link(&later, &scenario.ground.path("home/harmless"))?;
    wait_for_labels(&scenario, 2)?;
    agent_ends(&scenario, &Act::read(&other), Tally::all_killed(TIMES))?;
    for alert in scenario.wait_for_alerts(u64::from(TIMES), SOON)? {
        let matched = alert.text("/rule/matched");
        ensure!(matched.ends_with(&format!("matched by inode: {}", later.display())), "{matched}");
    }
    same("plan", plan(&scenario)?, 1)?;
    // Its end is known as well; until then it has a name.
    fs::remove_file(&later)?;
    agent_ends(&scenario, &Act::read(&other), Tally::all_killed(TIMES))?;
    fs::remove_file(&other)?;
    wait_for_labels(&scenario, 1)?;
    same("disagreements", disagreements(&scenario)?, 0)
}

/// As editors and `aws configure` do it: the file is complete before it gets the name. The other name is
/// older than the label.
#[test]
fn a_file_that_is_renamed_over_another_is_shut_under_another_name() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let rules = shut(&ground);
    let scenario = Scenario::start(ground, &rules)?;
    for number in 0..20 {
        let new = scenario.ground.path("home/new");
        fs::write(&new, "new")?;
        let other = link(&new, &scenario.ground.path(&format!("home/harmless-{number}")))?;
        agent_ends(&scenario, &Act::read(&other), Tally::all_done(TIMES))?;
        fs::rename(&new, scenario.ground.secret())?;
        wait_until_shut(&scenario, &other)?;
    }
    // Each of them still has a name, but for the first.
    wait_for_labels(&scenario, 20)
}

#[test]
fn a_file_in_a_directory_that_comes_later_is_shut_under_another_name() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let root = ground.directory().display().to_string();
    let places = format!("'{root}/later/a/**', '{root}/later/b/c/secret', '{root}/later/d/*/key'");
    let rules = shut(&ground).replace(&format!("'{root}/home/.a?s/**'"), &places);
    let scenario = Scenario::start(ground, &rules)?;
    same("labels", labels(&scenario)?, 0)?;
    let files = ["later/a/x/y/z", "later/b/c/secret", "later/d/e/key"];
    for (number, file) in files.iter().enumerate() {
        let file = scenario.ground.path(file);
        fs::create_dir_all(file.parent().context("a directory")?)?;
        fs::write(&file, "secret")?;
        let other = link(&file, &scenario.ground.path(&format!("home/harmless-{number}")))?;
        wait_until_shut(&scenario, &other)?;
    }
    wait_for_labels(&scenario, 3)?;
    // The whole tree goes away, and comes again. What went has no label where nothing has its inode.
    fs::rename(scenario.ground.path("later"), scenario.ground.path("gone"))?;
    let again = scenario.ground.path("later/b/c/secret");
    fs::create_dir_all(again.parent().context("a directory")?)?;
    fs::write(&again, "secret")?;
    let other = link(&again, &scenario.ground.path("home/harmless-again"))?;
    wait_until_shut(&scenario, &other)?;
    // Nobody is told of what comes to the place that it has left.
    let elsewhere = scenario.ground.path("gone/a/x/y/other");
    fs::write(&elsewhere, "no secret")?;
    wait_for_labels(&scenario, 4)?;
    agent_ends(&scenario, &Act::read(&elsewhere), Tally::all_done(TIMES))
}

/// More than the kernel keeps, and more than one turn looks at.
#[test]
fn what_is_too_much_to_follow_is_searched_for() -> anyhow::Result<()> {
    const MANY: usize = 17_000;
    let _alone = alone();
    let ground = Ground::new()?;
    let root = ground.directory().display().to_string();
    let rules = shut(&ground).replace(".a?s/**", ".a?s/**/*.key");
    let (listed, beside) = (ground.path("home/.aws"), ground.path("beside"));
    let scenario = Scenario::start(ground, &rules)?;
    let searches = |scenario: &Scenario| -> anyhow::Result<u64> {
        scenario.daemon.status()?["rules"]["label_searches"].as_u64().context("searches")
    };
    same("searches", searches(&scenario)?, 0)?;
    scenario.daemon.signal(Signal::STOP)?;
    let filled = (0..MANY).try_for_each(|number| fs::write(listed.join(number.to_string()), ""));
    let made = filled.and_then(|()| fs::write(listed.join("last.key"), ""));
    scenario.daemon.signal(Signal::CONT)?;
    made?;
    let other = link(&listed.join("last.key"), &scenario.ground.path("home/harmless"))?;
    wait_until_shut(&scenario, &other)?;
    let first = searches(&scenario)?;
    ensure!(first > 0, "{root}: nothing was lost");

    fs::create_dir(&beside)?;
    for number in 0..3000 {
        fs::write(beside.join(format!("{number}.key")), "")?;
    }
    fs::rename(&beside, listed.join("moved"))?;
    wait_for_labels(&scenario, 3001)?;
    ensure!(searches(&scenario)? > first, "it was not too much");
    Ok(())
}

/// Files come while plans take turns; each is known in the end.
#[test]
fn files_that_come_while_rules_are_reloaded_are_shut_under_another_name() -> anyhow::Result<()> {
    const RELOADS: u32 = 20;
    const FILES: u64 = 500;
    let _alone = alone();
    let ground = Ground::new()?;
    let rules = shut(&ground);
    let scenario = Scenario::start(ground, &rules)?;
    let (mut others, mut files) = (Vec::new(), 1);
    for reload in 0..RELOADS {
        let before = plan(&scenario)?;
        scenario.daemon.signal(Signal::HUP)?;
        for number in 0..FILES {
            let name = format!("{reload}-{number}");
            let later = scenario.ground.path(&format!("home/.aws/{name}"));
            fs::write(&later, "x")?;
            if number % 50 == 0 {
                let other = scenario.ground.path(&format!("home/harmless-{name}"));
                others.push(link(&later, &other)?);
            }
        }
        files += FILES;
        let reloaded = child::wait_until(SOON, || Ok((plan(&scenario)? > before).then_some(())))?;
        reloaded.context("not reloaded")?;
        wait_for_labels(&scenario, files)?;
    }
    for other in others {
        ensure!(scenario.agent(&Act::read(&other))?.outcome() == Outcome::Killed, "{other:?}");
    }
    same("disagreements", disagreements(&scenario)?, 0)
}

/// A plan that is made anew from the same rules has the labels of the one before.
#[test]
fn a_label_is_kept_when_an_exception_ends() -> anyhow::Result<()> {
    let _alone = alone();
    let ground = Ground::new()?;
    let soon = seconds_from_now(5)?;
    let except = format!(
        "read: {{ never: ['{}/home/.a?s/**'], except: [{{ path: [/nothing], reason: r, until: {soon} }}] }}",
        ground.directory().display()
    );
    let never = format!("read: {{ never: ['{}/home/.a?s/**'] }}", ground.directory().display());
    let rules = shut(&ground).replace(&never, &except);
    let scenario = Scenario::start(ground, &rules)?;
    let later = scenario.ground.path("home/.aws/later");
    fs::write(&later, "x")?;
    let other = scenario.ground.path("home/harmless");
    // It has the label and not the name when the plan is made.
    wait_for_labels(&scenario, 2)?;
    fs::rename(&later, &other)?;
    let renewed = child::wait_until(SOON, || Ok((plan(&scenario)? == 2).then_some(())))?;
    renewed.context("the exception has not ended")?;
    same("labels", labels(&scenario)?, 2)?;
    agent_ends(&scenario, &Act::read(&other), Tally::all_killed(TIMES))
}

/// That moment, as rule files have it.
fn seconds_from_now(seconds: i64) -> anyhow::Result<String> {
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let at = i64::try_from(at.as_secs())? + seconds;
    Ok(monitor::rules::model::Moment::from_second(at)?.to_string())
}
