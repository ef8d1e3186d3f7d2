//! Resolve, the entries of `tests:`.
//!
//! The part of [`super::resolve`] that makes examples of them: every name looked up, every object read as the
//! kernel would show it.

use std::collections::BTreeMap;

use monitor_common::{Act, Verdict};

use super::{
    destination::{End, parse_peer},
    model::{self, Object, Privilege, Traits},
    near::nearest,
    problem::{Problem, enumerate, quote},
    resolve::Resolver,
    source::{At, Span},
    written::{File, Test},
};

impl<'a> Resolver<'a, '_> {
    /// The tests of all files.
    pub(super) fn tests(&mut self, files: &'a [File]) -> Vec<model::Example> {
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
        let after: Option<Vec<_>> = test
            .after
            .iter()
            .map(|(act, object)| Some((*act, self.object(*act, object)?)))
            .collect();
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
            how: test.how,
            args: test.args.iter().map(|word| word.is.clone().into_bytes()).collect(),
            traits: test.traits.iter().fold(Traits::NONE, |all, one| all.with(one.is)),
            after: after?,
            expect: test.expect.is,
            rule: test.rule.as_ref().map(|rule| rule.is.clone()),
            place: self.sources.place(test.name.span),
        })
    }

    fn check_decides(&mut self, rule: &At<String>, test: &Test) {
        let Some(known) = self.known(rule) else { return };
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
        let end = match act {
            Act::Exec | Act::Read | Act::Write => return self.path(text).map(Object::Path),
            Act::Privilege => return self.privilege(text),
            Act::Connect => End::Peer,
            Act::Listen => End::Own,
        };
        match parse_peer(&text.is, end) {
            Ok(peer) => Some(peer),
            Err(error) => {
                let problem = Problem::new(text.span, error.message, "not a peer");
                self.found.add(Problem { help: error.help, ..problem });
                None
            }
        }
    }

    fn privilege(&mut self, text: &At<String>) -> Option<Object> {
        let words = Privilege::WORDS;
        let known = words.iter().find(|(word, _)| *word == text.is);
        if known.is_none() {
            let words = words.map(|(word, _)| word);
            let message = format!("unknown privilege {}", quote(&text.is));
            let problem = Problem::new(text.span, message, "there is no such privilege");
            let may = format!("it may be {}", enumerate(&words));
            self.found.add(problem.meant(nearest(&text.is, words), Some(may)));
        }
        known.map(|(_, right)| Object::Privilege(*right))
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
