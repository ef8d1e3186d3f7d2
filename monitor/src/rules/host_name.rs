//! Host names: the names of hosts as rules write them, `api.example.com` or `*.example.com`.
//!
//! Names are compared without regard to case and without a dot at the end (RFC 4343, RFC 1034 3.1). Which
//! address has which name is not known here.

/// A name, or every name below one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    /// Lower case, without a dot at the end.
    name: String,
    /// Whether names below it are meant, and not the name itself.
    below: bool,
}

/// Why a text is not the name of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNameError {
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub help: &'static str,
}

/// Bytes of a label (RFC 1035 2.3.4).
const LABEL: usize = 63;
/// Bytes of a name without the dot at its end (RFC 1035 2.3.4: 255 with lengths).
const NAME: usize = 253;

impl HostPattern {
    /// Reads what was written.
    ///
    /// # Errors
    /// What no host can be called.
    pub fn parse(text: &str) -> Result<Self, HostNameError> {
        let (rest, below) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        if rest.contains('*') {
            let message = format!("`*` inside the host name `{text}`");
            let help = "`*` stands only before the first dot, `*.example.com`: any name below";
            return Err(HostNameError { message, help });
        }
        Ok(Self { name: name(rest)?, below })
    }

    /// Whether `name`, in lower case and without a dot at the end, is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        if !self.below {
            return name == self.name;
        }
        name.strip_suffix(&*self.name).is_some_and(|head| head.len() > 1 && head.ends_with('.'))
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether names below it are meant, and not the name itself.
    #[must_use]
    pub const fn is_below(&self) -> bool {
        self.below
    }
}

/// The one spelling of a host's name.
///
/// # Errors
/// What no host can be called.
pub fn name(text: &str) -> Result<String, HostNameError> {
    let refuse = |message: String, help| Err(HostNameError { message, help });
    let trimmed = text.strip_suffix('.').unwrap_or(text);
    if !trimmed.is_ascii() {
        let help = "write it as DNS does, `xn--…` (punycode)";
        return refuse(format!("`{text}` has letters that no host name has"), help);
    }
    if trimmed.len() > NAME {
        return refuse(format!("a host name of {} bytes", trimmed.len()), "253 at most");
    }
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| {
        let edge = label.starts_with('-') || label.ends_with('-');
        !label.is_empty() && label.len() <= LABEL && !edge && label.bytes().all(letter)
    };
    if !trimmed.split('.').all(is_label) {
        let help = "a name is letters, digits and hyphens between dots, `api.example.com`";
        return refuse(format!("`{text}` is not the name of a host"), help);
    }
    Ok(trimmed.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let pattern = |text| HostPattern::parse(text).unwrap();
        assert!(pattern("API.example.com.").matches("api.example.com"));
        assert!(!pattern("example.com").matches("api.example.com"));
        assert!(pattern("*.example.com").matches("a.b.example.com"));
        assert!(!pattern("*.example.com").matches("example.com"));
        assert!(!pattern("*.example.com").matches("badexample.com"));
        assert!(!pattern("*.example.com").matches(".example.com"));
        for bad in
            ["a.*.com", "*", "*.", "", "a..b", "-a.b", "bücher.example", "a b", &"a".repeat(64)]
        {
            assert!(HostPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
