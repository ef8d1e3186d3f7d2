//! Nameless: a pipe that is opened once more by way of `/proc` is no file, and hits no rule about files. The root
//! directory, whose path looks the same, is one.

use std::{fs::File, io, os::fd::AsRawFd as _};

use anyhow::ensure;
use driftwatch_tests::{
    half::{self, Half},
    scenario::rule_file,
};
use monitor::event::What;

use crate::claims::{alone, same};

const RULES: &str = "
  - id: approved
    title: Agent read or wrote something else
    agents: [test-agent]
    read: { only: ['/usr/**'] }
    action: alert
  - id: approved-too
    title: Agent read or wrote something else
    agents: [test-agent]
    write: { only: ['/usr/**'] }
    action: alert
";

fn again(end: &io::PipeReader) -> io::Result<File> {
    File::options().read(true).write(true).open(format!("/proc/self/fd/{}", end.as_raw_fd()))
}

#[test]
fn a_pipe_is_no_file_and_the_root_directory_is() -> anyhow::Result<()> {
    let _alone = alone();
    let rules = half::rules(&rule_file(RULES))?;
    let mut half = Half::load()?;
    let plan = half.compile(&rules, false)?;
    half.put_in_force(&plan, &rules)?;
    half.attach()?;
    let (reader, _writer) = io::pipe()?;
    half.as_agents(&[1], || again(&reader).map(drop))??;
    let events = half.acts()?;
    ensure!(events.is_empty(), "a pipe was taken for a file: {events:?}");
    half.as_agents(&[1], || File::open("/").map(drop))??;
    let root = |what: &What| matches!(what, What::File(file) if file.path.as_deref() == Some(b"/"));
    let events = half.acts()?;
    same("opens of the root", events.iter().filter(|event| root(&event.what)).count(), 1)
}
