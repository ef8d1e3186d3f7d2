//! Running other programs: aloud, silently, or to ask them something.
//!
//! Every failure names the program and what it said last. Decides nothing about what to run.

use std::io::ErrorKind;
use std::process::{Command, ExitCode, ExitStatus, Output, Stdio};

use anyhow::{Context as _, Result, bail};

/// Runs `command` on this terminal and waits for it.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    command.status().with_context(|| cannot_run(command))
}

/// Runs `command` on this terminal; anything but success is an error.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("`{}` failed ({})", words(command), describe(status));
    }
    Ok(())
}

/// Runs `command` silently; on failure the error is the one line that says most.
pub(crate) fn silent(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| cannot_run(command))?;
    if !output.status.success() {
        let said = complaint(&output).unwrap_or_else(|| "it said nothing".to_owned());
        bail!("{} failed ({}): {said}", name(command), describe(output.status));
    }
    Ok(())
}

/// What `command` prints, if it can be run and succeeds.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The exit code that passes a child's end on: its own, or 128 plus the signal.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// The command as a person would type it, without its environment.
pub(crate) fn words(command: &Command) -> String {
    let mut words = name(command);
    for argument in command.get_args() {
        words.push(' ');
        words.push_str(&argument.to_string_lossy());
    }
    words
}

/// The program without its directory.
fn name(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    program.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn cannot_run(command: &Command) -> String {
    format!("cannot run `{}`", words(command))
}

fn describe(status: ExitStatus) -> String {
    status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"))
}

/// The first line that is marked as an error, else the last line of all.
fn complaint(output: &Output) -> Option<String> {
    let said = [&output.stderr[..], &output.stdout[..]].map(String::from_utf8_lossy);
    let lines = || said.iter().flat_map(|text| text.lines()).map(str::trim);
    let marked = ["E: ", "error: ", "error[", "fatal: "];
    lines()
        .find(|line| marked.iter().any(|mark| line.starts_with(mark)))
        .or_else(|| said[0].lines().chain(said[1].lines()).map(str::trim).rfind(|l| !l.is_empty()))
        .map(ToOwned::to_owned)
}

/// Whether `program` can be started at all.
pub(crate) fn exists(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    !matches!(command.status(), Err(error) if error.kind() == ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_silent_failure_says_its_most_telling_line() {
        let error = silent(&mut shell("echo noise; echo 'E: no route' >&2; echo more >&2; exit 3"))
            .unwrap_err()
            .to_string();
        assert_eq!(error, "sh failed (exit code 3): E: no route");
        let error = silent(&mut shell("echo first; echo last; exit 1")).unwrap_err().to_string();
        assert!(error.ends_with(": last"), "{error}");
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let error = succeed(&mut Command::new("/nowhere/at-all")).unwrap_err().to_string();
        assert_eq!(error, "cannot run `at-all`");
        assert!(!exists("/nowhere/at-all"));
        assert_eq!(answer(&mut Command::new("/nowhere/at-all")), None);
    }

    #[test]
    fn exit_codes_pass_through() {
        let code = |script| exit_code(status(&mut shell(script)).unwrap());
        assert_eq!(code("exit 7"), ExitCode::from(7));
        assert_eq!(code("kill -TERM $$"), ExitCode::from(143));
    }
}
