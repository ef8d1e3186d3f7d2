//! Script: which file an interpreter was started on. Whoever wants to know asks here: the plan's mirror
//! ([`super::recognise`]), `init`, and the search for agents that ran before the daemon. The kernel half does the
//! same with the bytes of a program's start.
//!
//! The name is the one that was given, from the root on, with `.` and `..` taken out of it: no link is followed.
//! Only programs that are known to be interpreters have a script, for the first word behind another program
//! (`cat cli.js`) is not what it runs.

/// Programs that run the file that is their first argument which is no option, by the last component of their path.
/// Not deno, whose first word is a command.
pub const INTERPRETERS: [&str; 36] = [
    "ash",
    "bash",
    "bun",
    "dash",
    "fish",
    "ksh",
    "lua",
    "node",
    "nodejs",
    "perl",
    "php",
    "pypy3",
    "python",
    "python2",
    "python2.7",
    "python3",
    "python3.6",
    "python3.7",
    "python3.8",
    "python3.9",
    "python3.10",
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.14",
    "python3.15",
    "python3.16",
    "python3.17",
    "python3.18",
    "python3.19",
    "python3.20",
    "rbash",
    "ruby",
    "sh",
    "tsx",
    "zsh",
];

/// Whether the program at a path is an interpreter.
#[must_use]
pub fn is_interpreter(exe: &[u8]) -> bool {
    let name = exe.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    INTERPRETERS.iter().any(|known| known.as_bytes() == name)
}

/// The file that a program was started on, from the root on. `argv` has its name first.
#[must_use]
pub fn script(exe: &[u8], argv: &[Vec<u8>], directory: Option<&[u8]>) -> Option<Vec<u8>> {
    let name = is_interpreter(exe).then(|| named(argv)).flatten()?;
    from_root(name, directory)
}

/// The first argument that is no option, unless an option before it says that there is no file: a lone `-`, or
/// one of single letters with one of `c`, `e`, `m` and `p` in it (`-c`, `-lc`, `-e`, `-m`).
#[must_use]
pub fn named(argv: &[Vec<u8>]) -> Option<&[u8]> {
    for word in argv.get(1..)? {
        match word.strip_prefix(b"-") {
            None => return Some(word).filter(|word| !word.is_empty()).map(Vec::as_slice),
            Some([b'-', ..]) => {}
            Some(letters)
                if letters.is_empty() || letters.iter().any(|byte| b"cemp".contains(byte)) =>
            {
                return None;
            }
            Some(_) => {}
        }
    }
    None
}

/// A name from the root on; a relative one was given in `directory`.
#[must_use]
pub fn from_root(name: &[u8], directory: Option<&[u8]>) -> Option<Vec<u8>> {
    let directory = if name.starts_with(b"/") { b"" } else { directory? };
    let mut components: Vec<&[u8]> = Vec::new();
    for component in [directory, name].iter().flat_map(|path| path.split(|byte| *byte == b'/')) {
        match component {
            b"" | b"." => {}
            b".." => drop(components.pop()),
            component => components.push(component),
        }
    }
    let path = components.iter().flat_map(|component| [b"/", *component].concat());
    Some(path.collect::<Vec<u8>>()).filter(|path| !path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(text: &str) -> Vec<Vec<u8>> {
        text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn an_interpreter_runs_its_first_word_that_is_no_option() {
        for (exe, words, found) in [
            ("/usr/bin/node", "node /opt/cli.js -v", Some("/opt/cli.js")),
            ("/usr/bin/node", "node --max-old-space-size=8192 /opt/cli.js", Some("/opt/cli.js")),
            ("/x/python3.12", "python3 -u bin/aider", Some("/home/ana/bin/aider")),
            ("/usr/bin/dash", "sh -- ./run", Some("/home/ana/run")),
            ("/usr/bin/dash", "sh ../bo//./run", Some("/home/bo/run")),
            ("/usr/bin/dash", "sh ../../../../run", Some("/run")),
            ("/usr/bin/python3", "python3 -m aider", None),
            ("/usr/bin/bash", "bash -lc /opt/cli.js", None),
            ("/usr/bin/node", "node -e /opt/cli.js", None),
            ("/usr/bin/node", "node - /opt/cli.js", None),
            ("/usr/bin/node", "node", None),
            ("/usr/bin/node", "node -v", None),
            ("/usr/bin/cat", "cat /opt/cli.js", None),
            ("/usr/bin/nodes", "node /opt/cli.js", None),
            ("/usr/bin/dash", "sh /", None),
        ] {
            let found = found.map(|path| path.as_bytes().to_vec());
            assert_eq!(script(exe.as_bytes(), &argv(words), Some(b"/home/ana")), found, "{words}");
        }
        assert_eq!(
            script(b"/bin/sh", &argv("sh run"), None),
            None,
            "relative to what is not known"
        );
        assert_eq!(named(&[b"sh".to_vec(), Vec::new(), b"x".to_vec()]), None);
        assert_eq!(named(&[]), None);
    }
}
