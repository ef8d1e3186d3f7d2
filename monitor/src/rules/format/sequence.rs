//! Sequences: a rule about several acts, one after the other.

use super::{
    Field, Holds,
    acts::{self, ACTS},
    samples,
};

pub(super) fn fields() -> Vec<Field> {
    let mut fields = vec![
        Field::new(
            "rules.sequence",
            Holds::Map,
            "Acts that are harmless alone and not one after the other. The first steps only arm the rule; \
             the last one is the act that hits.",
        )
        .sample(samples::SEQUENCE)
        .see(&["tests.after"]),
        Field::new(
            "rules.sequence.within",
            Holds::Duration,
            "The time from the first step to the last that is still one sequence.",
        )
        .required()
        .sample(samples::SEQUENCE),
        Field::new(
            "rules.sequence.by",
            Holds::Word(&["session", "process", "user"]),
            "Whose acts are counted together: those of one run of an agent with all its processes, of one \
             process, of one user.",
        )
        .default("session")
        .sample(samples::SEQUENCE),
        Field::new(
            "rules.sequence.steps",
            Holds::List(2, &Holds::Map),
            "The acts in their order, each with its objects.",
        )
        .one_of(&ACTS)
        .required()
        .sample(samples::SEQUENCE),
    ];
    for act in ACTS {
        let (items, meaning) = acts::items(act);
        let path = format!("rules.sequence.steps.{act}");
        let step = either(items);
        let sample = if act == "connect" { samples::SEQUENCE } else { samples::STEPS };
        fields.push(
            Field::new(
                path.clone(),
                step,
                format!("The step is an act upon one of these. {meaning}"),
            )
            .sample(sample),
        );
        let not = format!("The step is an act upon anything but these. {meaning}");
        fields.push(
            Field::new(format!("{path}.not"), items, not).required().sample(samples::SEQUENCE),
        );
    }
    fields
}

fn either(items: Holds) -> Holds {
    match items {
        Holds::List(_, Holds::Program) => {
            Holds::Either(&Holds::List(1, &Holds::Program), &Holds::Map)
        }
        Holds::List(_, Holds::File) => Holds::Either(&Holds::List(1, &Holds::File), &Holds::Map),
        Holds::List(_, Holds::Destination) => {
            Holds::Either(&Holds::List(1, &Holds::Destination), &Holds::Map)
        }
        Holds::List(_, Holds::Local) => Holds::Either(&Holds::List(1, &Holds::Local), &Holds::Map),
        _ => Holds::Either(&Holds::List(1, &Holds::Privilege), &Holds::Map),
    }
}
