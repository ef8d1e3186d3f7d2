//! The section `rules`.

use super::{
    Field, Holds, With,
    acts::{self, ACTS},
    file::MODES,
    samples, sequence,
};

const RULE_ACTS: [&str; 7] =
    ["exec", "read", "write", "connect", "listen", "privilege", "sequence"];

pub(super) fn fields() -> Vec<Field> {
    let mut fields = head();
    for act in ACTS {
        fields.extend(acts::fields(act));
    }
    fields.extend(sequence::fields());
    fields.extend(action());
    fields.extend(words());
    fields.extend(tags());
    fields
}

fn head() -> Vec<Field> {
    vec![
        Field::new(
            "rules",
            Holds::List(1, &Holds::Map),
            "The rules, one thought each: these agents may do this only to that, or never to that. Order never \
             matters: every rule is looked at, and the strongest result wins, kill > deny > ask > alert > \
             allow. What no rule hits is allowed.",
        )
        .one_of(&RULE_ACTS)
        .sample(samples::RULE)
        .see(&["rules.action", "rules.mode"]),
        Field::new(
            "rules.id",
            Holds::Name,
            "The name of the rule in alerts, tests and grants. There is one rule of that id in a set.",
        )
        .required()
        .sample(samples::RULE),
        Field::new("rules.title", Holds::Line, "What an alert says has happened, in a few words.")
            .required()
            .sample(samples::RULE),
        Field::new("rules.agents", Holds::List(1, &Holds::Name), "The agents, or groups, it is about.")
            .required()
            .sample(samples::RULE)
            .see(&["agents"]),
    ]
}

fn action() -> Vec<Field> {
    let asks = With::Word("action", &["ask"]);
    let ask = |key: &str, holds, meaning: &'static str| {
        Field::new(format!("rules.ask.{key}"), holds, meaning).sample(samples::ASK)
    };
    vec![
        Field::new(
            "rules.action",
            Holds::Word(&["alert", "ask", "deny", "kill"]),
            "What a hit leads to. `alert` only tells; `ask` refuses until a person has agreed; `deny` \
             refuses the act; `kill` ends the process.",
        )
        .required()
        .sample(samples::RULE)
        .see(&["rules.ask", "rules.fallback", "mode"]),
        Field::new("rules.ask", Holds::Map, "How a person is asked, and what holds until and after that. What is left out is taken from the \
             configuration of the daemon.")
            .with(asks)
            .sample(samples::ASK)
            .see(&["rules.action", "grants"]),
        ask(
            "hold",
            Holds::Duration,
            "How long the act itself waits for an answer. Where this kernel cannot hold it, it is refused \
             and asked about all the same.",
        ),
        ask("for", Holds::Duration, "How long a yes is good for: it makes a grant of this length."),
        ask("then", Holds::Word(&["deny", "kill", "allow"]), "What is done where nobody answers in time."),
        ask("timeout", Holds::Duration, "How long the question stays open."),
        ask("via", Holds::Name, "The name of the sink that the question goes to."),
        Field::new(
            "rules.fallback",
            Holds::Word(&["alert", "kill"]),
            "What is done instead where the kernel cannot refuse the act.",
        )
        .with(With::Word("action", &["deny", "ask"]))
        .default("alert")
        .sample(samples::RULE)
        .see(&["rules.action"]),
        Field::new("rules.mode", MODES, "Whether this rule does what it asks for, whatever its file says.")
            .default("the file's")
            .sample(samples::RULE)
            .see(&["mode"]),
    ]
}

fn words() -> Vec<Field> {
    vec![
        Field::new(
            "rules.severity",
            Holds::Word(&["info", "low", "medium", "high", "critical"]),
            "How bad a hit is.",
        )
        .default("medium")
        .sample(samples::RULE),
        Field::new("rules.help", Holds::Prose, "What to do instead, for whoever was stopped.")
            .sample(samples::RULE)
            .see(&["rules.runbook"]),
        Field::new("rules.runbook", Holds::Line, "Where the procedure is, for the analyst.")
            .sample(samples::RULE)
            .see(&["rules.help"]),
    ]
}

/// Catalogues: key, name, pattern of ids, such as.
const CATALOGUES: [(&str, &str, &str, &str); 5] = [
    ("attack", "MITRE ATT&CK", r"^T[0-9]{4}(\.[0-9]{3})?$", "T1552 or T1552.001"),
    ("atlas", "MITRE ATLAS", r"^AML\.T[0-9]{4}(\.[0-9]{3})?$", "AML.T0055"),
    ("owasp", "OWASP Top 10 for Agentic Applications", "^ASI(0[1-9]|10)$", "ASI03"),
    ("maestro", "CSA MAESTRO", "^L[1-7]$", "L4"),
    ("nist", "NIST AI RMF", "^(GOVERN|MAP|MEASURE|MANAGE)$", "MANAGE or MEASURE"),
];

fn tags() -> Vec<Field> {
    let tags = "Ids from catalogues, for whoever sorts alerts by them. They change nothing of what the rule \
                does.";
    let mut fields = vec![Field::new("rules.tags", Holds::Map, tags).sample(samples::RULE)];
    for (index, (key, title, _, _)) in CATALOGUES.iter().enumerate() {
        let path = format!("rules.tags.{key}");
        let field = Field::new(path, Holds::List(1, &IDS[index]), format!("Ids of {title}."));
        fields.push(field.sample(samples::RULE));
    }
    fields
}

/// [`CATALOGUES`] as what a list may hold.
static IDS: [Holds; 5] = {
    let mut ids = [Holds::Line; 5];
    let mut index = 0;
    while index < ids.len() {
        ids[index] = Holds::Id(CATALOGUES[index].2, CATALOGUES[index].3);
        index += 1;
    }
    ids
};
