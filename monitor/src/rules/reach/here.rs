//! Here: what becomes of each rule on a host of some tier, as people want to read it before they roll it out.

use std::fmt;

use monitor_common::{Act, Verdict};
use serde::Serialize;

use super::{Lost, Shortfall, blind_to, within};
use crate::rules::{
    evaluate::{Tier, looks_at_arguments, settle, settle_late},
    model::{Mode, Moment, Rule, RuleSet},
};

/// What becomes of a set of rules on a host.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `react` or `prevent`.
    pub tier: &'static str,
    /// In which way acts are seen here (a rung); none where this host was not looked at.
    pub rung: Option<&'static str>,
    /// Why the tier is not known and only taken to be that.
    pub assumed: Option<String>,
    /// Every rule, in the order written.
    pub rules: Vec<Line>,
    /// Agents that are not recognised by all of their signs.
    pub agents: Vec<String>,
    /// How it stands with each container engine, where the rules must ask one.
    pub engines: Vec<String>,
    /// What the hooks do not see of the acts that the rules are about, whatever they say.
    pub unseen: Vec<String>,
}

/// What becomes of one rule.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Its id.
    pub rule: String,
    /// Where it was written.
    pub place: String,
    /// The act.
    pub act: &'static str,
    /// What it asks for.
    pub asks: &'static str,
    /// What is done when it is enforced; none where nothing is.
    pub here: Option<&'static str>,
    /// Whether it is in monitor mode: then nothing is done before that is changed.
    pub monitor: bool,
    /// Why less is done than asked.
    pub why: Vec<String>,
}

impl Report {
    /// Looks at every rule of a set.
    #[must_use]
    pub fn new(rules: &RuleSet, tier: &Tier, now: Moment) -> Self {
        let reach = within(rules, now);
        let lines = rules.rules.iter().map(|rule| line(rule, &reach.shortfalls, tier));
        let about_agent = |short: &&Shortfall| matches!(short.lost, Lost::Signs { .. });
        let agents = reach.shortfalls.iter().filter(about_agent);
        let unseen =
            Act::ALL.into_iter().filter(|act| rules.rules.iter().any(|rule| rule.act == *act));
        let unseen = unseen.filter_map(|act| {
            let what = if tier.can_see(act) { blind_to(act, tier)? } else { "all of it" };
            Some((act, what))
        });
        Self {
            tier: tier.name(),
            rung: None,
            assumed: None,
            rules: lines.collect(),
            agents: agents.map(|short| format!("{}: {short}", short.place)).collect(),
            engines: Vec::new(),
            unseen: unseen.map(|(act, what)| format!("{act}: {what}", act = act.name())).collect(),
        }
    }

    fn heading(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tier {}", self.tier)?;
        self.rung.map_or(Ok(()), |rung| write!(f, " ({rung})"))?;
        self.assumed.as_ref().map_or(Ok(()), |why| write!(f, ", assumed: {why}"))?;
        writeln!(f)
    }

    /// Whether every rule does what it asks for.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.agents.is_empty() && self.rules.iter().all(|line| line.why.is_empty())
    }
}

fn line(rule: &Rule, shortfalls: &[Shortfall], tier: &Tier) -> Line {
    let own = |short: &&Shortfall| short.of == rule.id && !matches!(short.lost, Lost::Signs { .. });
    let own: Vec<&Shortfall> = shortfalls.iter().filter(own).collect();
    let is_seen = tier.can_see(rule.act);
    let lost = !is_seen || own.iter().any(|short| short.lost == Lost::Rule);
    let unseen = format!("no hook of this kernel sees {}", rule.act.name());
    let first = (!is_seen).then_some(unseen);
    let mut why: Vec<String> =
        first.into_iter().chain(own.iter().map(|short| reason(short))).collect();
    let enforced = Rule { mode: Mode::Enforce, ..rule.clone() };
    let exceptions = rule.exceptions.iter().map(|exception| &exception.objects);
    let late = exceptions.chain([&rule.objects]).any(looks_at_arguments);
    let done = if late { settle_late(&enforced, tier) } else { settle(&enforced, tier) };
    if !lost && done != rule.action {
        why.push(lesser(rule, done));
    }
    Line {
        rule: rule.id.clone(),
        place: rule.place.to_string(),
        act: if rule.before.is_some() { "sequence" } else { rule.act.name() },
        asks: rule.action.name(),
        here: (!lost).then(|| done.name()),
        monitor: rule.mode == Mode::Monitor,
        why,
    }
}

fn reason(short: &Shortfall) -> String {
    match &short.lost {
        Lost::Items(items) => format!("without {}: {}", items.join(", "), short.need),
        Lost::Agents(agents) => format!("not for {}: {}", agents.join(", "), short.need),
        Lost::Rule | Lost::Signs { .. } => short.need.to_string(),
    }
}

fn lesser(rule: &Rule, done: Verdict) -> String {
    let act = rule.act.name();
    match (rule.action, done) {
        (Verdict::Ask, Verdict::Deny) => format!("{act} cannot wait here, so it is refused"),
        (_, Verdict::Alert) => {
            format!("{act} cannot be refused here; `fallback: kill` would end the process")
        }
        _ => format!("{act} cannot be refused here, so `fallback` is done"),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.heading(f)?;
        self.body(f)
    }
}

impl Report {
    /// All but the line that says what host it is about.
    ///
    /// # Errors
    ///
    /// Where `f` takes no more.
    pub fn body(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width =
            self.rules.iter().map(|line| line.rule.chars().count()).max().unwrap_or(0).max(4);
        writeln!(f, "\n{:width$}  {:9}  {:5}  here", "rule", "act", "asks")?;
        for line in &self.rules {
            let Line { rule, act, asks, here, monitor, why, .. } = line;
            let less = here.is_some_and(|here| here != "alert");
            let mode =
                if *monitor && less { " (once it is enforced; alert in monitor mode)" } else { "" };
            let here = here.unwrap_or("NOT ENFORCED");
            writeln!(f, "{rule:width$}  {act:9}  {asks:5}  {here}{mode}")?;
            for why in why {
                writeln!(f, "{:width$}  {:9}  {:5}  - {why}", "", "", "")?;
            }
        }
        for (title, lines) in [
            ("agents", &self.agents),
            ("container engines", &self.engines),
            ("not seen by any hook", &self.unseen),
        ] {
            if !lines.is_empty() {
                writeln!(f, "\n{title}")?;
                lines.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
            }
        }
        let lost = self.rules.iter().filter(|line| line.here.is_none()).count();
        let less = self.rules.iter().filter(|line| !line.why.is_empty()).count() - lost;
        let all = self.rules.len();
        writeln!(f, "\n{all} rules: {lost} not enforced here, {less} with less than they ask for")
    }
}
