//! `driftwatch fmt`: rule files in the one style.
//!
//! Reads and writes; what a file becomes is for [`crate::rules::style`] to say. A file is replaced in one
//! step or not at all, and keeps its owner and mode.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use rustix::fs::{Gid, Uid};
use similar::TextDiff;

use super::{PROBLEM, RULES, fail, say};
use crate::{
    daemon::{RulesError, count},
    host,
    rules::{Problems, SourceFile, style},
};

/// The words after `fmt`.
#[derive(Debug, clap::Args)]
pub(super) struct Fmt {
    /// Rule files, or directories whose *.yaml files are
    #[arg(value_name = "PATH", default_value = RULES)]
    paths: Vec<PathBuf>,
    /// Change nothing; show what would be changed, and end with 1 if anything would
    #[arg(long)]
    check: bool,
}

/// Why a file is as it was.
#[derive(Debug, thiserror::Error)]
enum Kept {
    #[error("{0}")]
    Problems(Problems),
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Reading(#[from] host::FileError),
}

impl Fmt {
    /// Rewrites every file that is not in the one style, or shows what it would be.
    pub(super) fn run(&self) -> ExitCode {
        let paths = match host::rule_paths(&self.paths) {
            Ok(paths) if paths.is_empty() => {
                return fail(&RulesError::NoFiles(self.paths.clone()), PROBLEM);
            }
            Ok(paths) => paths,
            Err(error) => return fail(&error, PROBLEM),
        };
        let (mut changed, mut kept) = (0, 0);
        for path in &paths {
            match self.file(path) {
                Ok(is_changed) => changed += usize::from(is_changed),
                Err(error) => {
                    kept += 1;
                    tell(&error);
                }
            }
        }
        let refused = if kept > 0 { format!(", {kept} left alone") } else { String::new() };
        let done = if self.check { "would change" } else { "changed" };
        let printed = say(&format!("{}: {changed} {done}{refused}\n", count(paths.len(), "file")));
        let is_good = kept == 0 && (changed == 0 || !self.check);
        if is_good { printed } else { ExitCode::from(PROBLEM) }
    }

    /// Whether the file is not in the one style; if so, shows or writes it.
    fn file(&self, path: &Path) -> Result<bool, Kept> {
        let files = host::rule_files(&[path.to_owned()])?;
        let Some(file) = files.first() else { return Ok(false) };
        let formatted = style::format(file).map_err(Kept::Problems)?;
        if formatted.as_bytes() == file.text {
            return Ok(false);
        }
        if self.check {
            say(&diff(file, &formatted));
        } else {
            replace(path, formatted.as_bytes())
                .map_err(|source| Kept::Io { path: path.to_owned(), source })?;
            say(&format!("changed {}\n", file.name));
        }
        Ok(true)
    }
}

fn tell(error: &Kept) {
    match error {
        Kept::Problems(problems) => {
            let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            eprintln!("{}\n", problems.render_with(colour, "It was left alone.").trim_end());
        }
        Kept::Io { .. } => eprintln!("driftwatch: {error}; the file was left alone"),
        Kept::Reading(error) => eprintln!("driftwatch: {error}"),
    }
}

/// What would be changed, as patch(1) reads it.
fn diff(file: &SourceFile, formatted: &str) -> String {
    let text = String::from_utf8_lossy(&file.text);
    // Beyond that the diff is no longer the shortest one.
    let diff = TextDiff::configure().timeout(Duration::from_secs(1)).diff_lines(&*text, formatted);
    diff.unified_diff().header(&file.name, &file.name).to_string()
}

/// Puts `text` in the place of the file at `path` in one step.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    // A link stays a link: what it leads to is replaced.
    let path = fs::canonicalize(path)?;
    let was = fs::metadata(&path)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = directory.join(format!(".{name}.driftwatch-fmt.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let done = fill(&mut file, text, &was).and_then(|()| fs::rename(&beside, &path));
    if done.is_err() {
        // The first error is the one to be told.
        let _gone = fs::remove_file(&beside);
    }
    done?;
    File::open(directory)?.sync_all()
}

/// Writes a file that has the owner and the mode of another.
fn fill(file: &mut File, text: &[u8], was: &fs::Metadata) -> io::Result<()> {
    file.write_all(text)?;
    let is = file.metadata()?;
    if (is.uid(), is.gid()) != (was.uid(), was.gid()) {
        let (owner, group) = (Uid::from_raw(was.uid()), Gid::from_raw(was.gid()));
        rustix::fs::fchown(&*file, Some(owner), Some(group))?;
    }
    file.set_permissions(fs::Permissions::from_mode(was.mode() & 0o7777))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory that is gone when the test is.
    struct Ground(PathBuf);

    impl Ground {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("driftwatch-{name}-{}", std::process::id()));
            fs::create_dir(&path).expect("nobody else has made it");
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).expect("it is there");
            let name = |entry: io::Result<fs::DirEntry>| {
                entry.expect("readable").file_name().to_string_lossy().into_owned()
            };
            let mut names: Vec<String> = entries.map(name).collect();
            names.sort();
            names
        }
    }

    impl Drop for Ground {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("it was made here");
        }
    }

    const CROOKED: &str = "mode: 'monitor'   # for now\nversion: 1\n";
    const STRAIGHT: &str = "version: 1\nmode: monitor     # for now\n";

    fn fmt(path: &Path, check: bool) -> ExitCode {
        Fmt { paths: vec![path.to_owned()], check }.run()
    }

    #[test]
    fn a_file_keeps_its_mode_and_a_link_stays_one() {
        let ground = Ground::new("fmt-mode");
        let (file, link) = (ground.0.join("rules.yaml"), ground.0.join("link.yaml"));
        fs::write(&file, CROOKED).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("it is ours");
        symlink(&file, &link).expect("linked");
        assert_eq!(fmt(&link, false), ExitCode::SUCCESS);
        assert_eq!(fs::read_to_string(&file).expect("readable"), STRAIGHT);
        assert_eq!(fs::metadata(&file).expect("it is there").mode() & 0o7777, 0o640);
        assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
        assert_eq!(ground.names(), ["link.yaml", "rules.yaml"]);
    }

    #[test]
    fn check_changes_nothing() {
        let ground = Ground::new("fmt-check");
        let file = ground.0.join("rules.yaml");
        fs::write(&file, CROOKED).expect("written");
        assert_eq!(fmt(&file, true), ExitCode::FAILURE);
        assert_eq!(fs::read_to_string(&file).expect("readable"), CROOKED);
        fs::write(&file, STRAIGHT).expect("written");
        assert_eq!(fmt(&file, true), ExitCode::SUCCESS);
    }

    #[test]
    fn a_file_that_is_refused_is_left_alone_and_the_others_are_not() {
        let ground = Ground::new("fmt-refused");
        let (bad, good) = (ground.0.join("a.yaml"), ground.0.join("b.yaml"));
        let broken = "version: 1\nmodus: monitor\n";
        fs::write(&bad, broken).expect("written");
        fs::write(&good, CROOKED).expect("written");
        assert_eq!(fmt(&ground.0, false), ExitCode::FAILURE);
        assert_eq!(fs::read_to_string(&bad).expect("readable"), broken);
        assert_eq!(fs::read_to_string(&good).expect("readable"), STRAIGHT);
        assert_eq!(ground.names(), ["a.yaml", "b.yaml"]);
    }
}
