//! Peers: whatever is sent to one that is shut does not arrive, over every family and every call.

use std::net::SocketAddr;

use driftwatch_tests::{Act, Ground, Scenario, Tally, TcpCanary, UdpCanary};

use crate::claims::{TIMES, agent_ends, alerts_tell, alone, same, twin_is_left_alone};

/// One IPv4 network, and one port of the only IPv6 address that loopback has.
fn peers_are_shut(v6: SocketAddr, action: &str) -> String {
    format!(
        "
  - id: peers-are-shut
    title: Agent reached for a peer
    agents: [test-agent]
    connect: {{ never: ['127.66.0.0/16', '[::1]:{}'] }}
    action: {action}
    severity: high
",
        v6.port()
    )
}

/// What comes of two hundred attempts under a rule with this action.
fn tally(action: &str) -> Tally {
    if action == "kill" { Tally::all_killed(TIMES) } else { Tally::all_refused(TIMES) }
}

/// Under deny and under kill nothing is accepted from the agent, and everything from its twin.
fn no_connection_is_accepted(address: &str, how: &str) -> anyhow::Result<()> {
    let _alone = alone();
    let canary = TcpCanary::bind(address)?;
    let connect = Act::connect(canary.address()).how(how);
    for action in ["deny", "kill"] {
        let rules = peers_are_shut(canary.address(), action);
        let scenario = Scenario::start(Ground::new()?, &rules)?;
        agent_ends(&scenario, &connect, tally(action))?;
        alerts_tell(&scenario, TIMES, "connect", "peers-are-shut", action)?;
        same("connections accepted", canary.accepted(), 0)?;
        if action == "kill" {
            twin_is_left_alone(&connect)?;
            let accepted = canary.wait_for(u64::from(TIMES))?;
            same("connections of the twin", accepted, u64::from(TIMES))?;
            same("alerts beside the twin", scenario.alerts()?.len(), TIMES as usize)?;
        }
    }
    Ok(())
}

/// The same for datagrams.
fn no_datagram_arrives(address: &str, act: impl Fn(SocketAddr) -> Act) -> anyhow::Result<()> {
    let _alone = alone();
    let canary = UdpCanary::bind(address)?;
    let send = act(canary.address());
    for action in ["deny", "kill"] {
        let rules = peers_are_shut(canary.address(), action);
        let scenario = Scenario::start(Ground::new()?, &rules)?;
        agent_ends(&scenario, &send, tally(action))?;
        alerts_tell(&scenario, TIMES, "connect", "peers-are-shut", action)?;
        same("datagrams arrived", canary.arrived(), 0)?;
        if action == "kill" {
            twin_is_left_alone(&send)?;
            let arrived = canary.wait_for(u64::from(TIMES))?;
            same("datagrams of the twin", arrived, u64::from(TIMES))?;
            same("alerts beside the twin", scenario.alerts()?.len(), TIMES as usize)?;
        }
    }
    Ok(())
}

#[test]
fn tcp_connections_are_not_accepted_over_ipv4() -> anyhow::Result<()> {
    no_connection_is_accepted("127.66.0.1:0", "tcp")
}

#[test]
fn tcp_connections_are_not_accepted_over_ipv6() -> anyhow::Result<()> {
    no_connection_is_accepted("[::1]:0", "tcp")
}

#[test]
fn tcp_connections_are_not_accepted_from_mapped_addresses() -> anyhow::Result<()> {
    no_connection_is_accepted("127.66.0.1:0", "mapped")
}

#[test]
fn tcp_connections_are_not_accepted_with_fast_open_over_ipv4() -> anyhow::Result<()> {
    no_connection_is_accepted("127.66.0.1:0", "fastopen")
}

#[test]
fn tcp_connections_are_not_accepted_with_fast_open_over_ipv6() -> anyhow::Result<()> {
    no_connection_is_accepted("[::1]:0", "fastopen")
}

#[test]
fn tcp_connections_are_not_accepted_without_blocking() -> anyhow::Result<()> {
    no_connection_is_accepted("127.66.0.1:0", "nonblock")
}

#[test]
fn tcp_connections_are_not_accepted_through_io_uring() -> anyhow::Result<()> {
    no_connection_is_accepted("127.66.0.1:0", "io_uring")
}

#[test]
fn tcp_connections_are_not_accepted_through_a_worker_of_io_uring() -> anyhow::Result<()> {
    no_connection_is_accepted("[::1]:0", "io_uring-async")
}

#[test]
fn udp_sockets_are_not_connected_over_ipv4() -> anyhow::Result<()> {
    no_datagram_arrives("127.66.0.1:0", |peer| Act::connect(peer).how("udp"))
}

#[test]
fn udp_sockets_are_not_connected_over_ipv6() -> anyhow::Result<()> {
    no_datagram_arrives("[::1]:0", |peer| Act::connect(peer).how("udp"))
}

#[test]
fn udp_sockets_are_not_connected_to_mapped_addresses() -> anyhow::Result<()> {
    no_datagram_arrives("127.66.0.1:0", |peer| Act::connect(peer).how("mapped-udp"))
}

#[test]
fn udp_datagrams_do_not_arrive_over_ipv4() -> anyhow::Result<()> {
    no_datagram_arrives("127.66.0.1:0", Act::send)
}

#[test]
fn udp_datagrams_do_not_arrive_over_ipv6() -> anyhow::Result<()> {
    no_datagram_arrives("[::1]:0", Act::send)
}

#[test]
fn udp_datagrams_do_not_arrive_from_mapped_addresses() -> anyhow::Result<()> {
    no_datagram_arrives("127.66.0.1:0", |peer| Act::send(peer).how("v4-on-v6"))
}

#[test]
fn udp_datagrams_do_not_arrive_by_sendmsg() -> anyhow::Result<()> {
    no_datagram_arrives("127.66.0.1:0", |peer| Act::send(peer).how("sendmsg"))
}

#[test]
fn udp_datagrams_do_not_arrive_by_sendmmsg() -> anyhow::Result<()> {
    no_datagram_arrives("[::1]:0", |peer| Act::send(peer).how("sendmmsg"))
}

#[test]
fn udp_datagrams_do_not_arrive_through_io_uring() -> anyhow::Result<()> {
    no_datagram_arrives("127.66.0.1:0", |peer| Act::send(peer).how("io_uring"))
}

#[test]
fn udp_datagrams_do_not_arrive_from_a_socket_connected_elsewhere() -> anyhow::Result<()> {
    let permitted = UdpCanary::bind("127.0.0.1:0")?;
    let elsewhere = permitted.address().to_string();
    no_datagram_arrives("127.66.0.1:0", |peer| {
        Act::send(peer).how("connected-elsewhere").option("--elsewhere", &elsewhere)
    })
}

#[test]
fn a_peer_that_no_rule_names_is_reached_by_the_agent() -> anyhow::Result<()> {
    let _alone = alone();
    let shut = TcpCanary::bind("[::1]:0")?;
    let scenario = Scenario::start(Ground::new()?, &peers_are_shut(shut.address(), "kill"))?;
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let canary = TcpCanary::bind(address)?;
        let connect = Act::connect(canary.address());
        agent_ends(&scenario, &connect, Tally::all_done(TIMES))?;
        same("connections", canary.wait_for(u64::from(TIMES))?, u64::from(TIMES))?;
    }
    same("alerts", scenario.alerts()?.len(), 0)
}
