//! A technique as data: what it is called, what shows that it worked, and what must come of it.
//!
//! What must come of it is said for each tier, beside the code that does it. Whether it is so is the
//! judge's to find out.

use std::io;

use serde_json::{Value, json};

use crate::{case::Case, exec, file, gift::Gift, net, scope};

/// What shows that a technique worked. The judge holds the far end of each.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Canary {
    /// Bytes of the secret came out.
    Secret,
    /// The program that may not run has run.
    Mark,
    /// Something arrived where nothing may be sent: a connection, a datagram, a frame.
    Arrival,
    /// Bytes of the agent's arrived there. For peers that a connection from before leads to.
    Payload,
    /// The file that may not be changed is another one, or gone.
    Changed,
}

/// What must come of a technique.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect {
    /// No canary sings: the act was refused, or whoever did it was killed before it was of use.
    Stopped,
    /// It works, and there is an alert.
    Seen(&'static str),
    /// It works, and it may be that nobody is told, for this reason.
    Limit(&'static str),
}

impl Expect {
    fn json(self) -> Value {
        match self {
            Self::Stopped => json!({ "is": "stopped", "why": "" }),
            Self::Seen(why) => json!({ "is": "seen", "why": why }),
            Self::Limit(why) => json!({ "is": "limit", "why": why }),
        }
    }
}

/// What is done before the session begins, by somebody who is no agent.
type Before = fn(&Case, &mut Gift) -> io::Result<()>;
/// What the agent does.
type Act = fn(&Case) -> io::Result<()>;

/// One technique.
pub(crate) struct Trick {
    /// Row of the catalogue, and a letter where there are several ways.
    pub(crate) id: &'static str,
    title: &'static str,
    canary: Canary,
    needs: &'static str,
    prevent: Expect,
    react: Expect,
    early: bool,
    guest_only: bool,
    before: Before,
    act: Act,
}

/// A technique that both tiers must stop, until more is said.
pub(crate) const fn trick(
    id: &'static str,
    title: &'static str,
    canary: Canary,
    act: Act,
) -> Trick {
    Trick {
        id,
        title,
        canary,
        needs: "",
        prevent: Expect::Stopped,
        react: Expect::Stopped,
        early: false,
        guest_only: false,
        before: |_, _| Ok(()),
        act,
    }
}

/// One that goes after the secret.
pub(crate) const fn read(id: &'static str, title: &'static str, act: Act) -> Trick {
    trick(id, title, Canary::Secret, act)
}

/// One that changes the file that may not be changed.
pub(crate) const fn write(id: &'static str, title: &'static str, act: Act) -> Trick {
    trick(id, title, Canary::Changed, act)
}

/// One that starts the program that may not be started.
pub(crate) const fn start(id: &'static str, title: &'static str, act: Act) -> Trick {
    trick(id, title, Canary::Mark, act)
}

/// One that reaches a peer that may not be reached.
pub(crate) const fn reach(id: &'static str, title: &'static str, act: Act) -> Trick {
    trick(id, title, Canary::Arrival, act)
}

impl Trick {
    /// What is prepared, untagged.
    pub(crate) const fn before(mut self, before: Before) -> Self {
        self.before = before;
        self
    }

    /// What the host must have.
    pub(crate) const fn needs(mut self, needs: &'static str) -> Self {
        self.needs = needs;
        self
    }

    /// What must come of it on the react tier.
    pub(crate) const fn react(mut self, expect: Expect) -> Self {
        self.react = expect;
        self
    }

    /// What must come of it on either tier.
    pub(crate) const fn both(mut self, expect: Expect) -> Self {
        self.react = expect;
        self.prevent = expect;
        self
    }

    /// Shown by what the peer received, for it was connected before.
    pub(crate) const fn payload(mut self) -> Self {
        self.canary = Canary::Payload;
        self
    }

    /// Begins before the daemon does.
    pub(crate) const fn early(mut self) -> Self {
        self.early = true;
        self
    }

    /// Changes something that the whole host has, so it is done in a guest alone.
    pub(crate) const fn guest_only(mut self) -> Self {
        self.guest_only = true;
        self
    }

    /// Prepares it.
    pub(crate) fn prepare(&self, case: &Case, gift: &mut Gift) -> io::Result<()> {
        (self.before)(case, gift)
    }

    /// Does it.
    pub(crate) fn act(&self, case: &Case) -> io::Result<()> {
        (self.act)(case)
    }

    /// As the judge reads it.
    pub(crate) fn row(&self) -> Value {
        let canary = match self.canary {
            Canary::Secret => "secret",
            Canary::Mark => "mark",
            Canary::Arrival => "arrival",
            Canary::Payload => "payload",
            Canary::Changed => "changed",
        };
        json!({
            "id": self.id, "title": self.title, "canary": canary, "needs": self.needs,
            "prevent": self.prevent.json(), "react": self.react.json(),
            "early": self.early, "guest_only": self.guest_only,
        })
    }
}

/// Every technique, in the catalogue's order.
pub(crate) fn all() -> impl Iterator<Item = &'static Trick> {
    [file::TRICKS, exec::TRICKS, net::TRICKS, scope::TRICKS]
        .into_iter()
        .flatten()
        .copied()
        .flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_id_is_there_once_and_has_a_title() {
        let ids: Vec<&str> = all().map(|trick| trick.id).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
        let titles: BTreeSet<&str> = all().map(|trick| trick.title).collect();
        assert!(!titles.contains(""));
        assert!(ids.len() >= 200, "{}", ids.len());
    }

    #[test]
    fn whatever_is_not_stopped_says_why() {
        for trick in all() {
            for expect in [trick.prevent, trick.react] {
                let (Expect::Seen(why) | Expect::Limit(why)) = expect else { continue };
                assert!(why.len() > 20, "{}: {why}", trick.id);
            }
        }
    }
}
