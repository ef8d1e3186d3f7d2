//! Items: rule files with as many list items as one likes, of every kind, none of which anything here is in.

use std::fmt::Write as _;

/// Rules that items are spread over.
const RULES: usize = 12;
/// Kinds of items.
const KINDS: usize = 8;

/// A rule file for the agent `a`, who is launched as such: items of all kinds in equal parts, in rules of read and of
/// connect. Eight items have one of each kind.
#[must_use]
pub fn rules(items: usize) -> String {
    let mut lists = vec![Vec::new(); RULES];
    for item in 0..items {
        let number = item / KINDS;
        let (text, is_peer) = match item % KINDS {
            0 => (format!("/srv/a{number}/*/conf.d/**"), false),
            1 => (format!("'**/x{number}/*.y{number}'"), false),
            2 => (format!("/srv/e{number}/secret"), false),
            3 => (format!("/srv/p{number}/**"), false),
            4 => (format!("'**/*.z{number}'"), false),
            5 => (format!("api.h{number}.example:443"), true),
            6 => (format!("'*.w{number}.example'"), true),
            _ => (format!("10.{}.{}.0/24", number / 256, number % 256), true),
        };
        // The last four rules are of connect.
        let rule = if is_peer { 8 + number % 4 } else { number % 8 };
        lists[rule].push(text);
    }
    let mut text = String::from(
        "version: 1\nmode: enforce\nagents: { a: { any: [{ launched-as: a }] } }\nrules:\n",
    );
    for (rule, list) in lists.iter().enumerate().filter(|(_, list)| !list.is_empty()) {
        let act = if rule < 8 { "read" } else { "connect" };
        let _never_fails = write!(
            text,
            "  - id: r{rule}\n    title: t\n    agents: [a]\n    action: kill\n    {act}:\n      never:\n"
        );
        for item in list {
            let _never_fails = writeln!(text, "        - {item}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_items_as_were_asked_for() {
        let text = rules(100);
        assert_eq!(text.lines().filter(|line| line.starts_with("        - ")).count(), 100);
        assert!(crate::half::rules(&text).is_ok());
    }
}
