//! The ground: a directory with one case for each technique and each who tries it, planted before the
//! daemon starts, and the rules.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use driftwatch_tests::{child, ground::SECRET, programs};
use tempfile::TempDir;

use crate::{attempt::Role, row::Row};

/// The agent of the rules.
pub(crate) const AGENT: &str = "evader";
/// What the file that may not be changed says.
pub(crate) const SHUT: &str = "alias ll='ls -l'\n";

/// A directory that is gone when this is.
pub(crate) struct Ground {
    directory: TempDir,
}

impl Ground {
    /// Plants everything.
    pub(crate) fn plant(rows: &[Row]) -> anyhow::Result<Self> {
        let directory =
            tempfile::Builder::new().prefix("driftwatch-evasion-").tempdir_in("/tmp")?;
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
        let ground = Self { directory };
        for role in [Role::Agent, Role::Twin] {
            let program = ground.program(role);
            fs::create_dir_all(program.parent().context("a program lies in a directory")?)?;
            fs::copy(programs::evade()?, &program).context("copy evade")?;
        }
        let evil = ground.path("evil");
        fs::create_dir(&evil)?;
        let ended = child::run(Command::new(programs::evade()?).arg("plant").arg(&evil))?;
        ensure!(ended.status.success(), "evade plant: {}", ended.stderr);
        for row in rows {
            for role in [Role::Agent, Role::Twin] {
                plant_case(&ground.case(row, role), &evil).context("plant a case")?;
            }
        }
        fs::write(ground.path("rules.yaml"), ground.rules())?;
        Ok(ground)
    }

    /// A place on the ground.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Who tries it: the same program at two places.
    pub(crate) fn program(&self, role: Role) -> PathBuf {
        self.path(role.name()).join("evade")
    }

    /// Where it is tried.
    pub(crate) fn case(&self, row: &Row, role: Role) -> PathBuf {
        self.path("cases").join(format!("{}-{}", row.id, role.name()))
    }

    /// The rules: one of each kind, as somebody would write them. Mounts, namespaces, ptrace, raw sockets
    /// and rings stay allowed.
    fn rules(&self) -> String {
        let cases = self.path("cases");
        let (cases, program) = (cases.display(), self.program(Role::Agent));
        let program = program.display();
        format!(
            "version: 1
mode: enforce

agents:
  {AGENT}:
    any:
      - exe: {program}

rules:
  - id: credentials
    title: Agent read credentials
    agents: [{AGENT}]
    read: {{ never: [\"{cases}/*/home/.aws/credentials\", \"/proc/*/environ\",
                     \"/proc/*/task/*/environ\", \"/proc/*/mem\", \"/proc/*/task/*/mem\"] }}
    action: kill

  - id: shell-profile
    title: Agent changed what a person's shell does
    agents: [{AGENT}]
    write: {{ never: [\"{cases}/*/home/.bashrc\", \"/proc/*/mem\",
                      \"/proc/*/task/*/mem\"] }}
    action: kill

  - id: programs
    title: Agent started a program that it may not start
    agents: [{AGENT}]
    exec: {{ never: [\"{cases}/*/evil/*\", memfd, deleted] }}
    action: kill

  - id: egress
    title: Agent connected where it may not
    agents: [{AGENT}]
    connect: {{ only: [\"127.0.0.1:2467\", \"127.0.0.1:2471\"] }}
    action: kill

  - id: doors
    title: Agent can be reached from outside
    agents: [{AGENT}]
    listen: {{ only: [\"localhost:*\"] }}
    action: kill
"
        )
    }
}

fn plant_case(case: &Path, evil: &Path) -> anyhow::Result<()> {
    for folder in ["home/.aws", "evil", "desk"] {
        fs::create_dir_all(case.join(folder))?;
    }
    // Some techniques are somebody else's than root's.
    fs::set_permissions(case.join("desk"), Permissions::from_mode(0o777))?;
    fs::set_permissions(case, Permissions::from_mode(0o777))?;
    fs::write(case.join("home/.aws/credentials"), SECRET)?;
    fs::write(case.join("home/.bashrc"), SHUT)?;
    fs::write(case.join("home/notes.txt"), "nothing of interest\n")?;
    for entry in fs::read_dir(evil)? {
        let entry = entry?;
        fs::copy(entry.path(), case.join("evil").join(entry.file_name()))?;
    }
    Ok(())
}

/// Whether the file that may not be changed is what it was.
pub(crate) fn is_changed(case: &Path) -> bool {
    let file = case.join("home/.bashrc");
    let mode = fs::metadata(&file).map(|metadata| metadata.permissions().mode() & 0o7777);
    fs::read_to_string(&file).ok().as_deref() != Some(SHUT) || mode.ok() != Some(0o644)
}
