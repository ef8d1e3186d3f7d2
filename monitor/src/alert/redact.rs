//! Secrets out of command lines, before anybody sees them.
//!
//! What is looked for is what the tools of the trade take on a command line: option values with a name
//! that says secret, credentials in URLs, and tokens that are known by their beginning. Paths are no
//! secrets. A secret that looks like anything else is not found, and is in the alert as it was given.

use std::sync::LazyLock;

use regex::bytes::{Captures, Regex};

use crate::{agent::Image, event::shown};

/// What stands in the place of a secret.
const MASK: &[u8] = b"***";

/// An argument that says that it holds a secret: the option and its value in one.
static ASSIGNMENT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i-u)\A(-{0,2}[\w.-]*(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|credential|auth)[\w.-]*[=:])[\s\S]+\z",
    )
});

/// An option whose value is the next argument.
static OPTION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i-u)\A--?[\w-]*(?:password|passwd|secret|token|api[_-]?key|access[_-]?key|credentials?)\z",
    )
});

/// What can be told from its own form, anywhere in an argument: the first group is kept.
static TOKENS: LazyLock<[Regex; 4]> = LazyLock::new(|| {
    [
        // userinfo of a URL, RFC 3986 section 3.2.1
        pattern(r"(?-u)([a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*:)[^/\s@]+@"),
        // the Authorization header, RFC 9110 section 11.6.2
        pattern(r"(?i-u)(\b(?:bearer|basic|token)\s+)[A-Za-z0-9._~+/=-]{8,}"),
        // AWS key ids, GitHub, GitLab, Slack, OpenAI and Anthropic, npm, PyPI, Google keys
        pattern(
            r"(?-u)()\b(?:A(?:KIA|SIA)[A-Z0-9]{12,}|gh[opsur]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[a-z]-[\w-]{10,}|sk-[\w-]{16,}|npm_\w{20,}|pypi-[\w-]{20,}|AIza[\w-]{30,})",
        ),
        // JSON web tokens, RFC 7519
        pattern(r"(?-u)()\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),
    ]
});

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is a constant, and tested")
}

/// The arguments of a program without the secrets in them.
#[must_use]
pub fn arguments(argv: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut masked = Vec::with_capacity(argv.len());
    let mut value_follows = false;
    for argument in argv {
        if value_follows && !argument.starts_with(b"-") {
            masked.push(MASK.to_vec());
            value_follows = false;
            continue;
        }
        value_follows = OPTION.is_match(argument);
        masked.push(one(argument));
    }
    masked
}

/// The same of what a process runs, as harmless text. Worked out once: whoever is told of once is told of again.
#[must_use]
pub fn command_line(image: &Image) -> &[String] {
    image.command_line.get_or_init(|| {
        arguments(&image.argv).iter().map(|argument| shown(argument).to_string()).collect()
    })
}

fn one(argument: &[u8]) -> Vec<u8> {
    if let Some(found) = ASSIGNMENT.captures(argument) {
        return [&found[1], MASK].concat();
    }
    TOKENS.iter().fold(argument.to_vec(), |text, token| {
        let mask = |found: &Captures<'_>| {
            let at = if found[0].ends_with(b"@") { &b"@"[..] } else { b"" };
            [&found[1], MASK, at].concat()
        };
        token.replace_all(&text, mask).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(line: &str) -> String {
        let argv: Vec<Vec<u8>> = line.split('|').map(|word| word.as_bytes().to_vec()).collect();
        let masked: Vec<String> = arguments(&argv)
            .iter()
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        masked.join("|")
    }

    #[test]
    fn secrets_are_masked() {
        insta::assert_snapshot!(
            [
                "mysql|-u|root|--password=hunter2",
                "curl|-H|Authorization: Bearer abcdef0123456789",
                "tool|--api-key|12345678|--verbose",
                "git|clone|https://ana:ghp_0123456789abcdefghij0123@github.com/x/y",
                "env|AWS_SECRET_ACCESS_KEY=abc/def|AKIAIOSFODNN7EXAMPLE",
                "sh|-c|export T=sk-ant-REDACTED && run",
                "curl|eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
            ]
            .map(redacted)
            .join("\n")
        );
    }

    #[test]
    fn what_is_no_secret_stays() {
        for line in
            ["cat|/home/ana/.aws/credentials", "git|push|--force", "ls|-la", "a|--token-file|-x"]
        {
            assert_eq!(redacted(line), line);
        }
    }
}
