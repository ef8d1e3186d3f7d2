//! Learning: rules learned from real work let the same work through on another day, and nothing else.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use driftwatch_tests::{Ground, TcpCanary, child, ground::SECRET, programs};
use serde_json::Value;
use tempfile::TempDir;

use crate::claims::{alone, same};

/// Every time in a new directory, under a new name.
const BEGIN: &str = r#"set -e
work=$(mktemp -d /tmp/agent-work-XXXXXX)
cd "$work"
echo notes > notes && cat notes
bash -c "exec 3<>/dev/tcp/127.0.0.1/$KNOWN_PORT"
"#;
const END: &str = "cd /\nrm -rf \"$work\"\n";

/// A tool, how to ask whether it is here, and what is done with it. Nothing of it leaves this host.
const TOOLS: [(&str, &str, &str); 4] = [
    (
        "git",
        "git --version",
        r#"mkdir repo
( cd repo && git init -q . && echo one > a && git add a &&
  git -c user.name=a -c user.email=a@example.com commit -q -m one && git log --oneline > log )
"#,
    ),
    (
        "cargo",
        "cargo --version && cc --version",
        r#"mkdir -p crate/src
printf '[package]\nname = "tiny"\nversion = "0.1.0"\nedition = "2021"\n' > crate/Cargo.toml
echo 'fn main() { println!("built"); }' > crate/src/main.rs
( cd crate && cargo build -q --offline && target/debug/tiny )
"#,
    ),
    (
        "npm",
        "npm --version",
        r#"mkdir dep app
echo '{"name":"dep","version":"1.0.0"}' > dep/package.json
echo '{"name":"app","version":"1.0.0","dependencies":{"dep":"file:../dep"}}' > app/package.json
( cd app && npm install --offline --no-audit --no-fund --no-update-notifier )
"#,
    ),
    (
        "pip",
        "python3 -m pip --version",
        r#"mkdir lib
printf '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n' > lib/pyproject.toml
cat > lib/backend.py <<'PYTHON'
import zipfile
def build_wheel(directory, config_settings=None, metadata_directory=None):
    name, info = "lib-0.1.0-py3-none-any.whl", "lib-0.1.0.dist-info/"
    with zipfile.ZipFile(directory + "/" + name, "w") as wheel:
        wheel.writestr("lib.py", "x = 1\n")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: lib\nVersion: 0.1.0\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: a\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")
    return name
PYTHON
python3 -m pip install -q --disable-pip-version-check --no-index --no-build-isolation --target out ./lib
"#,
    ),
];

/// A home directory of a test's own. `~` stands for every directory in `/home`.
fn home() -> anyhow::Result<TempDir> {
    let builder = tempfile::Builder::new().prefix("driftwatch-test-").tempdir_in("/home");
    builder.context("a directory in /home")
}

/// A shell that works as somebody who lives in `home`.
fn shell(home: &Path, known: SocketAddr, asks: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    with_environment(&mut shell, home, known);
    shell.args(["-c", asks]).stdin(Stdio::null());
    shell
}

fn with_environment(command: &mut Command, home: &Path, known: SocketAddr) {
    let kept = ["PATH", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "PYENV_ROOT", "PYENV_VERSION"];
    let kept: Vec<_> = kept.iter().filter_map(|name| Some((name, env::var_os(name)?))).collect();
    command.env_clear();
    if let Some(real) = env::var_os("HOME").map(PathBuf::from) {
        command.env("RUSTUP_HOME", real.join(".rustup"));
    }
    command.envs(kept).env("HOME", home).env("CARGO_HOME", home.join(".cargo"));
    command.env("KNOWN_PORT", known.port().to_string());
}

/// What is to be done, with the tools that are here.
fn work(home: &Path, known: SocketAddr) -> anyhow::Result<String> {
    let mut script = BEGIN.to_owned();
    for (tool, asks, work) in TOOLS {
        let ended = child::run(&mut shell(home, known, asks))?;
        if ended.status.success() {
            script += work;
        } else {
            eprintln!("without {tool}: `{asks}` says {} {}", ended.status, ended.stderr.trim());
        }
    }
    Ok(script)
}

struct Lab {
    ground: Ground,
    known: TcpCanary,
}

impl Lab {
    fn file(&self, name: &str) -> String {
        self.ground.path(name).display().to_string()
    }

    /// Does the work in a home directory of its own, and records it.
    fn record(&self, name: &str, home: &Path, script: &str) -> anyhow::Result<()> {
        let file = self.ground.path("work.sh");
        fs::write(&file, script)?;
        let mut record = Command::new(programs::driftwatch()?);
        with_environment(&mut record, home, self.known.address());
        record.args(["record", "--agent", "worker", "--out", &self.file(name), "--", "sh"]);
        let ended = child::run(record.arg(file).stdin(Stdio::null()))?;
        ensure!(ended.status.success(), "{}\n{}\n{}", ended.status, ended.stdout, ended.stderr);
        ensure!(ended.stderr.contains("nothing was lost"), "{}", ended.stderr);
        Ok(())
    }

    fn learn(&self, recordings: &[&str], rules: &str) -> anyhow::Result<String> {
        let mut learn = Command::new(programs::driftwatch()?);
        learn.args(["learn", "worker", "--recording"]);
        learn.args(recordings.iter().map(|recording| self.file(recording)));
        let ended = child::run(learn.args(["--out", &self.file(rules)]))?;
        ensure!(ended.status.success(), "{}", ended.stderr);
        Ok(ended.stderr)
    }

    /// What the recording has that the rules do not let through: act and object.
    fn beyond(&self, recording: &str, rules: &str) -> anyhow::Result<Vec<(String, String)>> {
        let mut drift = Command::new(programs::driftwatch()?);
        drift.args(["drift", "worker", "-o", "json", "--recording", &self.file(recording)]);
        let ended = child::run(drift.args(["--rules", &self.file(rules)]))?;
        let drift: Value = serde_json::from_str(&ended.stdout).context(ended.stderr)?;
        same("schema", drift["schema"].as_str().unwrap_or(""), "driftwatch.drift/v1")?;
        ensure!(drift["acts"].as_u64() > Some(20), "{drift}");
        let uncovered = drift["uncovered"].as_array().context("a list")?;
        same("exit code", ended.status.code().unwrap_or(-1), i32::from(!uncovered.is_empty()))?;
        let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
        Ok(uncovered.iter().map(|one| (text(one, "act"), text(one, "object"))).collect())
    }
}

#[test]
fn what_was_learned_lets_the_same_work_through_and_nothing_else() -> anyhow::Result<()> {
    let _alone = alone();
    let lab = Lab { ground: Ground::new()?, known: TcpCanary::bind("127.0.0.1:0")? };
    let stranger = TcpCanary::bind("127.0.0.2:0")?;
    let script = work(home()?.path(), lab.known.address())?;
    // Programs do not do quite the same each time: twice is little enough to learn from.
    for day in ["monday.jsonl", "tuesday.jsonl", "wednesday.jsonl"] {
        lab.record(day, home()?.path(), &format!("{script}{END}"))?;
    }
    let said = lab.learn(&["monday.jsonl", "tuesday.jsonl"], "learned.yaml")?;
    ensure!(said.starts_with("Wrote "), "{said}");
    let beyond = lab.beyond("wednesday.jsonl", "learned.yaml")?;
    ensure!(beyond.is_empty(), "{beyond:?}");

    let last = home()?;
    let planted = last.path().join(".aws/credentials");
    fs::create_dir(last.path().join(".aws"))?;
    fs::write(&planted, SECRET)?;
    let (address, port) = (stranger.address().ip(), stranger.address().port());
    let astray =
        format!("cat {}\nbash -c 'exec 3<>/dev/tcp/{address}/{port}'\n", planted.display());
    lab.record("thursday.jsonl", last.path(), &format!("{script}{astray}{END}"))?;
    same("connections", stranger.wait_for(1)?, 1)?;
    let beyond = lab.beyond("thursday.jsonl", "learned.yaml")?;
    let wanted = [
        ("connect".to_owned(), stranger.address().to_string()),
        ("read".to_owned(), planted.display().to_string()),
    ];
    ensure!(beyond == wanted, "{beyond:?}");

    // From a recording that shows it, the credential is not learned either.
    let said = lab.learn(&["thursday.jsonl"], "again.yaml")?;
    ensure!(said.contains("a secret: not added"), "{said}");
    let beyond = lab.beyond("thursday.jsonl", "again.yaml")?;
    ensure!(beyond == wanted[1..], "{beyond:?}");
    Ok(())
}
