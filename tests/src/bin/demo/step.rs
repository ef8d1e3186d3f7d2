//! A step: one act, done by the agent and by its twin, and what must come of it.

use driftwatch_tests::{
    Act, Alert, Outcome,
    ground::{SECRET, bytes_in},
    twin,
};

use crate::{far::Peer, stage::Stage};

/// What shows, apart from the actor, whether the act had an effect.
#[derive(Clone, Copy)]
pub(crate) enum Proof {
    /// Bytes of the secret that left the process.
    SecretBytes,
    /// Connections or datagrams at the far end.
    Arrived(Peer),
    /// How often the dropped program ran.
    Marker,
}

/// One act of the story.
pub(crate) struct Step {
    title: &'static str,
    rule: &'static str,
    act: Act,
    proof: Proof,
}

/// What came of a step.
pub(crate) struct Played {
    pub(crate) title: &'static str,
    pub(crate) proof: Proof,
    pub(crate) agent: Outcome,
    pub(crate) agent_effect: u64,
    pub(crate) twin: Outcome,
    pub(crate) twin_effect: u64,
    pub(crate) twin_alerts: u64,
    pub(crate) alert: Option<Alert>,
    rule: &'static str,
}

/// The whole story, in the order it is told.
pub(crate) fn all(stage: &Stage) -> Vec<Step> {
    let mut steps = directly(stage);
    steps.extend(from_a_grandchild(stage));
    steps.extend(through_io_uring(stage));
    steps
}

fn directly(stage: &Stage) -> Vec<Step> {
    vec![
        Step::read("reads the cloud credentials", stage, |act| act),
        Step::connect("connects to a peer nobody approved", stage, Peer::TcpV4, "tcp"),
        Step::exec("starts a program that somebody dropped", stage, |act| act),
    ]
}

fn from_a_grandchild(stage: &Stage) -> Vec<Step> {
    fn grandchild(act: Act) -> Act {
        act.via("setsid").via("double-fork")
    }
    let v4 = Step::send("sends a datagram over IPv4, as an orphan", stage, Peer::UdpV4);
    let v6 = Step::send("sends a datagram over IPv6, as an orphan", stage, Peer::UdpV6);
    let tcp = Step::connect("connects over IPv6, as an orphan", stage, Peer::TcpV6, "tcp");
    vec![
        Step::read("reads them as an orphan: setsid, then double fork", stage, grandchild),
        Step { act: grandchild(tcp.act), ..tcp },
        Step { act: grandchild(v4.act), ..v4 },
        Step { act: grandchild(v6.act), ..v6 },
        Step::exec("starts the dropped program, as an orphan", stage, grandchild),
    ]
}

fn through_io_uring(stage: &Stage) -> Vec<Step> {
    vec![
        Step::read("reads them through io_uring", stage, |act| act.how("io_uring")),
        Step::connect("connects through io_uring", stage, Peer::TcpV4, "io_uring"),
    ]
}

impl Step {
    fn read(title: &'static str, stage: &Stage, change: fn(Act) -> Act) -> Self {
        let act = change(Act::read(&stage.ground.secret()));
        Self { title, rule: "demo-credentials", act, proof: Proof::SecretBytes }
    }

    fn connect(title: &'static str, stage: &Stage, peer: Peer, how: &str) -> Self {
        let act = Act::connect(stage.far.address(peer)).how(how);
        Self { title, rule: "demo-egress", act, proof: Proof::Arrived(peer) }
    }

    fn send(title: &'static str, stage: &Stage, peer: Peer) -> Self {
        let act = Act::send(stage.far.address(peer));
        Self { title, rule: "demo-egress", act, proof: Proof::Arrived(peer) }
    }

    fn exec(title: &'static str, stage: &Stage, change: fn(Act) -> Act) -> Self {
        let act = change(Act::marker(&stage.ground.dropped(), &stage.ground.path("marker")));
        Self { title, rule: "demo-dropped-program", act, proof: Proof::Marker }
    }

    /// The agent acts first, then its twin.
    pub(crate) fn play(&self, stage: &Stage) -> anyhow::Result<Played> {
        let trace = stage.ground.trace("step")?;
        let act = self.act.clone().traced(&trace);
        let effect = || match self.proof {
            Proof::SecretBytes => trace.leaked_bytes(),
            Proof::Arrived(peer) => Ok(stage.far.arrived(peer)),
            Proof::Marker => Ok(bytes_in(&stage.ground.path("marker"))),
        };
        let (start, alerts) = (effect()?, stage.alerts()?.len());
        let agent = stage.agent(&act)?.outcome();
        let alert = stage.next_alert(alerts)?;
        let (after_agent, told) = (effect()?, stage.told()?);
        let twin = twin(&act)?.outcome();
        Ok(Played {
            title: self.title,
            proof: self.proof,
            agent,
            agent_effect: after_agent - start,
            twin,
            twin_effect: effect()? - after_agent,
            twin_alerts: stage.told()? - told,
            alert,
            rule: self.rule,
        })
    }
}

impl Played {
    /// Everything that is not as it must be, in words.
    pub(crate) fn objections(&self) -> Vec<String> {
        let mut objections = Vec::new();
        let mut must = |holds: bool, what: &str| {
            if !holds {
                objections.push(what.to_owned());
            }
        };
        must(self.agent == Outcome::Killed, "the agent was not killed");
        must(self.agent_effect == 0, "the act of the agent had its effect");
        let by_its_rule = self.alert.as_ref().is_some_and(|alert| alert.rule() == self.rule);
        must(by_its_rule, "there is no alert of its rule");
        must(self.twin == Outcome::Done, "the twin was not left alone");
        must(self.twin_effect == self.whole_effect(), "the act of the twin had no effect");
        must(self.twin_alerts == 0, "there is an alert for the twin");
        objections
    }

    fn whole_effect(&self) -> u64 {
        match self.proof {
            Proof::SecretBytes => SECRET.len() as u64,
            Proof::Arrived(_) | Proof::Marker => 1,
        }
    }
}
