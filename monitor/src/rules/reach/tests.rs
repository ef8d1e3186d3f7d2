//! What is left out of a plan is what no hook sees, and nobody is stopped by what is left out.

use monitor_common::{Act, Verdict};

use super::*;
use crate::rules::{
    SourceFile, Users,
    evaluate::{Attempt, Tier, evaluate},
    glob::Homes,
    load,
    model::Object,
};

/// 2026-11-22, noon.
const NOW: Moment = Moment::constant(1_795_348_800, 0);

const RULES: &str = r#"version: 1
mode: enforce
agents:
  one: { any: [{ exe: /opt/one }, { env: [ONE=1] }, { container: { name: one } }] }
  two: { any: [{ container: { image: two } }, { user: [nobody-here] }] }
  both: { any: [{ agent: one }, { agent: two }] }
rules:
  - { id: named, title: t, agents: [one], connect: { only: ["10.0.0.0/8:*", "a.example:443"] }, action: deny }
  - { id: unnamed, title: t, agents: [one], connect: { only: ["10.0.0.0/8:*", "unix:/run/x"] }, action: deny }
  - { id: some, title: t, agents: [one], connect: { never: [192.0.2.1, a.example] }, action: deny }
  - { id: none, title: t, agents: [one], connect: { never: [a.example] }, action: deny }
  - id: lifted-by-name
    title: t
    agents: [one]
    connect: { never: ["*"], except: [{ to: [a.example], reason: r }] }
    action: deny
  - { id: exec, title: t, agents: [one], exec: { never: [nc, memfd, { path: git, args: "push **" }] }, action: deny }
  - { id: listen, title: t, agents: [one], listen: { never: ["*:80"] }, action: deny }
  - { id: rights, title: t, agents: [one], privilege: { never: [bpf] }, action: deny }
  - { id: story, title: t, agents: [one], sequence: { within: 1m, steps: [{ read: [/a] }, { read: [/b] }] }, action: kill }
  - id: granted
    title: t
    agents: [both]
    read:
      never: [/s/**]
      except:
        - { path: [/s/ended], reason: r, until: 2026-01-01 }
        - { path: [/s/later], reason: r, until: 2027-01-01 }
    action: kill
grants:
  - { id: G-1, rule: granted, agents: [one], read: [/s/one], until: 2026-11-23, reason: r, by: b }
"#;

fn rules() -> RuleSet {
    let file = SourceFile { name: "r.yaml".to_owned(), text: RULES.as_bytes().to_vec() };
    load(&[file], &Users::default(), NOW).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn what_no_hook_sees_is_left_out_and_said() {
    let reach = within(&rules(), NOW);
    let said: Vec<String> = reach.shortfalls.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(said.join("\n"));
    let left = |named| {
        let rules = reach.rules.rules.iter().filter(move |rule| needs_name(rule) == named);
        rules.map(|rule| &*rule.id).collect::<Vec<_>>()
    };
    assert_eq!(left(false), ["unnamed", "some", "exec", "listen", "rights", "granted", "granted"]);
    assert_eq!(left(true), ["named", "none", "lifted-by-name"], "in the plan, for who knows names");
    assert_eq!(reach.rules.agents[0].clauses.len(), 2);
    assert_eq!(reach.rules.agents[1].clauses.len(), 0, "a user that this host has not");
    assert_eq!(reach.until.map(|until| until.to_string()).as_deref(), Some("2026-11-24T00:00:00Z"));
}

#[test]
fn grants_and_ends_mean_the_same_within() {
    let whole = rules();
    let reach = within(&whole, NOW).rules;
    for path in ["/s/x", "/s/ended", "/s/later", "/s/one"] {
        for agents in [&[0][..], &[1], &[0, 1]] {
            let object = Object::Path(path.into());
            let attempt = Attempt::new(agents, Act::Read, &object, NOW);
            let ruling = |rules| evaluate(rules, &Tier::PREVENT, &Homes::default(), &attempt).done;
            assert_eq!(ruling(&reach), ruling(&whole), "{path} {agents:?}");
            let free = path == "/s/later" || path == "/s/one" && agents == [0];
            assert_eq!(ruling(&whole), if free { Verdict::Allow } else { Verdict::Kill }, "{path}");
        }
    }
    // A year later nothing is excepted any more, and the plan is another.
    let later = NOW + jiff::SignedDuration::from_hours(24 * 365);
    let object = Object::Path(b"/s/later".to_vec());
    let attempt = Attempt::new(&[0], Act::Read, &object, later);
    let ruling = evaluate(&whole, &Tier::PREVENT, &Homes::default(), &attempt);
    assert_eq!(ruling.done, Verdict::Kill);
    let granted = within(&whole, later).rules.rules;
    let granted = granted.iter().filter(|rule| rule.id == "granted").count();
    assert_eq!(granted, 1, "no grant divides the rule");
    assert_eq!(within(&whole, later).until, None);
}

/// A grant by name: the hooks cannot see it, and so must not hold the rule against whom it was given to.
const GRANTED_BY_NAME: &str = r#"version: 1
mode: enforce
agents:
  one: { any: [{ exe: /opt/one }] }
  two: { any: [{ exe: /opt/two }] }
rules:
  - { id: out, title: t, agents: [one, two], connect: { never: ["*"] }, action: deny }
grants:
  - { id: G-1, rule: out, agents: [one], connect: [a.example], until: 2026-11-23, reason: r, by: b }
"#;

#[test]
fn who_was_granted_nothing_by_name_is_refused_all_the_same() {
    let file = SourceFile { name: "r.yaml".to_owned(), text: GRANTED_BY_NAME.as_bytes().to_vec() };
    let rules =
        load(&[file], &Users::default(), NOW).unwrap_or_else(|problems| panic!("{problems}"));
    let reach = within(&rules, NOW);
    let said: Vec<String> = reach.shortfalls.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(said.join("\n"));
    let report = here::Report::new(&rules, &Tier::REACT, NOW);
    insta::assert_snapshot!(report.to_string());
    let address = "2001:db8::1".parse().expect("an address");
    let peer = Object::Peer { address, port: 443, protocol: 6 };
    let host = |name: &str| Object::Host { name: name.to_owned(), port: 443, protocol: 6 };
    for (agents, object, done) in [
        (&[0][..], peer.clone(), Verdict::Allow),
        (&[1], peer.clone(), Verdict::Deny),
        (&[0, 1], peer, Verdict::Deny),
        (&[0], host("a.example"), Verdict::Allow),
        (&[0], host("b.example"), Verdict::Deny),
        (&[1], host("a.example"), Verdict::Deny),
        (&[0, 1], host("a.example"), Verdict::Deny),
    ] {
        let attempt = Attempt::new(agents, Act::Connect, &object, NOW);
        let ruling = evaluate_here(&reach.rules, &Tier::REACT, &Homes::default(), &attempt);
        assert_eq!(ruling.done, done, "{agents:?} {object:?}");
    }
}
