//! Chosen: the live tests that every run of `test` tries on other kernels than this machine's, too.
//!
//! All of them take over an hour for each kernel. These are what differs most from kernel to kernel: what the doctor
//! says, that nothing happens before the answer, and of each kind of hook one act that is refused beside one that is
//! not. They are asked for by their whole names, and one that is not there is a failure.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Machine, kernel, live, visit};
use crate::checkout::Checkout;
use crate::setup::{self, Scope};
use crate::test::Tally;

/// A kernel, and its boot parameter `lsm=` where that is not the kernel's own choice.
const HOSTS: [(&str, Option<&str>); 3] =
    [("6.12", None), ("6.1", None), ("6.12", Some("lockdown,capability,landlock"))];
/// Live tests by their names.
const TESTS: [&str; 11] = [
    "adoption::a_program_that_another_thread_becomes_is_under_the_rules",
    "before::of_five_operations_that_are_shut_none_has_an_effect_and_everybody_who_tries_is_dead",
    "doctor::of_each_act_it_says_what_a_daemon_does",
    "doctor::on_each_kind_of_host_it_says_what_is_written_down",
    "exec::a_program_that_no_rule_names_runs",
    "listen::a_socket_gets_no_address_that_the_rules_do_not_let_it_have",
    "load::code_that_is_mapped_never_runs",
    "load::code_that_no_rule_names_runs",
    "privilege::a_rule_with_only_lets_the_rights_through_that_it_names",
    "rules::a_write_is_not_a_read",
    "rules::of_peers_only_the_listed_ones_are_reached",
];
/// How often a claim is tried, where `DRIFTWATCH_TIMES` does not say it.
const TIMES: &str = "5";
/// For one kernel. It takes three minutes where nothing else is done.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Runs those of them whose names contain one of `filter`, or all, on each of the kernels, and counts them together.
/// An error where they cannot be built, or a guest does not come up or reports a fault in itself.
pub(crate) fn run(checkout: &Checkout, filter: &[String]) -> Result<Tally> {
    let tests = asked_for(filter);
    if tests.is_empty() {
        return Ok(Tally::good());
    }
    let toolchain = setup::ensure(checkout, Scope::Guest)?;
    let luggage = live::build(checkout, toolchain, &live::times(TIMES))?;
    let mut together = Tally::good();
    for (version, lsm) in HOSTS {
        let kernel = kernel(checkout, version)?;
        let mut machine = Machine::default();
        machine.words.extend(lsm.map(|words| format!("lsm={words}")));
        let errand = live::exactly(checkout, &tests);
        let print = |line: &str| println!("{line}");
        let ended = visit(checkout, &kernel, &machine, &luggage, &errand, LIMIT, print)?;
        let tally = ended.tally();
        ensure!(
            tally.tests() as usize == tests.len(),
            "{} tests ran on {version}, not {}: one has another name now",
            tally.tests(),
            tests.len()
        );
        together.join(tally);
    }
    Ok(together)
}

fn asked_for(filter: &[String]) -> Vec<String> {
    let is_asked_for =
        |test: &&str| filter.is_empty() || filter.iter().any(|word| test.contains(&**word));
    TESTS.iter().copied().filter(is_asked_for).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_chosen_test_is_there() {
        let live = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/live");
        for test in TESTS {
            let (module, name) = test.split_once("::").unwrap();
            let text = std::fs::read_to_string(live.join(format!("{module}.rs"))).unwrap();
            assert!(text.contains(&format!("#[test]\nfn {name}()")), "{test}");
        }
    }

    #[test]
    fn a_filter_takes_some_of_them() {
        assert_eq!(asked_for(&[]).len(), TESTS.len());
        assert_eq!(asked_for(&["of_peers_only".to_owned(), "before::".to_owned()]).len(), 2);
        assert!(asked_for(&["nothing is called like this".to_owned()]).is_empty());
    }
}
