//! `setup`: what the eBPF half needs to be built, installed once and then only looked at.
//!
//! ```text
//! facts (look at this machine) ──► plan (decide, pure) ──► install (do the steps)
//! ```
//! Nothing is installed that the plan has not listed first.

mod facts;
mod install;
mod plan;

use std::process::ExitCode;

use anyhow::Result;

use crate::checkout::Checkout;
use crate::progress;

use facts::Facts;
use plan::{Action, Plan, plan};

pub(crate) use facts::effective_user;
pub(crate) use plan::{Scope, Toolchain};

/// Sets up everything, also what only the live tests need.
pub(crate) fn run(checkout: &Checkout) -> Result<ExitCode> {
    let toolchain = ensure(checkout, Scope::Everything)?;
    eprintln!("setup: {}: the eBPF half is built by `{}`", progress::good("ok"), toolchain.name());
    Ok(ExitCode::SUCCESS)
}

/// Prints what is missing and what would be installed.
pub(crate) fn list() -> Result<ExitCode> {
    let plan = plan(&Facts::gather(), Scope::Everything)?;
    let missing = listing(&plan);
    if missing.is_empty() {
        println!("setup: nothing to install");
    } else {
        println!("setup would install:\n{missing}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Installs what `scope` lacks on this machine and says which toolchain builds the eBPF half.
pub(crate) fn ensure(checkout: &Checkout, scope: Scope) -> Result<Toolchain> {
    let mut facts = Facts::gather();
    let mut decided = plan(&facts, scope)?;
    if decided.wants_package_lists(&facts) {
        let named = "package lists";
        progress::step("setup", (0, decided.steps.len()), named, install::package_lists)?;
        facts = Facts { fresh_lists: true, ..Facts::gather() };
        decided = plan(&facts, scope)?;
    }
    let missing = listing(&decided);
    if !missing.is_empty() {
        eprintln!("setup installs what is missing:\n{missing}");
    }
    let of = decided.steps.len();
    for (number, step) in decided.steps.iter().enumerate() {
        progress::step("setup", (number + 1, of), &step.name, || match &step.action {
            None => Ok(progress::Outcome::Present),
            Some(action) => install::install(checkout, action, &facts),
        })?;
    }
    Ok(decided.toolchain)
}

/// One indented line for each step that has something to do.
fn listing(plan: &Plan) -> String {
    let lines = plan.steps.iter().filter_map(|step| {
        let action = step.action.as_ref()?;
        Some(format!("  {:<18}{}", step.name, Action::describe(action)))
    });
    lines.collect::<Vec<_>>().join("\n")
}
