//! Rights: a proposal allows none. Those that were never used are shut; those that were are told, and left to a
//! person, for what a right is good for is not to be seen from its use.

use monitor_common::{Act, privilege::Privilege};

use super::{
    Learned,
    seen::{Tally, names, times},
};
use crate::rules::model::Object;

impl Learned {
    /// The rights that were used, each with how often and by whom.
    pub(super) fn used_rights(&self) -> Vec<(Privilege, Tally)> {
        let tally = |right: Privilege| {
            let uses = self.seen.all.iter().filter(|(key, tally)| {
                key.act == Act::Privilege
                    && key.object == Object::Privilege(right)
                    && tally.count > 0
            });
            uses.fold(Tally::default(), |mut all, (_, tally)| {
                all.count += tally.count;
                for (name, count) in &tally.by {
                    *all.by.entry(name.clone()).or_default() += count;
                }
                all
            })
        };
        let all = Privilege::WORDS.into_iter().map(|(_, right)| (right, tally(right)));
        all.filter(|(_, tally)| tally.count > 0).collect()
    }

    /// The rule that shuts the rights that were never used; none where all were.
    pub(super) fn rights_rule(&self) -> Option<String> {
        let used = self.used_rights();
        let mut text = String::new();
        for (right, tally) in &used {
            text += &format!(
                "  # Used, and so not shut: {right} ({}, by {}). If only one program needs it, shut it as well and\n  \
                 # except that program: except: [{{ privilege: [{right}], exe: [/its/path], reason: … }}]\n",
                times(tally.count),
                names(&tally.by)
            );
        }
        let unused: Vec<&str> = Privilege::WORDS
            .into_iter()
            .filter(|(_, right)| used.iter().all(|(known, _)| known != right))
            .map(|(word, _)| word)
            .collect();
        (!unused.is_empty()).then(|| {
            text + &format!(
                "  - id: {}\n    title: Agent used a right that it did not need before\n    agents: [{}]\n    \
                 privilege:\n      never: [{}]\n    action: deny\n    fallback: alert\n    severity: medium\n    \
                 help: If the work needs this right, have the program that needs it excepted.\n",
                self.id(Act::Privilege, ""),
                self.agent,
                unused.join(", ")
            )
        })
    }
}
