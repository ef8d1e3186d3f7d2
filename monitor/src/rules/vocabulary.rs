//! Vocabularies: the catalogues whose ids a rule may carry as tags.
//!
//! Ids are checked by their shape: the catalogues grow faster than we are released.

use super::{
    near::nearest,
    problem::{Problem, enumerate, quote},
    source::At,
};

/// A catalogue.
struct Vocabulary {
    name: &'static str,
    title: &'static str,
    looks_like: &'static str,
    holds: fn(&str) -> bool,
}

const VOCABULARIES: [Vocabulary; 5] = [
    Vocabulary {
        name: "attack",
        title: "MITRE ATT&CK",
        looks_like: "`T1552` or `T1552.001`",
        holds: is_attack,
    },
    Vocabulary {
        name: "atlas",
        title: "MITRE ATLAS",
        looks_like: "`AML.T0055` or `AML.T0112.000`",
        holds: is_atlas,
    },
    Vocabulary {
        name: "owasp",
        title: "OWASP Top 10 for Agentic Applications",
        looks_like: "`ASI01` to `ASI10`",
        holds: is_owasp,
    },
    Vocabulary {
        name: "maestro",
        title: "CSA MAESTRO",
        looks_like: "`L1` to `L7`",
        holds: is_maestro,
    },
    Vocabulary {
        name: "nist",
        title: "NIST AI RMF",
        looks_like: "`GOVERN`, `MAP`, `MEASURE` or `MANAGE`",
        holds: is_nist,
    },
];

/// The place of a vocabulary among them; after all of them, of one that is unknown.
pub(super) fn rank(name: &str) -> usize {
    let place = VOCABULARIES.iter().position(|vocabulary| vocabulary.name == name);
    place.unwrap_or(VOCABULARIES.len())
}

/// Whether `id` has the shape of an id of the vocabulary `name`.
pub(super) fn check(name: &At<String>, id: &At<String>) -> Result<(), Problem> {
    let Some(vocabulary) = VOCABULARIES.iter().find(|vocabulary| vocabulary.name == name.is) else {
        let known = VOCABULARIES.map(|vocabulary| vocabulary.name);
        let message = format!("unknown vocabulary {}", quote(&name.is));
        return Err(Problem::new(name.span, message, "tags come from a known catalogue")
            .meant(nearest(&name.is, known), Some(format!("it may be {}", enumerate(&known)))));
    };
    if (vocabulary.holds)(&id.is) {
        return Ok(());
    }
    let message = format!("{} is not an id of {}", quote(&id.is), vocabulary.title);
    let upper = id.is.to_uppercase();
    let meant = (vocabulary.holds)(&upper).then_some(upper);
    let label = format!("an id looks like {}", vocabulary.looks_like);
    Err(Problem::new(id.span, message, label).meant(meant, None))
}

fn is_attack(id: &str) -> bool {
    let Some(number) = id.strip_prefix('T') else { return false };
    match number.split_once('.') {
        Some((technique, sub)) => is_digits(technique, 4) && is_digits(sub, 3),
        None => is_digits(number, 4),
    }
}

fn is_atlas(id: &str) -> bool {
    id.strip_prefix("AML.").is_some_and(is_attack)
}

fn is_owasp(id: &str) -> bool {
    let number = id.strip_prefix("ASI").filter(|number| is_digits(number, 2));
    number
        .and_then(|number| number.parse().ok())
        .is_some_and(|number: u8| (1..=10).contains(&number))
}

fn is_maestro(id: &str) -> bool {
    matches!(id.as_bytes(), [b'L', b'1'..=b'7'])
}

fn is_nist(id: &str) -> bool {
    ["GOVERN", "MAP", "MEASURE", "MANAGE"].contains(&id)
}

fn is_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        assert!(is_attack("T1552") && is_attack("T1552.001"));
        assert!(!is_attack("T155") && !is_attack("T1552.01") && !is_attack("1552"));
        assert!(is_atlas("AML.T0055") && is_atlas("AML.T0112.000") && !is_atlas("T0055"));
        assert!(is_owasp("ASI01") && is_owasp("ASI10") && !is_owasp("ASI11") && !is_owasp("ASI00"));
        assert!(is_maestro("L7") && !is_maestro("L8") && !is_maestro("L10"));
        assert!(is_nist("MAP") && !is_nist("map"));
    }
}
