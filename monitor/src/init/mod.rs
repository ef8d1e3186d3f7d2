//! Init: a rules directory to begin with, for the agents that are on this host.
//!
//! Everything it writes is in monitor mode: it refuses nothing before somebody says so. What is written is
//! loaded before it is put in its place; a directory that has rule files already is left alone.

mod found;

pub use self::found::{Found, find};

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    host::Host,
    rules::{
        Problems, SourceFile, load_with,
        model::{Moment, RuleSet},
        shipped,
    },
};

/// The packs that are written, and the names that they get.
const PACKS: [(&str, &str); 4] = [
    ("20-coding-agents.yaml", include_str!("../../../rules/packs/coding-agents.yaml")),
    ("30-secrets.yaml", include_str!("../../../rules/packs/secrets.yaml")),
    ("40-escape.yaml", include_str!("../../../rules/packs/escape.yaml")),
    ("50-tamper.yaml", include_str!("../../../rules/packs/tamper.yaml")),
];
/// The pack for hosts that run agents as services.
const PRODUCTION: (&str, &str) =
    ("60-production-workers.yaml", include_str!("../../../rules/packs/production-workers.yaml"));

/// Why there is no directory.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Somebody has begun already.
    #[error(
        "{} has rule files already, such as {}: name another directory, or use `driftwatch check` on this one",
        .directory.display(), .file
    )]
    Taken {
        /// The directory.
        directory: PathBuf,
        /// One of the files.
        file: String,
    },
    /// The directory cannot be written.
    #[error("{} cannot be written: {source}; name a directory that you may write", .path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What would be written is not in order.
    #[error("this is a fault of Driftwatch: the rules that come with it do not load\n{}", .0.render(false))]
    Problems(Problems),
}

/// The files of a directory to begin with.
#[must_use]
pub fn files(found: &[Found], production: bool) -> Vec<SourceFile> {
    let mut files = vec![SourceFile { name: "10-own.yaml".to_owned(), text: own(found).into() }];
    let packs = PACKS.into_iter().chain(production.then_some(PRODUCTION));
    files.extend(packs.map(|(name, text)| SourceFile { name: name.to_owned(), text: text.into() }));
    files
}

/// The file for what is this host's own.
fn own(found: &[Found]) -> String {
    let mut text = "# What is this host's own: agents, lists and rules of yours. The other files are packs that come\n\
                    # with Driftwatch; a name that you define here takes the place of theirs.\n#\n"
        .to_owned();
    if found.is_empty() {
        text += "# No agent was found when this was written. `driftwatch run --agent NAME -- COMMAND` starts one.\n";
    } else {
        text += "# Agents that were found when this was written:\n";
    }
    for Found { agent, path, .. } in found {
        text += &format!("#   {agent}: {}\n", crate::event::shown(path));
    }
    text + "#\n# Next: define `hosts/registries` as your package mirror, and `hosts/models` as the providers you use:\n\
            #\n# lists:\n#   hosts/registries: [packages.example.internal]\nversion: 1\nmode: monitor\n"
}

/// Loads what would be written, together with what comes with the program.
///
/// # Errors
///
/// Where it does not load.
pub fn load(files: &[SourceFile], host: &Host) -> Result<RuleSet, InitError> {
    load_with(&shipped::files(), files, &host.users, Moment::now()).map_err(InitError::Problems)
}

/// Writes the files into a directory, which is made where there is none.
///
/// # Errors
///
/// Where it has rule files, or cannot be written.
pub fn write(directory: &Path, files: &[SourceFile]) -> Result<(), InitError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| InitError::Write { path, source }
    };
    fs::create_dir_all(directory).map_err(failed(directory))?;
    for entry in fs::read_dir(directory).map_err(failed(directory))? {
        let name = entry.map_err(failed(directory))?.file_name();
        if Path::new(&name).extension().is_some_and(|extension| extension == "yaml") {
            let file = name.to_string_lossy().into_owned();
            return Err(InitError::Taken { directory: directory.to_owned(), file });
        }
    }
    for file in files {
        let path = directory.join(&file.name);
        fs::write(&path, &file.text).map_err(failed(&path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{examples, model::Mode};

    #[test]
    fn what_is_written_loads_refuses_nothing_and_its_tests_pass() {
        let found = [Found { agent: "codex".to_owned(), path: b"/opt/codex".to_vec(), running: 1 }];
        for (found, production) in [(&found[..], true), (&[], false)] {
            let files = files(found, production);
            let rules = load(&files, &Host::read()).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(rules.files, 5 + usize::from(production));
            assert!(rules.rules.len() > 40);
            assert!(
                rules.rules.iter().all(|rule| rule.mode == Mode::Monitor),
                "nothing is refused"
            );
            assert!(examples::run(&rules, Moment::now()).iter().all(|outcome| outcome.passed));
        }
    }

    #[test]
    fn a_directory_with_rules_is_left_alone() {
        let directory =
            std::env::temp_dir().join(format!("driftwatch-init-{}", std::process::id()));
        let files = files(&[], false);
        write(&directory, &files).expect("a new directory");
        fs::write(directory.join("10-own.yaml"), "mine").expect("writable");
        let again = write(&directory, &files).expect_err("taken").to_string();
        let kept = fs::read_to_string(directory.join("10-own.yaml")).expect("still there");
        fs::remove_dir_all(&directory).expect("ours");
        assert!(again.contains("has rule files already"), "{again}");
        assert_eq!(kept, "mine");
    }
}
