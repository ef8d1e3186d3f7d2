//! Telling: the story on the terminal, as somebody who sees it for the first time would want it.

use driftwatch_tests::{Alert, Outcome};

use crate::{
    far::Peer,
    stage::{AGENT, Stage},
    step::{Played, Proof},
};

const WIDTH: usize = 52;

/// Who, where, under which rules.
pub(crate) fn opening(stage: &Stage) {
    println!("Driftwatch watches `{AGENT}`, under {}.", stage.rules.display());
    println!("It was approved to work here. It was not approved to read cloud credentials, to");
    println!("reach the outside world, or to start what somebody dropped. Now it does all three.");
    println!("After each act an untagged twin, the same program, does the same.");
}

/// One act: what the agent tried, what came of it, what the analyst sees, how the twin fared.
pub(crate) fn scene(number: usize, played: &Played) {
    println!("\n{number:>2}. The agent {}", played.title);
    println!(
        "      agent   {}; {}",
        ended(played.agent),
        effect(played.proof, played.agent_effect)
    );
    match &played.alert {
        Some(alert) => tell_alert(alert),
        None => println!("      alert   none"),
    }
    println!("      twin    {}; {}", ended(played.twin), effect(played.proof, played.twin_effect));
    for objection in played.objections() {
        println!("      NOT AS IT MUST BE: {objection}");
    }
}

fn tell_alert(alert: &Alert) {
    let (severity, title) = (alert.text("/rule/severity"), alert.text("/rule/title"));
    println!("      alert   {severity}: {title}");
    let done = match alert.text("/tier") {
        "" => alert.done().to_owned(),
        tier => format!("{}, tier {tier}", alert.done()),
    };
    println!("              {} {} ({done})", alert.act(), object(alert));
    let (agent, user) = (alert.agent(), alert.text("/process/user"));
    println!("              agent {agent}, session {}, user {user}", alert.show("/session"));
    let ancestry: Vec<_> =
        alert.ancestry().iter().map(|(pid, exe)| format!("{} ({pid})", last(exe))).collect();
    println!("              by {}", ancestry.join(", child of "));
    let (id, file, line) = (alert.rule(), alert.text("/rule/file"), alert.number("/rule/line"));
    println!("              rule {id}, {file}:{line}");
}

fn object(alert: &Alert) -> String {
    match alert.text("/object/address") {
        "" => alert.text("/object/path").to_owned(),
        address => {
            let (port, protocol) = (alert.number("/object/port"), alert.text("/object/protocol"));
            match address.contains(':') {
                true => format!("[{address}]:{port}/{protocol}"),
                false => format!("{address}:{port}/{protocol}"),
            }
        }
    }
}

/// The table, and whether everything was as it must be.
pub(crate) fn ending(results: &[Played]) -> bool {
    println!("\n{:<WIDTH$}  {:<14} {:<6} twin", "the agent …", "agent", "alert");
    println!("{}", "─".repeat(WIDTH + 34));
    let mut good = 0;
    for played in results {
        let alert = if played.alert.is_some() { "yes" } else { "none" };
        let fine = played.objections().is_empty();
        good += usize::from(fine);
        let mark = if fine { "" } else { "   ← not as it must be" };
        let (agent, twin) = (word(played.agent), word(played.twin));
        println!("{:<WIDTH$}  {agent:<14} {alert:<6} {twin}{mark}", played.title);
    }
    println!("\n{good} of {} as it must be.", results.len());
    good == results.len()
}

fn ended(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Killed => "killed in the kernel",
        Outcome::Refused => "refused, and alive",
        Outcome::Done => "done, and alive",
        Outcome::Failed => "failed in another way",
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Killed => "killed",
        Outcome::Refused => "refused",
        Outcome::Done => "got through",
        Outcome::Failed => "failed",
    }
}

fn effect(proof: Proof, number: u64) -> String {
    let one = |what: &str| if number == 1 { what.to_owned() } else { format!("{what}s") };
    match proof {
        Proof::SecretBytes => format!("{number} {} of the secret got out", one("byte")),
        Proof::Arrived(Peer::TcpV4 | Peer::TcpV6) => {
            format!("{number} {} accepted at the far end", one("connection"))
        }
        Proof::Arrived(Peer::UdpV4 | Peer::UdpV6) => {
            format!("{number} {} arrived at the far end", one("datagram"))
        }
        Proof::Marker => format!("the program ran {number} {}", one("time")),
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
