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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{
        SourceFile, Users,
        compile::{Ground, compile},
        evaluate::Tier,
        glob::Homes,
        load,
        model::Moment,
        plan::KernelPlan,
        reach::within,
        recognise::Start,
    };

    const NOW: Moment = Moment::constant(1_795_348_800, 0);
    const ID: &str = "3f2a4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70819";

    fn recognised(plan: &KernelPlan, exe: &str, cgroup: &str) -> Vec<u32> {
        let (exe, cgroup) = (exe.as_bytes(), cgroup.as_bytes());
        plan.recognise(&Start { exe, cgroup, ..Start::default() })
    }

    /// The plan of agents with these signs, numbered from 1, beside these containers.
    fn plan(signs: &[&str], containers: &[Container]) -> KernelPlan {
        let agents: String = signs
            .iter()
            .enumerate()
            .map(|(number, signs)| format!("  agent-{number}: {{ {signs} }}\n"))
            .collect();
        let text = format!("version: 1\nagents:\n{agents}");
        let file = SourceFile { name: "r.yaml".to_owned(), text: text.into_bytes() };
        let mut rules =
            load(&[file], &Users::default(), NOW).unwrap_or_else(|error| panic!("{error}"));
        settle(&mut rules, containers.iter());
        let reach = within(&rules, NOW);
        assert_eq!(reach.shortfalls, []);
        let numbers: Vec<u32> = (1..).take(signs.len()).collect();
        let ground = Ground {
            secret: 7,
            homes: &Homes::default(),
            tier: &Tier::REACT,
            serial: 1,
            agent_numbers: &numbers,
            watch: false,
        };
        compile(&reach.rules, &ground).expect("a small plan")
    }

    fn container(cgroup: &str, name: &str, image: &str, labels: &[(&str, &str)]) -> Container {
        Container {
            cgroups: vec![cgroup.as_bytes().to_vec()],
            found: None,
            image: image.to_owned(),
            name: name.to_owned(),
            labels: labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        }
    }

    #[test]
    fn an_agent_is_who_is_in_a_container_that_shows_its_signs() {
        let signs = [
            "any: [{ container: { image: 'ghcr.io/*/rag:*' } }]",
            "any: [{ container: { name: rag-* } }, { container: { label: { a: b } } }]",
            "all: [{ container: { name: rag-* } }, { exe: /opt/rag }]",
        ];
        let containers = [
            container("/one", "x", "ghcr.io/acme/rag:1", &[]),
            container("/two", "rag-2", "rag", &[("b", "a")]),
            container("/three", "three", "ghcr.io/acme/rag", &[("a", "b"), ("c", "d")]),
        ];
        let plan = plan(&signs, &containers);
        for (exe, cgroup, agents) in [
            ("/bin/sh", "/one", &[1][..]),
            ("/bin/sh", "/one/below/it", &[1]),
            ("/bin/sh", "/one-more", &[]),
            ("/bin/sh", "/two", &[2]),
            ("/opt/rag", "/two", &[2, 3]),
            ("/opt/rag", "/two/below", &[2, 3]),
            ("/opt/rag", "/three", &[2]),
            ("/opt/rag", "/", &[]),
        ] {
            assert_eq!(recognised(&plan, exe, cgroup), agents, "{exe} {cgroup}");
        }
    }

    #[test]
    fn without_containers_nobody_is_recognised_and_the_plan_has_the_room() {
        let signs = ["any: [{ container: { name: '*' } }]"];
        let plan = plan(&signs, &[]);
        assert_eq!(plan.clauses.len(), 1);
        assert!(recognised(&plan, "/bin/sh", "/").is_empty());
    }

    #[test]
    fn an_id_is_known_by_the_cgroup_that_each_engine_makes() {
        let whole = format!("any: [{{ container: {{ id: {ID} }} }}]");
        let beginning = "any: [{ container: { id: 3f2a4c5d6e7f* } }]";
        let plan = plan(&[&whole, beginning], &[]);
        for path in [
            "/system.slice/docker-ID.scope",
            "/docker/ID",
            "/docker/ID/init.scope",
            "/machine.slice/libpod-ID.scope/container",
            "/system.slice/nerdctl-ID.scope",
            "/k8s.io/ID",
            "/kubepods/besteffort/pod1b2c/ID",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1b2c.slice/cri-containerd-ID.scope",
            "/kubepods.slice/kubepods-pod1b2c.slice/crio-ID.scope",
        ] {
            let path = path.replace("ID", ID);
            assert_eq!(recognised(&plan, "/bin/sh", &path), [1, 2], "{path}");
        }
        let other = "/docker/ID".replace("ID", &ID.replace('3', "4"));
        assert!(recognised(&plan, "/bin/sh", &other).is_empty());
    }
}
