//! An alert as a person reads it on a terminal.

use std::fmt::Write as _;

use monitor_common::Verdict;

use super::{Alert, Object, address_text, protocol_name, redact};
use crate::{agent::Process, event::shown};

/// Colours of a terminal; never alone, the words say the same.
const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// A few lines, with their ends.
#[must_use]
pub fn lines(alert: &Alert, colour: bool) -> String {
    let paint = |code: &'static str| if colour { code } else { "" };
    let strong = if alert.done >= Verdict::Deny { RED } else { YELLOW };
    let mut text = String::new();
    let id = alert.rule.as_ref().map_or("no rule", |rule| rule.id.as_str());
    let mut put =
        |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("a String takes all");
    put(format_args!(
        "{}{}{} {} {}  {}{}{}",
        paint(strong),
        outcome(alert),
        paint(RESET),
        alert.act.name(),
        object(&alert.object),
        paint(DIM),
        alert.time.strftime("%H:%M:%S%.3fZ"),
        paint(RESET),
    ));
    put(format_args!("  agent    {} (session {})", alert.agent, alert.session));
    put(format_args!("  process  {}", process(alert)));
    put(format_args!("  line     {}", family(alert)));
    if let Some(rule) = &alert.rule {
        put(format_args!("  rule     {id}, {}  {}:{}", rule.severity, rule.file, rule.line));
        put(format_args!("           {}", rule.title));
        if let Some(matched) = &rule.matched {
            put(format_args!("  matches  {matched}"));
        }
        if let Some(help) = &rule.help {
            put(format_args!("  instead  {help}"));
        }
    }
    if let Some(because) = alert.because {
        put(format_args!("  asked    {}: {because}", alert.asked.name()));
    }
    if alert.unknown {
        put(format_args!("  unknown  the object could not be told, so it counts as forbidden"));
    }
    text
}

fn outcome(alert: &Alert) -> &'static str {
    match alert.done {
        Verdict::Kill => "KILLED",
        Verdict::Deny => "DENIED",
        Verdict::Ask => "HELD",
        Verdict::Alert if alert.asked > Verdict::Alert => "WOULD HAVE STOPPED",
        Verdict::Alert | Verdict::Allow => "SEEN",
    }
}

fn object(object: &Object) -> String {
    match object {
        Object::File { path: Some(path), unlinked, way, .. } => {
            let gone = if *unlinked { " (deleted)" } else { "" };
            format!("{}{}{gone}", shown(path), in_brackets(*way))
        }
        Object::File { path: None, inode: (device, inode), .. } => {
            format!("an unknown file (device {device}, inode {inode})")
        }
        Object::Privilege { privilege, way } => {
            format!("{}{}", privilege.name(), in_brackets(*way))
        }
        Object::Peer { address, port, protocol, .. } => {
            let address = address_text(*address);
            let address = if address.contains(':') { format!("[{address}]") } else { address };
            format!("{address}:{port}/{}", protocol_name(*protocol))
        }
    }
}

fn in_brackets(way: Option<&str>) -> String {
    way.map_or_else(String::new, |way| format!(" ({way})"))
}

fn process(alert: &Alert) -> String {
    let pid = alert.process.pid;
    let Some((_, process)) = alert.ancestry.first() else { return format!("pid {pid}") };
    let user = alert.user.clone().unwrap_or_else(|| process.uid.to_string());
    let mut text = format!("{} (pid {pid}, user {user})", command(process));
    if let Some(cwd) = &process.image.cwd {
        write!(text, " in {}", shown(cwd)).expect("a String takes all");
    }
    text
}

fn command(process: &Process) -> String {
    if process.image.argv.is_empty() {
        return executable(process);
    }
    let words = redact::command_line(&process.image);
    let cut = if process.image.argv_cut { " …" } else { "" };
    format!("{}{cut}", words.join(" "))
}

fn executable(process: &Process) -> String {
    process
        .image
        .exe
        .as_ref()
        .map_or_else(|| "an unknown program".to_owned(), |exe| shown(exe).to_string())
}

fn family(alert: &Alert) -> String {
    let names: Vec<String> =
        alert.ancestry.iter().map(|(_, process)| executable(process)).collect();
    let end = if alert.ancestry_complete { "" } else { " ← …" };
    format!("{}{end}", names.join(" ← "))
}
