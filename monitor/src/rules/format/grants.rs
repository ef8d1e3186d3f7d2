//! The section `grants`.

use super::{
    Field, Holds,
    acts::{self, ACTS},
    samples,
};

pub(super) fn fields() -> Vec<Field> {
    let mut fields = vec![
        Field::new(
            "grants",
            Holds::List(1, &Holds::Map),
            "Permissions that end by themselves. A grant lifts the one rule that it names, for these agents \
             and these objects.",
        )
        .one_of(&ACTS)
        .see(&["rules.connect.except", "rules.ask"]),
        Field::new("grants.id", Holds::GrantId, "The name of the grant. There is one of that id in a set.")
            .required(),
        Field::new("grants.rule", Holds::Name, "The id of the rule that is lifted.")
            .required()
            .see(&["rules.id"]),
        Field::new(
            "grants.agents",
            Holds::List(1, &Holds::Name),
            "The agents it is lifted for. Each must be one that the rule is about.",
        )
        .required()
        .see(&["rules.agents"]),
    ];
    fields.extend(ACTS.map(|act| {
        let (items, meaning) = acts::items(act);
        let meaning = format!("What it is lifted for; the act must be the rule's. {meaning}");
        Field::new(format!("grants.{act}"), items, meaning)
    }));
    fields.extend([
        Field::new(
            "grants.until",
            Holds::End,
            "When the grant ends: a day counts to its end in UTC. It may be 30 days ahead at most.",
        )
        .required()
        .see(&["rules.connect.except.until"]),
        Field::new(
            "grants.uses",
            Holds::Count,
            "How often it lifts the rule, over all its agents and sessions: 1 to 1000. Each act that the rule \
             would have been hit by is one use. Then the grant is spent. Without this it lasts until its end.",
        ),
        Field::new("grants.reason", Holds::Prose, "Why.").required(),
        Field::new("grants.by", Holds::Line, "Who gave it.").required(),
    ]);
    fields.into_iter().map(sampled).collect()
}

/// The acts but one are shown together.
fn sampled(field: Field) -> Field {
    let other = ACTS.contains(&field.key()) && field.key() != "connect";
    field.sample(if other { samples::GRANTED_ACTS } else { samples::GRANTS })
}
