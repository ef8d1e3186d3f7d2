//! What globs mean, by example, and against a second matcher.

use proptest::prelude::*;

use super::{Glob, Homes};

fn homes() -> Homes {
    Homes(vec![b"/root".to_vec(), b"/srv/home/ci".to_vec(), b"/".to_vec()])
}

fn any(text: &str, path: &[u8]) -> bool {
    Glob::parse(text).unwrap().iter().any(|glob| glob.matches(path, &homes()))
}

#[test]
fn meanings() {
    for (text, yes, no) in [
        (
            "/etc/shadow",
            &["/etc/shadow"][..],
            &["/etc/shadow-", "/etc", "/x/etc/shadow", "/etc/shadow/x", "/"][..],
        ),
        ("/etc/ssl/**", &["/etc/ssl/a", "/etc/ssl/a/b"], &["/etc/ssl", "/etc/sslx/a", "/etc"]),
        ("/**", &["/a", "/a/b"], &["/"]),
        ("**/**", &["/a", "/a/b"], &["/"]),
        ("/a/**/z", &["/a/z", "/a/b/z", "/a/b/c/z"], &["/az", "/a/zz", "/a/z/b", "/z"]),
        ("/a/**/b/**/c", &["/a/b/c", "/a/x/b/b/y/c"], &["/a/c", "/a/c/b", "/a/x/c"]),
        ("/a/*", &["/a/b", "/a/.b"], &["/a", "/a/b/c"]),
        ("/a/*b", &["/a/b", "/a/xb", "/a/bb"], &["/a/bx", "/a/x/b"]),
        ("/a/?", &["/a/b"], &["/a/bc", "/a"]),
        ("/a/?*", &["/a/b", "/a/bc"], &["/a"]),
        ("**/*.pem", &["/a.pem", "/x/y.pem", "/x/.pem"], &["/a.pem/x", "/a.pemx", "/pem"]),
        ("**/.env", &["/.env", "/a/b/.env"], &["/a.env", "/.env/a"]),
        (
            "**/.git/hooks/**",
            &["/.git/hooks/x", "/r/.git/hooks/x/y"],
            &["/.git/hooks", "/a.git/hooks/x"],
        ),
        (
            "~/.ssh/id_*",
            &["/root/.ssh/id_a", "/home/u/.ssh/id_", "/srv/home/ci/.ssh/id_x"],
            &[
                "/.ssh/id_a",
                "/home/.ssh/id_a",
                "/home/u/x/.ssh/id_a",
                "/home/u/root/.ssh/id_a",
                "/srv/home/.ssh/id_a",
            ],
        ),
        ("~/**", &["/root/a", "/home/u/a/b"], &["/root", "/home/u", "/home", "/rootx/a"]),
        (
            "/a/[a-c!x-]",
            &["/a/a", "/a/b", "/a/c", "/a/!", "/a/x", "/a/-"],
            &["/a/d", "/a/", "/a/aa", "/a/y"],
        ),
        ("/a/[!a-c]", &["/a/d", "/a/^"], &["/a/a", "/a/b", "/a//"]),
        ("/a/[+-0]x", &["/a/+x", "/a/.x", "/a/0x"], &["/a//x"]),
        ("/a/[\\]\\\\]", &["/a/]", "/a/\\"], &["/a/["]),
        ("/{a,b{c,d}}/e{,.bak}", &["/a/e", "/bc/e", "/bd/e.bak"], &["/b/e", "/c/e"]),
        ("{~,/opt}/x", &["/root/x", "/opt/x"], &["/x"]),
        ("/a{,/b}/c", &["/a/c", "/a/b/c"], &["/ac"]),
        ("/\\*\\?\\{a\\,b\\}", &["/*?{a,b}"], &["/x?{a,b}"]),
        ("/a,b~/~", &["/a,b~/~"], &["/a/~"]),
        ("/é?", &["/éx"], &["/é", "/éé"]),
    ] {
        yes.iter().for_each(|path| assert!(any(text, path.as_bytes()), "{text} takes {path}"));
        no.iter().for_each(|path| assert!(!any(text, path.as_bytes()), "{text} leaves {path}"));
    }
    assert!(any("/a/??", b"/a/\xff\n"));
}

#[test]
fn the_outermost_home_is_meant() {
    for (path, at) in [
        ("/root/a", Some(5)),
        ("/root", None),
        ("/root/", Some(5)),
        ("/home/u/home/v/x", Some(7)),
        ("/home/u", None),
        ("/srv/home/ci/x", Some(12)),
        ("/x/root/a", None),
        ("/", None),
        ("", None),
    ] {
        assert_eq!(homes().split(path.as_bytes()), at, "{path}");
    }
    assert_eq!(
        Homes(vec![b"/home/".to_vec()]).split(b"/home/u/x"),
        Some(5),
        "closing slash, /home itself a home"
    );
}

#[test]
fn refusals() {
    for (text, offset) in [
        ("", 0),
        ("etc", 0),
        ("~root/x", 0),
        ("\\~/x", 0),
        ("~", 0),
        ("**", 0),
        ("***/a", 0),
        ("./a", 0),
        ("/", 1),
        ("/a/", 3),
        ("/a//b", 3),
        ("/a/./b", 3),
        ("/a/../b", 3),
        ("/a/..", 3),
        ("/a/b**", 4),
        ("/a/***", 3),
        ("/a/**b/c", 3),
        ("/a/{,*}*", 5),
        ("/a\n", 2),
        ("/a\\", 2),
        ("/a\\n", 2),
        ("/a\u{85}", 2),
        ("/[a", 1),
        ("/[]", 1),
        ("/[]a]", 1),
        ("/[^a]", 2),
        ("/[!]", 1),
        ("/[z-a]", 2),
        ("/[a/]", 3),
        ("/[é]", 2),
        ("/a]", 2),
        ("/{a}", 1),
        ("/{a,b", 1),
        ("/a}", 2),
        ("/x{a,/}", 6),
        ("/{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", 1),
    ] {
        let error = Glob::parse(text).expect_err(text);
        assert_eq!(error.offset, offset, "{text}: {error}");
        assert!(!error.message.is_empty() && !error.help.is_empty());
    }
    assert!(Glob::parse(&format!("/{}", "{a,".repeat(40))).is_err());
    assert!(Glob::parse(&"/a".repeat(2048)).is_err());
}

#[test]
fn a_thousand_and_twenty_four_alternatives_are_in_order() {
    let globs = Glob::parse(&format!("/{}", "{a,b}".repeat(10))).unwrap();
    assert_eq!(globs.len(), 1024);
    assert_eq!(globs[0].to_string(), "/aaaaaaaaaa");
    assert_eq!(globs[1].to_string(), "/aaaaaaaaab");
    assert_eq!(globs[1023].to_string(), "/bbbbbbbbbb");
}

#[test]
fn equal_meanings_are_equal() {
    for (one, other) in [
        ("/**/x", "**/x"),
        ("/a/**/**/b", "/a/**/b"),
        ("/a/**/*", "/a/**"),
        ("/**", "**/*"),
        ("/a/?*", "/a/*"),
    ] {
        assert_eq!(Glob::parse(one), Glob::parse(other), "{one} {other}");
    }
}

/// The meaning once more, by plain recursion over the text: no sets, no braces.
fn naive(glob: &[u8], path: &[u8]) -> bool {
    match glob {
        [] => path.is_empty(),
        b"/**" => path.len() > 1 && path[0] == b'/',
        [b'/', b'*', b'*', rest @ ..] if path.first() == Some(&b'/') => {
            (0..path.len()).any(|at| path[at] == b'/' && naive(rest, &path[at..]))
        }
        [b'/', b'*', b'*', ..] => false,
        [b'*', rest @ ..] => {
            (0..=path.len()).any(|at| !path[..at].contains(&b'/') && naive(rest, &path[at..]))
        }
        [b'?', rest @ ..] => {
            path.first().is_some_and(|&byte| byte != b'/') && naive(rest, &path[1..])
        }
        [byte, rest @ ..] => path.first() == Some(byte) && naive(rest, &path[1..]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_plain_recursion(glob in "(/(\\*\\*|a|b|[ab]\\*|\\*[ab]|\\*[ab]\\*|a\\?b|\\?)){1,5}", path in "(/[ab]{1,3}){1,6}") {
        let parsed = Glob::parse(&glob).unwrap();
        prop_assert_eq!(parsed[0].matches(path.as_bytes(), &homes()), naive(glob.as_bytes(), path.as_bytes()));
    }

    #[test]
    fn any_text_is_read_or_refused_at_a_place_in_it(text in "[/~*?\\[\\]{},!^\\-\\\\a-c.é\n]{0,24}") {
        match Glob::parse(&text) {
            Ok(globs) => prop_assert!(!globs.is_empty()),
            Err(error) => prop_assert!(error.offset <= text.len() && text.is_char_boundary(error.offset)),
        }
    }

    #[test]
    fn what_is_shown_reads_back(text in "(~|\\*\\*)?/[*?\\[\\]{},!a-c.\\-/]{1,12}") {
        for glob in Glob::parse(&text).unwrap_or_default() {
            prop_assert_eq!(Glob::parse(&glob.to_string()).unwrap(), vec![glob]);
        }
    }
}
