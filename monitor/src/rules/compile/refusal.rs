//! Refusals: what a plan has no room for, each limit reported once, at the first thing beyond it.

use std::collections::HashSet;

use monitor_common::plan;

use crate::rules::model::Place;

/// Something in the rules that no plan can hold. There is no plan then, and nothing was left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct CompileError {
    /// Where it was written.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// Room that a plan has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Limit {
    Rules,
    Aux,
    Classes,
    Clauses,
    Agents,
    Literals,
    Ranges,
    Users,
    Uses,
}

/// Literals of one plan at most.
pub(super) const LITERALS: usize = (plan::LITERALS / plan::BANKS) as usize;
/// Address ranges of one plan at most.
pub(super) const RANGES: usize = (plan::RANGES / plan::BANKS) as usize;
/// Users of one plan at most.
pub(super) const USERS: usize = (plan::USERS / plan::BANKS) as usize;

impl Limit {
    fn message(self) -> String {
        match self {
            Self::Rules => format!("more than {} rules", plan::RULES),
            Self::Aux => format!("more than {} exceptions and signs of agents", plan::AUX),
            Self::Classes => format!(
                "more than {} combinations of rules that an object can be in",
                plan::CLASSES - 1
            ),
            Self::Clauses => format!("more than {} ways to recognise agents", plan::CLAUSES),
            Self::Agents => {
                format!("more than {} agents since the daemon started", plan::AGENTS - 1)
            }
            Self::Literals => {
                format!("more than {LITERALS} paths without wildcards and host names")
            }
            Self::Ranges => format!("more than {RANGES} destinations"),
            Self::Users => format!("more than {USERS} users"),
            Self::Uses => format!("more than {} grants with `uses`", plan::USES),
        }
    }

    const fn help(self) -> &'static str {
        match self {
            Self::Rules => "put what several rules say of the same act into one rule",
            Self::Aux => {
                "put exceptions of one rule together, or use fewer executables, cgroups and users"
            }
            Self::Classes => {
                "use the same lists in more rules, rather than lists that overlap in part"
            }
            Self::Clauses => {
                "recognise an agent in fewer ways, or leave out agents that are not in use"
            }
            Self::Agents => "restart the daemon, or leave out agents that are not in use",
            Self::Literals => {
                "name directories (`/dir/**`) and domains (`*.example.com`) rather than all that is in them"
            }
            Self::Ranges => "name networks rather than every address in them",
            Self::Uses => "take out grants that are not needed any more",
            Self::Users => "recognise these agents by their executable or their cgroup",
        }
    }
}

/// The refusals so far.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    errors: Vec<CompileError>,
    exceeded: HashSet<Limit>,
}

impl Refusals {
    /// Something is wrong at `place`.
    pub(super) fn add(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.errors.push(CompileError {
            place: place.clone(),
            message: message.into(),
            help: help.into(),
        });
    }

    /// What is at `place` is the first, or one more, that there is no room for.
    pub(super) fn exceeded(&mut self, limit: Limit, place: &Place) {
        if self.exceeded.insert(limit) {
            self.add(place, limit.message(), limit.help());
        }
    }

    /// `value`, unless anything was refused.
    pub(super) fn or<T>(self, value: T) -> Result<T, Vec<CompileError>> {
        if self.errors.is_empty() { Ok(value) } else { Err(self.errors) }
    }
}
