//! Resolve: what was written in all files becomes one [`RuleSet`].
//!
//! Every name is looked up here, every default filled in, and everything that is wrong between two
//! places is found. Nothing is left out in silence: what cannot be resolved is a problem.

use std::collections::{BTreeMap, BTreeSet};

use monitor_common::{Act, Verdict};

use super::{
    Users,
    agents::{Agents, agents},
    destination::parse_peer,
    lists::{Lists, Role},
    model::{self, Mode, Object, Objects, RuleSet},
    near::nearest,
    problem::{Found, Problem, quote},
    source::{At, Sources, Span},
    written::{Exception, File, Rule, Test},
};

/// Makes a rule set of all files. It means something only if no problem was found.
pub(super) fn resolve(
    files: &[File],
    sources: &Sources,
    users: &Users,
    found: &mut Found,
) -> RuleSet {
    let lists = Lists::new(files, sources, found);
    let agents = agents(files, &lists, users, sources, found);
    let mut resolver = Resolver { sources, lists, agents, ids: BTreeMap::new(), found };
    let mut rules = Vec::new();
    for file in files {
        for rule in &file.rules {
            rules.push(resolver.rule(rule, file.mode));
        }
    }
    for id in files.iter().flat_map(|file| &file.refused) {
        resolver.ids.entry(&id.is).or_insert(Known { span: id.span, act: None });
    }
    let tests = resolver.tests(files);
    resolver.lists.check_unused(resolver.found);
    let Resolver { lists, agents, .. } = resolver;
    RuleSet { agents: agents.all, rules, tests, files: files.len(), lists: lists.len() }
}

/// A rule that a test may name.
struct Known {
    span: Span,
    /// None if the rule was refused.
    act: Option<Act>,
}

struct Resolver<'a, 'f> {
    sources: &'a Sources,
    lists: Lists<'a>,
    agents: Agents<'a>,
    ids: BTreeMap<&'a str, Known>,
    found: &'f mut Found,
}

impl<'a> Resolver<'a, '_> {
    fn rule(&mut self, rule: &'a Rule, mode: Mode) -> model::Rule {
        self.take_id(rule);
        let names = rule.agents.iter();
        let agents: BTreeSet<_> =
            names.flat_map(|name| self.agents.named(name, self.found)).collect();
        let body = &rule.body;
        let exceptions = body.exceptions.iter();
        model::Rule {
            id: rule.id.is.clone(),
            title: rule.title.clone(),
            agents: agents.into_iter().collect(),
            act: body.act,
            sense: body.sense,
            objects: self.objects(body.act, &body.objects),
            exceptions: exceptions.map(|exception| self.exception(body.act, exception)).collect(),
            action: rule.action,
            fallback: match rule.action {
                Verdict::Deny => rule.fallback.unwrap_or(Verdict::Alert),
                other => other,
            },
            mode: rule.mode.unwrap_or(mode),
            severity: rule.severity,
            help: rule.help.clone(),
            runbook: rule.runbook.clone(),
            tags: rule.tags.clone(),
            place: self.sources.place(rule.id.span),
        }
    }

    fn take_id(&mut self, rule: &'a Rule) {
        let id = &rule.id;
        if let Some(first) = self.ids.get(&*id.is) {
            let message = format!("rule {} is defined twice", quote(&id.is));
            let problem =
                Problem::new(id.span, message, "here again").also(first.span, "first here");
            self.found.add(problem.help("give one of them another id"));
        } else {
            self.ids.insert(&id.is, Known { span: id.span, act: Some(rule.body.act) });
        }
    }

    fn objects(&mut self, act: Act, written: &'a [At<String>]) -> Objects {
        match act {
            Act::Exec => Objects::Paths(self.lists.paths(written, Role::Program, self.found)),
            Act::Read | Act::Write => {
                Objects::Paths(self.lists.paths(written, Role::File, self.found))
            }
            Act::Connect => Objects::Destinations(self.lists.destinations(written, self.found)),
        }
    }

    fn exception(&mut self, act: Act, exception: &'a Exception) -> model::Exception {
        model::Exception {
            objects: self.objects(act, &exception.objects),
            exe: self.lists.paths(&exception.exe, Role::Trusted, self.found),
            reason: exception.reason.clone(),
            place: self.sources.place(exception.span),
        }
    }

    fn tests(&mut self, files: &'a [File]) -> Vec<model::Example> {
        let mut names: BTreeMap<&str, Span> = BTreeMap::new();
        let mut examples = Vec::new();
        for test in files.iter().flat_map(|file| &file.tests) {
            if let Some(&first) = names.get(&*test.name.is) {
                let message = format!("test {} is written twice", quote(&test.name.is));
                let problem = Problem::new(test.name.span, message, "here again");
                self.found
                    .add(problem.also(first, "first here").help("give one of them another name"));
            }
            names.entry(&test.name.is).or_insert(test.name.span);
            examples.extend(self.test(test));
        }
        examples
    }

    fn test(&mut self, test: &'a Test) -> Option<model::Example> {
        let agent = self.agents.one(&test.agent, self.found);
        let object = self.object(test.act, &test.object);
        let exe = test.exe.as_ref().map(|exe| self.path(exe));
        if let Some(rule) = &test.rule {
            self.check_decides(rule, test);
        }
        Some(model::Example {
            name: test.name.is.clone(),
            agent: agent?,
            act: test.act,
            object: object?,
            exe: match exe {
                Some(path) => Some(path?),
                None => None,
            },
            expect: test.expect.is,
            rule: test.rule.as_ref().map(|rule| rule.is.clone()),
            place: self.sources.place(test.name.span),
        })
    }

    fn check_decides(&mut self, rule: &At<String>, test: &Test) {
        let Some(known) = self.ids.get(&*rule.is) else {
            let meant =
                nearest(&rule.is, self.ids.keys().copied()).filter(|_| !self.found.is_flood());
            let message = format!("unknown rule {}", quote(&rule.is));
            let problem = Problem::new(rule.span, message, "no rule with this id in any file");
            return self.found.add_unknown(problem.meant(meant, None));
        };
        if let Some(act) = known.act
            && act != test.act
        {
            let (is, tested) = (act.name(), test.act.name());
            let message = format!("rule {} cannot decide this test", quote(&rule.is));
            let problem = Problem::new(rule.span, message, format!("a rule about `{is}`"))
                .also(test.object.span, format!("a test about `{tested}`"));
            self.found.add(problem);
        }
        if test.expect.is == Verdict::Allow {
            let message = "a test that expects `allow` names a rule";
            let problem = Problem::new(rule.span, message, "what no rule hits, no rule decides");
            self.found
                .add(problem.also(test.expect.span, "expected here").help("leave `rule` out"));
        }
    }

    fn object(&mut self, act: Act, text: &At<String>) -> Option<Object> {
        if act != Act::Connect {
            return self.path(text).map(Object::Path);
        }
        match parse_peer(&text.is) {
            Ok(peer) => Some(peer),
            Err(error) => {
                let problem = Problem::new(text.span, error.message, "not a peer");
                self.found.add(Problem { help: error.help, ..problem });
                None
            }
        }
    }

    /// A path as the kernel resolves it.
    fn path(&mut self, text: &At<String>) -> Option<Vec<u8>> {
        let message = format!("{} is not a resolved path", quote(&text.is));
        let Some(rest) = text.is.strip_prefix('/') else {
            let problem = Problem::new(text.span, message, "it does not begin with `/`");
            let home = text.is.strip_prefix("~/").map(|rest| format!("/home/ana/{rest}"));
            let help = home.unwrap_or_else(|| "/usr/bin/git".to_owned());
            self.found.add(problem.help(format!("write what the kernel sees, such as `{help}`")));
            return None;
        };
        if rest.split('/').any(|part| matches!(part, "" | "." | "..")) {
            let problem = Problem::new(
                text.span,
                message,
                "the kernel leaves no `//`, `.` or `..` in a path",
            );
            self.found.add(problem);
            return None;
        }
        Some(text.is.clone().into_bytes())
    }
}
