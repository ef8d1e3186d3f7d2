//! Proto: so much of the encoding of protocol buffers as three questions take.
//!
//! A message is a list of fields, each a number with a value; what is not known is passed over. It knows no
//! message.

use super::EngineError;

/// A value, as it is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// An integer.
    Number(u64),
    /// A text, bytes or a message.
    Bytes(&'a [u8]),
    /// One of fixed length, which nobody here asks for.
    Fixed,
}

/// The fields of a message, in the order in which they come.
pub(super) fn fields(mut bytes: &[u8]) -> Result<Vec<(u64, Value<'_>)>, EngineError> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes).ok_or_else(broken)?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut bytes).ok_or_else(broken)?),
            1 => take(&mut bytes, 8).map(|_| Value::Fixed).ok_or_else(broken)?,
            2 => {
                let length = varint(&mut bytes).ok_or_else(broken)?;
                let length = usize::try_from(length).map_err(|_| broken())?;
                take(&mut bytes, length).map(Value::Bytes).ok_or_else(broken)?
            }
            5 => take(&mut bytes, 4).map(|_| Value::Fixed).ok_or_else(broken)?,
            _ => return Err(broken()),
        };
        fields.push((key >> 3, value));
    }
    Ok(fields)
}

/// The messages and texts of this number.
pub(super) fn bytes<'a>(
    fields: &[(u64, Value<'a>)],
    number: u64,
) -> impl Iterator<Item = &'a [u8]> {
    fields.iter().filter_map(move |(key, value)| match value {
        Value::Bytes(bytes) if *key == number => Some(*bytes),
        _ => None,
    })
}

/// The text of this number; the last one counts.
pub(super) fn text(fields: &[(u64, Value<'_>)], number: u64) -> String {
    String::from_utf8_lossy(bytes(fields, number).last().unwrap_or_default()).into_owned()
}

/// The integer of this number; the last one counts.
pub(super) fn number(fields: &[(u64, Value<'_>)], number: u64) -> u64 {
    let mut numbers = fields.iter().filter_map(|(key, value)| match value {
        Value::Number(value) if *key == number => Some(*value),
        _ => None,
    });
    numbers.next_back().unwrap_or_default()
}

/// A message with one text, field 1.
pub(super) fn message(text: &str) -> Vec<u8> {
    let mut message = vec![1 << 3 | 2];
    let mut length = text.len();
    while length > 0x7f {
        message.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
        length >>= 7;
    }
    message.push(u8::try_from(length).expect("seven bits"));
    message.extend_from_slice(text.as_bytes());
    message
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *take(bytes, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn broken() -> EngineError {
    EngineError::garbled("a message that is broken")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let long = "a".repeat(300);
        let written = message(&long);
        assert_eq!(text(&fields(&written).unwrap(), 1), long);
        // Field 3 is 150, field 4 fixed, field 1 a text.
        let bytes = [0x18, 0x96, 0x01, 0x25, 1, 2, 3, 4, 0x0a, 2, b'h', b'i'];
        let fields = fields(&bytes).unwrap();
        assert_eq!((number(&fields, 3), text(&fields, 1)), (150, "hi".to_owned()));
        assert_eq!((number(&fields, 4), text(&fields, 2)), (0, String::new()));
    }

    #[test]
    fn what_ends_early_is_broken() {
        for bytes in
            [&[0x0a, 5, b'h'][..], &[0x18], &[0x18, 0xff], &[0x0a, 0xff, 0xff], &[0x0b], &[0x25, 1]]
        {
            assert!(fields(bytes).is_err(), "{bytes:?}");
        }
        assert!(fields(&[0xff; 11]).is_err(), "a number of more than 64 bits");
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _read_or_not = fields(&bytes);
        }
    }
}
