//! A daemon that panics: loads the kernel half, gives it a rule, attaches it, says so, and panics as
//! soon as its standard input ends. Whoever started it looks at what is left.

use std::io::{self, Read, Write};

use anyhow::{Context, anyhow};
use monitor::{
    kernel::Kernel,
    rules::{
        SourceFile, Users,
        compile::{Ground, compile},
        evaluate::Tier,
        glob::Homes,
        load,
        model::Moment,
    },
};

const RULES: &str = "version: 1
mode: monitor
agents:
  nobody: { any: [{ launched-as: nobody }] }
rules:
  - id: nothing
    title: Nobody did nothing
    agents: [nobody]
    read: { never: [/nowhere] }
    action: alert
";

fn main() -> anyhow::Result<()> {
    const SECRET: u64 = 0x5eed;
    let file = SourceFile { name: "nothing.yaml".to_owned(), text: RULES.into() };
    let rules = load(&[file], &Users::default(), Moment::now())
        .map_err(|found| anyhow!(found.render(false)))?;
    let ground = Ground {
        secret: SECRET,
        homes: &Homes(Vec::new()),
        tier: &Tier::REACT,
        serial: 1,
        agent_numbers: &[1],
        watch: false,
    };
    let plan = compile(&rules, &ground).map_err(|errors| anyhow!("{errors:?}"))?;
    let mut kernel = Kernel::load(SECRET, false)?;
    let bank = kernel.plans.prepare(&plan)?;
    kernel.plans.switch(bank)?;
    kernel.attach()?;
    io::stdout().write_all(b"attached\n")?;
    io::stdin().read_to_end(&mut Vec::new()).context("standard input")?;
    panic!("as asked")
}
