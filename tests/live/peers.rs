//! Peers: ports, protocols and the names of this host mean what a rule file says.

use std::net::SocketAddr;

use anyhow::ensure;
use driftwatch_tests::{Act, Ground, Scenario, Tally, TcpCanary, UdpCanary};

use crate::claims::{SOON, TIMES, agent_ends, alone, same, twin_is_left_alone};

fn never(destination: &str) -> anyhow::Result<Scenario> {
    let rule = format!(
        "
  - id: peers-are-shut
    title: Agent reached for a peer
    agents: [test-agent]
    connect: {{ never: ['{destination}'] }}
    action: deny
"
    );
    Scenario::start(Ground::new()?, &rule)
}

fn refused(scenario: &Scenario, act: &Act) -> anyhow::Result<()> {
    agent_ends(scenario, act, Tally::all_refused(TIMES))
}

fn done(scenario: &Scenario, act: &Act) -> anyhow::Result<()> {
    agent_ends(scenario, act, Tally::all_done(TIMES))
}

#[test]
fn a_port_in_a_rule_is_that_port_alone() -> anyhow::Result<()> {
    let _alone = alone();
    let (shut, open) = (TcpCanary::bind("127.0.0.1:0")?, TcpCanary::bind("127.0.0.1:0")?);
    let scenario = never(&shut.address().to_string())?;
    refused(&scenario, &Act::connect(shut.address()))?;
    same("connections", shut.accepted(), 0)?;
    done(&scenario, &Act::connect(open.address()))
}

#[test]
fn a_port_of_any_address_is_that_port_everywhere() -> anyhow::Result<()> {
    let _alone = alone();
    let (v4, v6) = (TcpCanary::bind("127.0.0.1:0")?, TcpCanary::bind("[::1]:0")?);
    let scenario = never(&format!("*:{}", v4.address().port()))?;
    refused(&scenario, &Act::connect(v4.address()))?;
    let same_port = SocketAddr::new(v6.address().ip(), v4.address().port());
    refused(&scenario, &Act::connect(same_port))?;
    done(&scenario, &Act::connect(v6.address()))
}

#[test]
fn a_rule_for_udp_does_not_hold_for_tcp() -> anyhow::Result<()> {
    let _alone = alone();
    let tcp = TcpCanary::bind("127.0.0.1:0")?;
    let udp = UdpCanary::bind(&tcp.address().to_string())?;
    let scenario = never(&format!("{}/udp", tcp.address()))?;
    refused(&scenario, &Act::send(udp.address()))?;
    refused(&scenario, &Act::connect(udp.address()).how("udp"))?;
    same("datagrams", udp.arrived(), 0)?;
    done(&scenario, &Act::connect(tcp.address()))
}

#[test]
fn a_rule_for_tcp_does_not_hold_for_udp() -> anyhow::Result<()> {
    let _alone = alone();
    let tcp = TcpCanary::bind("[::1]:0")?;
    let udp = UdpCanary::bind(&tcp.address().to_string())?;
    let scenario = never(&format!("{}/tcp", tcp.address()))?;
    refused(&scenario, &Act::connect(tcp.address()))?;
    same("connections", tcp.accepted(), 0)?;
    done(&scenario, &Act::send(udp.address()))
}

#[test]
fn localhost_is_all_of_loopback_in_both_families() -> anyhow::Result<()> {
    let _alone = alone();
    let scenario = never("localhost:*")?;
    for address in ["127.0.0.1:0", "127.66.1.2:0", "[::1]:0"] {
        let canary = TcpCanary::bind(address)?;
        refused(&scenario, &Act::connect(canary.address()))?;
        same("connections", canary.accepted(), 0)?;
    }
    Ok(())
}

/// The unspecified address reaches this host, so it counts as this host.
fn counts_as_localhost(unspecified: &str, at: &str, how: &str) -> anyhow::Result<()> {
    let _alone = alone();
    let canary = TcpCanary::bind(at)?;
    let peer = SocketAddr::new(unspecified.parse()?, canary.address().port());
    let connect = Act::connect(peer).how(how);
    let scenario = never("localhost:*")?;
    refused(&scenario, &connect)?;
    same("connections", canary.accepted(), 0)?;
    twin_is_left_alone(&connect)
}

#[test]
fn the_unspecified_ipv4_address_counts_as_localhost() -> anyhow::Result<()> {
    counts_as_localhost("0.0.0.0", "127.0.0.1:0", "tcp")
}

#[test]
fn the_unspecified_ipv6_address_counts_as_localhost() -> anyhow::Result<()> {
    counts_as_localhost("::", "[::1]:0", "tcp")
}

#[test]
fn the_unspecified_mapped_address_counts_as_localhost() -> anyhow::Result<()> {
    counts_as_localhost("0.0.0.0", "127.0.0.1:0", "mapped")
}

/// Rules that need a name of a peer, with tests that a plan must answer for, and one that does not.
const NAMED: &str = "
  - id: only-by-name
    title: Agent left the approved hosts
    agents: [test-agent]
    connect: { only: ['127.66.0.0/16:*', 'api.example.org:443'] }
    action: deny
  - id: never-by-name
    title: Agent reached for a host
    agents: [test-agent]
    connect: { never: ['*.example.net'] }
    action: kill
  - id: excepted-by-name
    title: Agent reached for a peer
    agents: [test-agent]
    connect: { never: ['*'], except: [{ to: ['api.example.org'], reason: approved }] }
    action: kill
  - id: by-both
    title: Agent reached for a peer
    agents: [test-agent]
    connect: { never: ['127.77.0.1', 'example.com'] }
    action: deny
tests:
  - { name: host, agent: test-agent, connect: 'api.example.org:443', expect: allow }
  - { name: port, agent: test-agent, connect: 'api.example.org:80', expect: deny }
  - { name: below, agent: test-agent, connect: 'a.example.net:443', expect: kill }
  - { name: address, agent: test-agent, connect: '127.77.0.1:80', expect: kill }
";

#[test]
fn a_rule_that_needs_a_name_stops_nobody_by_an_address() -> anyhow::Result<()> {
    let _alone = alone();
    let (shut, open) = (TcpCanary::bind("127.77.0.1:0")?, TcpCanary::bind("127.78.0.1:0")?);
    let scenario = Scenario::start(Ground::new()?, NAMED)?;
    done(&scenario, &Act::connect(open.address()))?;
    refused(&scenario, &Act::connect(shut.address()))?;
    same("connections", shut.accepted(), 0)?;
    let alerts = scenario.wait_for_alerts(u64::from(TIMES), SOON)?;
    let other = alerts.iter().find(|alert| alert.rule() != "by-both");
    ensure!(other.is_none(), "{other:?}");
    let status = scenario.daemon.status()?;
    same("disagreements", status["events"]["disagreements"].as_u64().unwrap_or(1), 0)?;
    same("rules", status["rules"]["rules"].as_u64().unwrap_or(0), 1)?;
    let lost = status["rules"]["not_enforced"].to_string();
    for rule in ["only-by-name", "never-by-name", "excepted-by-name"] {
        ensure!(lost.contains(&format!("rule `{rule}` is not enforced here")), "{lost}");
    }
    ensure!(lost.contains("rule `by-both` is enforced without example.com"), "{lost}");
    Ok(())
}
