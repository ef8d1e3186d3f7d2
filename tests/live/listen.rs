//! Listen: a socket gets no address that the rules do not let it have, however the address is spelt, and
//! nobody else is asked.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
};

use anyhow::ensure;
use driftwatch_tests::{
    half::{self, Half},
    scenario::rule_file,
};
use monitor::event::What;
use monitor_common::{Verdict, net::Call};

use crate::claims::{alone, same};

const RULES: &str = "
  - id: local-only
    title: Agent can be reached from outside
    agents: [test-agent]
    listen: { only: ['localhost:*', '127.9.0.0/16:*'] }
    action: deny
  - id: no-admin-port
    title: Agent took the port of the administration
    agents: [test-agent]
    listen: { never: ['*:24711', '*:24712/udp'] }
    action: deny
";

fn tcp(address: &str) -> io::Result<()> {
    TcpListener::bind(address.parse::<SocketAddr>().map_err(io::Error::other)?).map(drop)
}

fn udp(address: &str) -> io::Result<()> {
    UdpSocket::bind(address.parse::<SocketAddr>().map_err(io::Error::other)?).map(drop)
}

type Bind = fn(&str) -> io::Result<()>;

/// What is asked for, by which kind of socket, and whether the rules let it be.
const TRIES: &[(&str, Bind, bool)] = &[
    ("127.0.0.1:0", tcp, true),
    ("127.0.0.1:24710", tcp, true),
    ("[::1]:24710", tcp, true),
    ("0.0.0.0:24710", tcp, false),
    ("0.0.0.0:0", tcp, false),
    ("[::]:24710", tcp, false),
    ("[::ffff:0.0.0.0]:24710", tcp, false),
    ("[::ffff:127.0.0.1]:24710", tcp, true),
    ("127.0.0.1:24711", tcp, false),
    ("127.0.0.1:24711", udp, false),
    ("127.0.0.1:24712", tcp, true),
    ("127.0.0.1:24712", udp, false),
    ("0.0.0.0:24713", udp, false),
    ("127.9.0.1:24713", udp, true),
    // A client: the port is nobody's to know before it speaks.
    ("0.0.0.0:0", udp, true),
    ("[::]:0", udp, true),
];

#[test]
fn a_socket_gets_no_address_that_the_rules_do_not_let_it_have() -> anyhow::Result<()> {
    let _alone = alone();
    let rules = half::rules(&rule_file(RULES))?;
    let mut half = Half::load()?;
    let plan = half.compile(&rules, false)?;
    half.put_in_force(&plan, &rules)?;
    half.attach()?;
    for round in 0..20 {
        for &(address, bind, allowed) in TRIES {
            let outcome = half.as_agents(&[1], || bind(address))?;
            let refused =
                matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::PermissionDenied);
            ensure!(refused != allowed, "{round}: {address}: {outcome:?}");
            ensure!(outcome.is_ok() == allowed, "{round}: {address}: {outcome:?}");
            ensure!(bind(address).is_ok(), "{round}: somebody of no session was refused {address}");
        }
    }
    let events = half.acts()?;
    let refusals = TRIES.iter().filter(|(.., allowed)| !allowed).count() * 20;
    let told = events.iter().filter(|event| match &event.what {
        What::Net(net) => net.call == Call::Bind && net.decision.done == Verdict::Deny,
        _ => false,
    });
    same("refusals told", told.count(), refusals)?;
    same("lost", half.counter("activity_lost")?, 0)
}
