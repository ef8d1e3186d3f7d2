//! Contained: which cgroups show what rules ask of containers, by what container engines say.
//!
//! Between [`super::model`] and [`super::reach`]. A sign that an engine must be asked about becomes one that the
//! kernel half knows: the cgroups of those containers that show it. Who asks the engines is no matter here.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    model::{Label, RuleSet, Sign},
    words::TextGlob,
};

/// A container, as its engine tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// The cgroups, from the root of the hierarchy, of which one is its own; of a container that has been started
    /// and was found there is one, or it is among those that were expected.
    pub cgroups: Vec<Vec<u8>>,
    /// The one that it was found in, once it has been started.
    pub found: Option<Vec<u8>>,
    /// The image, as it was named when the container was made.
    pub image: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl Container {
    fn shows(&self, label: &Label, glob: &TextGlob) -> bool {
        match label {
            Label::Image => glob.matches(self.image.as_bytes()),
            Label::Name => glob.matches(self.name.as_bytes()),
            Label::Key(key) => {
                self.labels.get(key).is_some_and(|value| glob.matches(value.as_bytes()))
            }
        }
    }
}

/// Whether an agent of the set is recognised by what an engine says.
#[must_use]
pub fn asks_engines(rules: &RuleSet) -> bool {
    let mut signs = rules.agents.iter().flat_map(|agent| &agent.clauses).flatten();
    signs.any(|sign| matches!(sign, Sign::Container(..)))
}

/// Puts cgroups in the place of what engines were asked about, and gives all of them.
pub fn settle<'a>(
    rules: &mut RuleSet,
    containers: impl Iterator<Item = &'a Container> + Clone,
) -> BTreeSet<Vec<u8>> {
    let mut all = BTreeSet::new();
    for sign in rules.agents.iter_mut().flat_map(|agent| &mut agent.clauses).flatten() {
        let Sign::Container(label, glob) = sign else { continue };
        let showing = containers.clone().filter(|container| container.shows(label, glob));
        let cgroups: BTreeSet<Vec<u8>> =
            showing.flat_map(|container| container.cgroups.iter().cloned()).collect();
        all.extend(cgroups.iter().cloned());
        *sign = Sign::Inside(cgroups.into_iter().collect());
    }
    all
}
