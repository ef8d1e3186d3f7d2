//! Parse, times: `90s`, `1h30m`, `2027-06-30`, `2026-11-23T18:00:00Z`.
//!
//! The part of [`super::parse`] that reads how long and until when. What time it is now is not known here.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{
    fields::{Field, Reader},
    model::Moment,
    problem::{Problem, quote},
    source::{At, Span},
    yaml::Kind,
};

/// The longest time that anything may take: 366 days, in seconds.
const LONGEST: u64 = 366 * 24 * 60 * 60;
/// How times are written.
const DURATION: &str = "write a time as `90s`, `10m`, `1h30m` or `7d`";

impl Reader<'_> {
    /// A length of time, in seconds: at least one.
    pub(super) fn duration(&mut self, field: Field) -> Option<u64> {
        let span = self.span(&field.value);
        if let Kind::Number(number) = &field.value.kind {
            let problem = Problem::new(span, format!("{} has no unit", quote(number)), "how long?");
            self.add(problem.help(DURATION));
            return None;
        }
        let text = self.text(field.value)?;
        match seconds(&text.is) {
            Some(0) => {
                let message = format!("{} is no time at all", quote(&text.is));
                self.add(Problem::new(text.span, message, "at least `1s`"));
                None
            }
            Some(seconds) if seconds > LONGEST => {
                let message = format!("{} is too long", quote(&text.is));
                self.add(Problem::new(text.span, message, "at most `366d`"));
                None
            }
            Some(seconds) => Some(seconds),
            None => {
                let message = format!("{} is not a length of time", quote(&text.is));
                self.add(Problem::new(text.span, message, "how long?").help(DURATION));
                None
            }
        }
    }

    /// A point in time. A day is meant to its end, in UTC.
    pub(super) fn moment(&mut self, field: Field) -> Option<At<Moment>> {
        let text = self.text(field.value)?;
        let At { is, span }: At<String> = text;
        match moment(&is) {
            Some(is) => Some(At { is, span }),
            None => {
                self.not_a_moment(&is, span);
                None
            }
        }
    }

    fn not_a_moment(&mut self, text: &str, span: Span) {
        let problem = Problem::new(span, format!("{} is not a date", quote(text)), "until when?");
        self.add(problem.help("write a day, `2027-06-30`, or a time, `2026-11-23T18:00:00Z`"));
    }
}

/// `1h30m` in seconds: numbers with units, each unit once, the larger first.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
    let (mut rest, mut total, mut units) = (text, 0_u64, &UNITS[..]);
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let letter = rest[digits..].chars().next()?;
        let at = units.iter().position(|(unit, _)| *unit == letter)?;
        total = total.checked_add(number.checked_mul(units[at].1)?)?;
        units = &units[at + 1..];
        rest = &rest[digits + letter.len_utf8()..];
    }
    (!text.is_empty()).then_some(total)
}

/// A time with its zone, or the end of a day in UTC.
fn moment(text: &str) -> Option<Moment> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let is_day = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let day: Date = is_day.then(|| text.parse().ok()).flatten()?;
    Some(day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        assert_eq!(seconds("90s"), Some(90));
        assert_eq!(seconds("1h30m"), Some(5_400));
        assert_eq!(seconds("7d"), Some(604_800));
        assert_eq!(seconds("0s"), Some(0));
        for bad in
            ["", "s", "10", "1m1h", "1h1h", "-1s", "1.5h", "10 m", "99999999999999999999d", "1y"]
        {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn points() {
        let shown = |text| moment(text).map(|moment| moment.to_string());
        assert_eq!(shown("2026-11-23T18:00:00Z").as_deref(), Some("2026-11-23T18:00:00Z"));
        assert_eq!(shown("2026-11-23T18:00:00+02:00").as_deref(), Some("2026-11-23T16:00:00Z"));
        assert_eq!(shown("2027-06-30").as_deref(), Some("2027-07-01T00:00:00Z"));
        for bad in ["2027-02-30", "tomorrow", "2026-11-23T18:00:00", "20270630", "9999-12-31"] {
            assert_eq!(shown(bad), None, "{bad}");
        }
    }
}
