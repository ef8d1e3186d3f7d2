//! Commands about rule files that need no root: reading, checking, testing.

use std::{path::PathBuf, process::ExitCode};

use super::{Output, PROBLEM, RULES, daemon::EngineSockets, fail, say};
use crate::{
    daemon::{self, RulesError, compile_errors, count},
    doctor::look,
    host::{self, Host},
    rules::{
        self,
        compile::{Ground, compile},
        contained,
        evaluate::Tier,
        examples,
        model::{Moment, RuleSet},
        plan::KernelPlan,
        reach::{here::Report, within},
        show::Show,
    },
};

#[derive(Debug, clap::Args)]
pub(super) struct RulePaths {
    /// Rule files, or directories whose *.yaml files are
    #[arg(value_name = "PATH", default_value = RULES)]
    pub(super) paths: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    rules: RulePaths,
    /// Say what becomes of each rule on this host: exit code 1 if any does less than it asks for
    #[arg(long, group = "of_a_host")]
    on_this_host: bool,
    /// The same of a host of this tier, without looking at this one
    #[arg(long, value_name = "TIER", group = "of_a_host", conflicts_with = "on_this_host")]
    tier: Option<TierName>,
    #[command(flatten)]
    engines: EngineSockets,
    /// How that looks
    #[arg(short, long, default_value = "text", requires = "of_a_host")]
    output: Output,
}

/// What a host can do, without the rest of it.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum TierName {
    // Every act can be refused before it happens. (Not said in the help: the list would take a screen.)
    Prevent,
    // Only what goes over the network can be; the rest is killed afterwards.
    React,
}

impl TierName {
    const fn tier(self) -> Tier {
        match self {
            Self::Prevent => Tier { holds: Tier::REACT.holds, ..Tier::PREVENT },
            Self::React => Tier::REACT,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArguments {
    /// Rule files, or directories whose *.yaml files are
    #[arg(long, value_name = "PATH", default_value = RULES)]
    rules: Vec<PathBuf>,
    /// What the kernel half is told, in place of the rules
    #[arg(long, conflicts_with = "rule")]
    plan: bool,
    /// The one rule that is wanted
    rule: Option<String>,
}

pub(super) fn read(paths: &[PathBuf]) -> Result<RuleSet, ExitCode> {
    let files = host::rule_files(paths).map_err(|error| fail(&error, PROBLEM))?;
    if files.is_empty() {
        return Err(fail(&RulesError::NoFiles(paths.to_vec()), PROBLEM));
    }
    let shipped = rules::shipped::files();
    rules::load_with(&shipped, &files, &Host::read().users, Moment::now())
        .map_err(|problems| super::show(&problems))
}

/// Compiles too: what cannot be represented in the kernel is a problem like any other.
pub(super) fn check(arguments: &CheckArguments) -> ExitCode {
    let rules = match read(&arguments.rules.paths) {
        Ok(rules) => rules,
        Err(code) => return code,
    };
    for note in &rules.notes {
        super::tell(&format!("note: {}\n  --> {}\n", note.message, note.place));
    }
    if let Err(code) = compiled(&rules) {
        return code;
    }
    match arguments.tier {
        Some(name) => said(&of_tier(&rules, &name.tier(), arguments), arguments),
        None if arguments.on_this_host => said(&on_this_host(&rules, arguments), arguments),
        None => say(&format!("ok: {}\n", counts(&rules))),
    }
}

/// Compiled for every host: there may be room on one and not on another.
fn compiled(rules: &RuleSet) -> Result<KernelPlan, ExitCode> {
    compiled_for(rules, &TierName::Prevent.tier())?;
    compiled_for(rules, &Tier::REACT)
}

fn compiled_for(rules: &RuleSet, tier: &Tier) -> Result<KernelPlan, ExitCode> {
    let host = Host::read();
    let agent_numbers: Vec<u32> = (1..).take(rules.agents.len()).collect();
    let ground = Ground {
        secret: daemon::secret().unwrap_or(0x5ca1_ab1e_0ddb_a115),
        homes: &host.homes,
        tier,
        serial: 1,
        agent_numbers: &agent_numbers,
        watch: false,
    };
    // Whatever containers there are, an agent takes as much room.
    let mut settled = rules.clone();
    contained::settle(&mut settled, std::iter::empty());
    compile(&within(&settled, Moment::now()).rules, &ground).map_err(|errors| {
        super::tell(&compile_errors(&errors));
        ExitCode::from(PROBLEM)
    })
}

/// Of this host, by doing. Who may not do it is told so.
fn on_this_host(rules: &RuleSet, arguments: &CheckArguments) -> Report {
    match look::half() {
        Ok((half, tier)) => {
            let mut report = of_tier(rules, &tier, arguments);
            let is_asked = |act: &str| report.rules.iter().any(|line| line.act == act);
            let gaps = half.gaps(is_asked);
            report.unseen.extend(gaps);
            Report { rung: Some(half.rung.name()), ..report }
        }
        Err(error) => {
            Report { assumed: Some(error.brief()), ..of_tier(rules, &Tier::REACT, arguments) }
        }
    }
}

fn of_tier(rules: &RuleSet, tier: &Tier, arguments: &CheckArguments) -> Report {
    let (settled, engines) = look::settled(rules, &arguments.engines.engines);
    Report { engines, ..Report::new(&settled, tier, Moment::now()) }
}

fn said(report: &Report, arguments: &CheckArguments) -> ExitCode {
    let said = match arguments.output {
        Output::Text => say(&report.to_string()),
        Output::Json => {
            let mut report = serde_json::to_value(report).expect("plain data");
            report["schema"] = "driftwatch.on-this-host/v1".into();
            say(&format!("{report:#}\n"))
        }
    };
    if report.is_whole() { said } else { ExitCode::from(PROBLEM) }
}

pub(super) fn show(arguments: &ShowArguments) -> ExitCode {
    let rules = match read(&arguments.rules) {
        Ok(rules) => rules,
        Err(code) => return code,
    };
    if arguments.plan {
        return match compiled(&rules) {
            Ok(plan) => say(&plan.to_string()),
            Err(code) => code,
        };
    }
    let only = arguments.rule.as_deref();
    if let Some(id) = only
        && !rules.rules.iter().any(|rule| rule.id == id)
    {
        let ids = rules.rules.iter().map(|rule| &*rule.id).collect::<Vec<_>>().join(", ");
        return fail(&format!("no rule has the id `{id}`: use one of {ids}"), PROBLEM);
    }
    say(&Show { rules: &rules, only }.to_string())
}

fn counts(rules: &RuleSet) -> String {
    let mut counts = vec![
        count(rules.files, "file"),
        count(rules.agents.len(), "agent"),
        count(rules.lists, "list"),
        count(rules.rules.len(), "rule"),
        count(rules.tests.len(), "test"),
    ];
    if rules.grants > 0 {
        counts.insert(4, count(rules.grants, "grant"));
    }
    counts.join(", ")
}

pub(super) fn test(rules: &RuleSet) -> ExitCode {
    let mut text = format!("ok: {}\n", counts(rules));
    let outcomes = examples::run(rules, Moment::now());
    for outcome in &outcomes {
        let example = &rules.tests[outcome.test];
        let by =
            outcome.rule.map(|rule| format!(" by {}", rules.rules[rule].id)).unwrap_or_default();
        let got = outcome.got.name();
        if outcome.passed {
            text += &format!("  pass {} ({got}{by})\n", example.name);
        } else {
            let rule = example.rule.as_ref().map(|rule| format!(" by {rule}")).unwrap_or_default();
            let expected = example.expect.name();
            text += &format!("  FAIL {} at {}\n", example.name, example.place);
            text += &format!("       expected {expected}{rule}, got {got}{by}\n");
        }
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    text += &format!("{} passed, {failed} failed\n", outcomes.len() - failed);
    let said = say(&text);
    if failed == 0 { said } else { ExitCode::from(PROBLEM) }
}
