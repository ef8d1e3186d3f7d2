//! Sequences: which steps of which rule have been done, and by whom.
//!
//! The memory beside [`super::evaluate`], which has none. Every act is first asked about
//! ([`Progress::armed`]) and then taken in ([`Progress::take`]), so that one act is never two steps. No clock: times
//! come with the acts. It is bounded: what is older than its rule looks back is forgotten.

use std::collections::HashMap;

use super::{
    evaluate::{Attempt, concerns, is_meant},
    glob::Homes,
    model::{By, Rule, RuleIndex, RuleSet},
};

/// Stories that are remembered at most. Beyond it the oldest are forgotten, and counted.
const STORIES: usize = 65_536;

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Who {
    /// The session.
    pub session: u64,
    /// The process: its pid and when it began.
    pub process: (u32, u64),
    /// The real user.
    pub user: u32,
}

/// Whose acts are one story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Owner {
    Session(u64),
    Process(u32, u64),
    User(u32),
}

impl Owner {
    const fn of(by: By, who: &Who) -> Self {
        match by {
            By::Session => Self::Session(who.session),
            By::Process => Self::Process(who.process.0, who.process.1),
            By::User => Self::User(who.user),
        }
    }
}

/// What has been done of all sequences.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// For each step before the last: when the latest story that has come so far began, in seconds.
    stories: HashMap<(RuleIndex, Owner), Vec<Option<u64>>>,
    /// Stories that were forgotten before their time.
    pub forgotten: u64,
}

impl Progress {
    /// The rules of which only the last step is missing at `time`, in seconds.
    #[must_use]
    pub fn armed(&self, rules: &RuleSet, who: &Who, time: u64) -> Vec<RuleIndex> {
        let is_armed = |&(index, rule): &(RuleIndex, &Rule)| {
            let Some(before) = &rule.before else { return false };
            let story = self.stories.get(&(index, Owner::of(before.by, who)));
            let began = story.and_then(|steps| steps.last().copied().flatten());
            began.is_some_and(|began| time.saturating_sub(began) <= before.within)
        };
        rules.rules.iter().enumerate().filter(is_armed).map(|(index, _)| index).collect()
    }

    /// Takes in an act that was done at `time`, in seconds.
    pub fn take(
        &mut self,
        rules: &RuleSet,
        homes: &Homes,
        who: &Who,
        attempt: &Attempt<'_>,
        time: u64,
    ) {
        for (index, rule) in rules.rules.iter().enumerate() {
            let Some(before) = &rule.before else { continue };
            if !concerns(rule, attempt) {
                continue;
            }
            // From the last to the first: an act is one step of a story and not two.
            for (number, step) in before.steps.iter().enumerate().rev() {
                if step.act != attempt.act || !is_meant(step.sense, &step.objects, homes, attempt) {
                    continue;
                }
                let key = (index, Owner::of(before.by, who));
                let began = match number.checked_sub(1) {
                    None => Some(time),
                    Some(earlier) => self.began(&key, earlier, time, before.within),
                };
                let Some(began) = began else { continue };
                let steps =
                    self.stories.entry(key).or_insert_with(|| vec![None; before.steps.len()]);
                steps[number] = steps[number].max(Some(began));
            }
        }
        if self.stories.len() > STORIES {
            self.forget(rules, time);
        }
    }

    fn began(&self, key: &(RuleIndex, Owner), step: usize, time: u64, within: u64) -> Option<u64> {
        let began = self.stories.get(key)?.get(step).copied().flatten()?;
        (time.saturating_sub(began) <= within).then_some(began)
    }

    fn forget(&mut self, rules: &RuleSet, time: u64) {
        self.stories.retain(|(index, _), steps| {
            let before = rules.rules.get(*index).and_then(|rule| rule.before.as_ref());
            let lasts = before.map_or(0, |before| before.within);
            steps.iter().flatten().any(|began| time.saturating_sub(*began) <= lasts)
        });
        while self.stories.len() > STORIES {
            let latest = |steps: &Vec<Option<u64>>| steps.iter().flatten().max().copied();
            let oldest = self.stories.iter().min_by_key(|(_, steps)| latest(steps));
            let Some(key) = oldest.map(|(key, _)| *key) else { return };
            self.stories.remove(&key);
            self.forgotten += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use monitor_common::Act;

    use super::*;
    use crate::rules::{
        SourceFile, Users, load,
        model::{Moment, Object},
    };

    const NOW: Moment = Moment::constant(1_795_348_800, 0);
    const ANA: Who = Who { session: 1, process: (10, 0), user: 1000 };

    fn rules(by: &str) -> RuleSet {
        let text = format!(
            "version: 1\nagents:\n  one: {{ any: [{{ exe: /one }}] }}\nrules:\n  - id: story\n    title: t\n    \
             agents: [one]\n    sequence:\n      within: 10s\n      by: {by}\n      steps:\n        - read: [/a]\n        \
             - write: [/b]\n        - connect: {{ not: [\"10.0.0.0/8\"] }}\n    action: kill\n"
        );
        let file = SourceFile { name: "r.yaml".to_owned(), text: text.into_bytes() };
        load(&[file], &Users::default(), NOW).unwrap_or_else(|problems| panic!("{problems}"))
    }

    struct Story {
        rules: RuleSet,
        progress: Progress,
    }

    impl Story {
        fn new(by: &str) -> Self {
            Self { rules: rules(by), progress: Progress::default() }
        }

        fn does(&mut self, who: Who, act: Act, path: &str, time: u64) {
            let object = Object::Path(path.into());
            let attempt = Attempt::new(&[0], act, &object, NOW);
            self.progress.take(&self.rules, &Homes::default(), &who, &attempt, time);
        }

        fn armed(&self, who: Who, time: u64) -> bool {
            !self.progress.armed(&self.rules, &who, time).is_empty()
        }
    }

    #[test]
    fn steps_count_in_their_order_and_in_time() {
        let mut story = Story::new("session");
        story.does(ANA, Act::Write, "/b", 1);
        story.does(ANA, Act::Read, "/a", 2);
        assert!(!story.armed(ANA, 3), "the second step came first");
        story.does(ANA, Act::Write, "/b", 4);
        assert!(story.armed(ANA, 12), "ten seconds after the first step");
        assert!(!story.armed(ANA, 13));
        story.does(ANA, Act::Read, "/a", 20);
        story.does(ANA, Act::Write, "/b", 31);
        assert!(!story.armed(ANA, 31), "the second step came too late");
    }

    #[test]
    fn a_later_start_makes_the_story_last() {
        let mut story = Story::new("session");
        story.does(ANA, Act::Read, "/a", 0);
        story.does(ANA, Act::Read, "/a", 8);
        story.does(ANA, Act::Write, "/b", 9);
        assert!(story.armed(ANA, 18));
        // An old start does not make it shorter again.
        story.does(ANA, Act::Write, "/b", 10);
        assert!(story.armed(ANA, 18));
    }

    #[test]
    fn stories_belong_to_somebody() {
        let other_process = Who { process: (11, 0), ..ANA };
        let other_session = Who { session: 2, process: (12, 0), ..ANA };
        let stranger = Who { session: 3, process: (13, 0), user: 7 };
        for (by, expected) in [
            ("process", [true, false, false, false]),
            ("session", [true, true, false, false]),
            ("user", [true, true, true, false]),
        ] {
            let mut story = Story::new(by);
            story.does(ANA, Act::Read, "/a", 0);
            story.does(ANA, Act::Write, "/b", 1);
            let armed =
                [ANA, other_process, other_session, stranger].map(|who| story.armed(who, 2));
            assert_eq!(armed, expected, "{by}");
        }
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let mut story = Story::new("session");
        let who = |number: u64| Who { session: number, ..ANA };
        // All within the time that the rule looks back.
        for number in 0..(STORIES as u64 + 10) {
            story.does(who(number), Act::Read, "/a", u64::from(number >= 10));
        }
        assert_eq!(story.progress.forgotten, 10);
        assert!(story.progress.stories.len() <= STORIES);
        // Later everything old goes, uncounted: it could not have come to anything.
        story.does(who(u64::MAX), Act::Read, "/a", 100);
        assert_eq!((story.progress.stories.len(), story.progress.forgotten), (1, 10));
    }
}
