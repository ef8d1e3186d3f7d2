//! Files made by hand, each read by the real program with 512 MiB of address space and 10 s of a processor
//! (60 s as it is built for tests).
//!
//! What is too much is refused in a sentence: no abort, no signal, no endless report.

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::symlink, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::process::{Resource, Rlimit, setrlimit};

/// Address space of the program, in bytes.
const MEMORY: u64 = 512 << 20;
/// Time of a processor, in seconds. The program as it is built for tests takes ten times as long.
const SECONDS: u64 = if cfg!(debug_assertions) { 60 } else { 10 };
/// Files of 100,000 problems each, for the same reason fewer.
const FLOOD: usize = if cfg!(debug_assertions) { 2 } else { 10 };
/// Bytes that a report may have.
const REPORT: usize = 1 << 20;
/// What a rule file may have.
const FILE: usize = 1 << 20;

/// A directory for rule files that is gone when the test is.
struct Ground(PathBuf);

impl Ground {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("driftwatch-hostile-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("nobody else has made it");
        Self(path)
    }

    fn put(&self, name: &str, text: &[u8]) {
        fs::write(self.0.join(name), text).expect("there is room");
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("it was made here");
    }
}

/// Runs `driftwatch COMMAND FOLDER` within the limits.
fn run(command: &str, folder: &Path) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_driftwatch"));
    let limits = || {
        let limit = |most| Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(Resource::As, limit(MEMORY))?;
        setrlimit(Resource::Cpu, limit(SECONDS))?;
        Ok(())
    };
    // SAFETY: two system calls, nothing is allocated and no lock is taken.
    unsafe { program.arg(command).arg(folder).pre_exec(limits) };
    program.output().expect("it was built with this test")
}

/// What the program says of the files in `ground`, which it must end with `code`.
fn said(what: &str, command: &str, ground: &Ground, code: i32) -> String {
    let output = run(command, &ground.0);
    let said = [output.stderr, output.stdout].concat();
    let text = String::from_utf8(said).expect("reports are text");
    let shown: String = text.chars().take(2000).collect();
    assert_eq!(output.status.code(), Some(code), "{what}: {:?}\n{shown}", output.status);
    assert!(text.len() <= REPORT, "{what}: a report of {} bytes\n{shown}", text.len());
    let harmful = text
        .chars()
        .find(|&c| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c));
    assert_eq!(harmful, None, "{what}: in the report\n{shown}");
    text
}

/// A file of this text is refused with `sentence` in the report.
fn is_refused(what: &str, text: &[u8], sentence: &str) {
    let ground = Ground::new();
    ground.put("a.yaml", text);
    let said = said(what, "check", &ground, 1);
    let shown: String = said.chars().take(2000).collect();
    assert!(said.contains(sentence), "{what}: not `{sentence}` but\n{shown}");
}

/// A file of one rule over these items, and what stands behind it.
fn rule(act: &str, items: &[String], behind: &str) -> Vec<u8> {
    let items: String = items.iter().map(|item| format!("        - \"{item}\"\n")).collect();
    let text = format!(
        "version: 1\nagents:\n  bot:\n    any: [{{ exe: /bin/bot }}]\nrules:\n  - id: r\n    title: t\n    \
         agents: [bot]\n    {act}:\n      never:\n{items}    action: kill\n{behind}"
    );
    text.into_bytes()
}

#[test]
fn files_of_100_mib_are_refused() {
    let mib = |text: &[u8]| text.repeat((100 << 20) / text.len());
    for (what, text) in [
        ("spaces", mib(b" ")),
        ("nothing", mib(b"\0")),
        ("one key", [b"version: 1\n".to_vec(), mib(b"a"), b": 1\n".to_vec()].concat()),
        (
            "one list",
            [b"version: 1\nlists:\n  a: [".to_vec(), mib(b"/a, "), b"/b]\n".to_vec()].concat(),
        ),
    ] {
        is_refused(what, &text, "larger than 1 MiB");
    }
}

#[test]
fn a_file_without_end_is_refused() {
    let ground = Ground::new();
    symlink("/dev/zero", ground.0.join("a.yaml")).expect("linked");
    assert!(said("no end", "check", &ground, 1).contains("larger than 1 MiB"));
}

#[test]
fn files_of_1_mib_are_answered() {
    let fill = |head: &str, body: &str, foot: &str| {
        let room = (FILE - head.len() - foot.len()) / body.len();
        format!("{head}{}{foot}", body.repeat(room)).into_bytes()
    };
    is_refused("spaces", &fill("", " ", ""), "the file is empty");
    is_refused("lines", &fill("", "\n", ""), "the file is empty");
    is_refused("remarks", &fill("", "#\n", ""), "the file is empty");
    is_refused("NULs", &fill("", "\0", ""), "error: ");
    is_refused("one key", &fill("version: 1\n", "a", ": 1\n"), "error: ");
    is_refused("one list", &fill("version: 1\nlists:\n  a: [", "/a, ", "/b]\n"), "error: ");
    is_refused(
        "one item",
        &fill("version: 1\nlists:\n  a: [\"/", "a", "\"]\n"),
        "longer than 4095 bytes",
    );
    is_refused("one text", &fill("version: 1\nmode: ", "a", "\n"), "unknown mode");
    is_refused("one line", &fill("version: 1\nrules: [", "{}, ", "{}]\n"), "error: ");
    is_refused("keys", &fill("version: 1\n", "? a\n", ""), "error: ");
    is_refused("dashes", &fill("", "- ", ""), "error: ");
    is_refused("questions", &fill("", "? ", ""), "error: ");
    is_refused("quotes", &fill("version: \"", "\\\"", ""), "error: ");
    is_refused("anchors", &fill("", "&a ", ""), "error: ");
    is_refused("tags", &fill("", "!a ", ""), "error: ");
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("{? ", "}"), ("- ", ""), ("[{a: ", "}]")] {
        let deep = format!("{}{}", open.repeat(100_000), close.repeat(100_000));
        is_refused(open, deep.as_bytes(), "error: ");
        is_refused(open, open.repeat(100_000).as_bytes(), "error: ");
    }
    let indented: String = (0..1400).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    is_refused("indented", indented.as_bytes(), "nests too deeply");
}

#[test]
fn aliases_do_not_multiply() {
    let mut bomb =
        String::from("version: 1\nlists:\n  a0: &a0 [/x, /x, /x, /x, /x, /x, /x, /x, /x, /x]\n");
    for depth in 1..20 {
        let mentions = vec![format!("*a{}", depth - 1); 10].join(", ");
        bomb += &format!("  a{depth}: &a{depth} [{mentions}]\n");
    }
    is_refused("lists", bomb.as_bytes(), "error: ");
    let long = format!("version: 1\nmode: &a \"{}\"\nlists:\n", "x".repeat(500_000));
    let many: String = (0..20_000).map(|number| format!("  l{number}: [*a]\n")).collect();
    is_refused("texts", format!("{long}{many}").as_bytes(), "error: ");
}

#[test]
fn a_flood_of_problems_is_counted() {
    let ground = Ground::new();
    for file in 0..FLOOD {
        let keys: String = (0..100_000).map(|key| format!("k{key}:\n")).collect();
        ground.put(&format!("{file}.yaml"), format!("version: 1\n{keys}").as_bytes());
    }
    let said = said("a flood", "check", &ground, 1);
    let hidden = format!("{} more are not shown", FLOOD * 100_000 - 100);
    assert!(said.contains(&hidden), "not {hidden}");
}

#[test]
fn ten_thousand_files_are_one_set() {
    let (good, bad) = (Ground::new(), Ground::new());
    for file in 0..10_000 {
        let name = format!("{file:05}.yaml");
        good.put(&name, format!("version: 1\nlists:\n  l{file}: [/a, /b]\n").as_bytes());
        bad.put(&name, b"version: 1\nmodus: monitor\n");
    }
    assert!(said("good", "check", &good, 0).contains("10000 files"));
    assert!(said("bad", "check", &bad, 1).contains("9900 more are not shown"));
}

#[test]
fn odd_bytes_are_shown_as_text() {
    is_refused("not UTF-8", b"version: 1\nmode: \xff\xfe\n", "not UTF-8");
    is_refused("NUL", b"version: 1\nmode: \"a\0b\"\n", "error: ");
    is_refused("BOM inside", "version: 1\nmode: \u{feff}monitor\n".as_bytes(), "error: ");
    is_refused(
        "direction",
        "version: 1\nmode: \u{202e}rotinom\u{2066}\n".as_bytes(),
        "unknown mode",
    );
    is_refused("key", "version: 1\n\u{202e}edom: monitor\n".as_bytes(), "unknown key");
    is_refused("remark", "version: 1 # \u{202e}\u{1b}[2J\nmodus: x\n".as_bytes(), "error: ");
    is_refused("terminal", b"version: 1\nmode: \"\\e[2J\\x9b2J\"\n", "control character");
    is_refused("escapes", b"version: 1\n\"\\e]0;x\\a\": 1\n", "unknown key");
    let ground = Ground::new();
    ground.put("a.yaml", "\u{feff}version: 1\r\nmode: monitor\r\n".as_bytes());
    ground.put("\u{202e}b\u{1b}[2J.yaml", b"version: 1\n");
    assert!(said("BOM and CRLF", "check", &ground, 0).contains("2 files"));
    ground.put("\u{202e}c\u{1b}[2J.yaml", b"version: 2\n");
    assert!(said("a name", "check", &ground, 1).contains("unknown version"));
}

#[test]
fn braces_are_counted() {
    let choice = "{a,b}".repeat(10);
    let items: Vec<String> = (0..2000).map(|number| format!("/{number}/{choice}")).collect();
    is_refused("a million", &rule("read", &items, ""), "more than 1000000 items");
    is_refused(
        "too many",
        &rule("read", &[format!("/{}", "{a,b}".repeat(800))], ""),
        "more than 1024",
    );
    let deep = format!("/{}x{}", "{a,".repeat(1000), "}".repeat(1000));
    is_refused("deep", &rule("read", &[deep], ""), "within each other");
    // Each stands for 1,024 paths of 4 KiB.
    let long: Vec<String> =
        (0..200).map(|number| format!("/{number}{}*{choice}", "a*".repeat(1900))).collect();
    is_refused("long", &rule("read", &long, ""), "error: ");
}

#[test]
fn stars_do_not_explode() {
    let path = format!("/{}", "a".repeat(4000));
    let test = |act: &str, object: &str| {
        format!("tests:\n  - name: t\n    agent: bot\n    {act}: {object}\n    expect: allow\n")
    };
    for (what, item) in [
        ("stars", format!("/{}b", "*a".repeat(2000))),
        ("questions", format!("/{}b", "*?".repeat(2000))),
        ("sets", format!("/{}b", "*[ab]".repeat(800))),
        ("depths", format!("{}b", "**/".repeat(1364))),
        ("depths and stars", format!("{}b", "**/*a*/".repeat(584))),
    ] {
        let ground = Ground::new();
        ground.put("a.yaml", &rule("read", std::slice::from_ref(&item), &test("read", &path)));
        assert!(said(what, "test", &ground, 0).contains("1 passed"), "{what}");
        let output = run("check", &ground.0);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{what}: {:?}", output.status);
    }
    let ground = Ground::new();
    let args = format!("args: \"{}b\"", "*a".repeat(2000));
    let text =
        String::from_utf8(rule("exec", &["X".to_owned()], &test("exec", "/bin/x"))).expect("text");
    let text = text.replace("- \"X\"", &format!("- {{ path: /bin/x, {args} }}"));
    let text = text + &format!("    args: [\"{}\"]\n", "a".repeat(100_000));
    ground.put("a.yaml", text.as_bytes());
    assert!(said("args", "test", &ground, 0).contains("1 passed"));
    // As many as fit into the plan and beyond.
    let many: Vec<String> =
        (0..2000).map(|number| format!("/*a*{number}*/**/x{number}*")).collect();
    is_refused("many", &rule("read", &many, ""), "too many");
}

#[test]
fn sets_are_bounded_as_a_whole() {
    let ground = Ground::new();
    for file in 0..20 {
        let text = format!("version: 1\n{}", "# remark\n".repeat(116_000));
        ground.put(&format!("{file:02}.yaml"), text.as_bytes());
    }
    assert!(said("twenty", "check", &ground, 1).contains("larger than 16 MiB together"));
}

#[test]
fn signs_do_not_multiply() {
    let agent = |signs: &str| format!("version: 1\nagents:\n  bot:\n    {signs}\n").into_bytes();
    let users: String = (0..100_000).map(|user| format!("u{user}, ")).collect();
    is_refused(
        "users",
        &agent(&format!("any: [{{ user: [{users}root] }}]")),
        "more than 8192 signs",
    );
    let choice = "{a,b}".repeat(10);
    let long = |sign: &str| -> String {
        (0..800)
            .map(|line| format!("{{ {sign}: \"/{line}{}{choice}\" }}, ", "a*".repeat(400)))
            .collect()
    };
    is_refused("braces", &agent(&format!("any: [{}]", long("exe"))), "more than 8192 signs");
    let lines = "{ exe: /bin/bot }, ".repeat(8000);
    is_refused("lines", &agent(&format!("all: [{lines}]")), "too many lines");
    let agents: String =
        (0..1000).map(|bot| format!("  b{bot}: {{ any: [{}] }}\n", &lines[..190])).collect();
    is_refused(
        "agents",
        format!("version: 1\nagents:\n{agents}").as_bytes(),
        "more than 8192 signs",
    );
}

#[test]
fn grants_do_not_multiply() {
    let agents: String =
        (0..1000).map(|bot| format!("  b{bot}: {{ any: [{{ exe: /b{bot} }}] }}\n")).collect();
    let group: String = (0..1000).map(|bot| format!("{{ agent: b{bot} }}, ")).collect();
    let grants: String = (0..4000)
        .map(|grant| {
            format!(
                "  - {{ id: g{grant}, rule: r, agents: [all], read: [/x], until: 2000-01-01, reason: r, by: b }}\n"
            )
        })
        .collect();
    let text = format!(
        "version: 1\nagents:\n{agents}  all: {{ any: [{group}] }}\nrules:\n  - {{ id: r, title: t, agents: [all], \
         read: {{ never: [/x] }}, action: kill }}\ngrants:\n{grants}"
    );
    is_refused("grants", text.as_bytes(), "error: ");
}

/// A report goes to a terminal that may be gone.
#[test]
fn nobody_has_to_listen() {
    let ground = Ground::new();
    ground.put("a.yaml", b"version: 2\n");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut program = Command::new(env!("CARGO_BIN_EXE_driftwatch"));
    let status = program.arg("check").arg(&ground.0).stderr(writer).status().expect("it runs");
    assert_eq!(status.code(), Some(1), "{status:?}");
    std::io::stderr().flush().expect("ours is there");
}
