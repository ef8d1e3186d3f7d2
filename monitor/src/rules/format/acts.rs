//! What a rule says about one act: six acts, one shape.

use super::{Field, Holds, samples};

/// The acts that have objects, in the order of style.
pub(super) const ACTS: [&str; 6] = ["exec", "read", "write", "connect", "listen", "privilege"];

/// What is different from act to act.
struct Words {
    act: &'static str,
    meaning: &'static str,
    item: Holds,
    /// What the items are, in detail.
    items: &'static str,
    only: &'static str,
    never: &'static str,
    /// The key of an exception's objects.
    objects: &'static str,
    samples: [&'static str; 2],
}

const fn words(act: &str) -> &'static Words {
    match act.as_bytes() {
        b"exec" => &EXEC,
        b"read" => &READ,
        b"write" => &WRITE,
        b"connect" => &CONNECT,
        b"listen" => &LISTEN,
        _ => &PRIVILEGE,
    }
}

const EXEC: Words = Words {
    act: "exec",
    meaning: "Which programs the agents may start. It is about the program that was started, links \
              followed, and not about the name it was called by.",
    item: Holds::Program,
    items: "An item is a file name, a path glob, a map with `path` and `args`, or one of the words `memfd` \
            (never had a file), `deleted` (its file has no name any more), `setuid` (a set-user-id or \
            set-group-id bit), `writable` (somebody else than root may write the file or its directory).",
    only: "The only programs that the agents may start: everything else is a hit. Libraries are no programs.",
    never: "The programs that the agents may not start. Code that is only loaded, such as a library or a \
            program given to the loader, is a hit as well.",
    objects: "path",
    samples: [samples::EXEC, samples::EXEC_ONLY],
};

const READ: Words = Words {
    act: "read",
    meaning: "Which files the agents may read. It is about the path that the kernel resolved, links \
              followed.",
    item: Holds::File,
    items: "An item is a path glob that begins with `/`, with `~/` (every home directory) or with `**/` (any \
            depth).",
    only: "The only files that the agents may read: everything else is a hit.",
    never: "The files that the agents may not read.",
    objects: "path",
    samples: [samples::READ, samples::READ_ONLY],
};

const WRITE: Words = Words {
    act: "write",
    meaning: "Which files the agents may change, in whatever way: open for writing, rename, link, unlink, \
              truncate, chmod.",
    item: Holds::File,
    items: READ.items,
    only: "The only files that the agents may change: everything else is a hit.",
    never: "The files that the agents may not change.",
    objects: "path",
    samples: [samples::WRITE, samples::WRITE_ONLY],
};

const CONNECT: Words = Words {
    act: "connect",
    meaning: "Where the agents may connect and send to.",
    item: Holds::Destination,
    items: "An item is an address, a network, `localhost`, `*`, a host name, `*.domain` (any depth below it, \
            not the domain itself), `unix:/path` or `unix:@name`; then, if wanted, `:port`, `:port/udp`, \
            `:port/tcp` or `:*`. An IPv6 address with a port stands in brackets.",
    only: "The only destinations that the agents may connect to: everything else is a hit.",
    never: "The destinations that the agents may not connect to.",
    objects: "to",
    samples: [samples::CONNECT_NEVER, samples::CONNECT],
};

const LISTEN: Words = Words {
    act: "listen",
    meaning: "On which local addresses and ports the agents may wait for connections.",
    item: Holds::Local,
    items: "An item is a local address as in `connect`, but no host name: `*:8080`, `localhost:*`, \
            `unix:/run/x.sock`.",
    only: "The only local addresses that the agents may listen on: everything else is a hit.",
    never: "The local addresses that the agents may not listen on.",
    objects: "at",
    samples: [samples::LISTEN_NEVER, samples::LISTEN],
};

const PRIVILEGE: Words = Words {
    act: "privilege",
    meaning: "Which privileges the agents may reach for.",
    item: Holds::Privilege,
    items: "An item is a word: `setuid` (become another user), `capabilities` (gain some), `ptrace` (reach \
            into another process), `mount`, `namespaces` (make or enter one), `bpf`, `module` (of the \
            kernel), `io_uring`.",
    only: "The only privileges that the agents may reach for: everything else is a hit.",
    never: "The privileges that the agents may not reach for.",
    objects: "privilege",
    samples: [samples::PRIVILEGE, samples::PRIVILEGE_ONLY],
};

/// A list of the items of an act, and what one is.
pub(super) fn items(act: &str) -> (Holds, &'static str) {
    let words = words(act);
    let holds = match words.item {
        Holds::Program => Holds::List(1, &Holds::Program),
        Holds::File => Holds::List(1, &Holds::File),
        Holds::Destination => Holds::List(1, &Holds::Destination),
        Holds::Local => Holds::List(1, &Holds::Local),
        _ => Holds::List(1, &Holds::Privilege),
    };
    (holds, words.items)
}

/// `rules.ACT` and everything below it.
pub(super) fn fields(act: &str) -> Vec<Field> {
    let words = words(act);
    let path = format!("rules.{act}");
    let [never, only] = words.samples;
    let mut fields = vec![
        Field::new(path.clone(), Holds::Map, words.meaning)
            .one_of(&["only", "never"])
            .sample(if act == "connect" || act == "listen" { only } else { never })
            .see(&["rules.action", "lists"]),
    ];
    let (holds, items) = self::items(words.act);
    for (key, meaning, sample) in [("only", words.only, only), ("never", words.never, never)] {
        let path = format!("{path}.{key}");
        let field = Field::new(path.clone(), holds, format!("{meaning} {items}"));
        fields.push(field.sample(sample).see(&["lists"]));
        if act == "exec" {
            fields.extend(program(&path, sample));
        }
    }
    fields.extend(exceptions(words, &path));
    fields
}

/// The keys of an item of exec that is a map.
fn program(path: &str, sample: &'static str) -> [Field; 2] {
    let of_path = "The program of this item: a file name or a path glob.";
    let of_args = "The arguments of this item, compared with all that come after the program's name, first \
                   to last. Each word is a glob over one argument, in which `*` also stands for `/`; the \
                   word `**` stands for any number of arguments.";
    [
        Field::new(format!("{path}.path"), Holds::PathGlob, of_path).required().sample(sample),
        Field::new(format!("{path}.args"), Holds::Arguments, of_args).required().sample(sample),
    ]
}

fn exceptions(words: &Words, path: &str) -> Vec<Field> {
    let path = format!("{path}.except");
    let [never, only] = words.samples;
    let sample = if words.objects == "to" || words.objects == "at" { only } else { never };
    let (items, meaning) = items(words.act);
    let objects = format!("What the exception is about. {meaning}");
    let mut fields = vec![
        Field::new(
            path.clone(),
            Holds::List(1, &Holds::Map),
            "What the rule does not hold for. An exception weakens the rule that it stands in and no other.",
        ),
        Field::new(format!("{path}.{}", words.objects), items, objects).required().see(&["lists"]),
    ];
    // When a program starts, the one that started it is gone.
    if words.act != "exec" {
        fields.push(Field::new(
            format!("{path}.exe"),
            Holds::List(1, &Holds::File),
            "The programs for which the exception holds, by their whole paths: what the process that acts \
             runs. Left out: any.",
        ));
    }
    fields.push(
        Field::new(format!("{path}.reason"), Holds::Prose, "Why, for whoever reads it in a year.")
            .required(),
    );
    fields.push(
        Field::new(
            format!("{path}.until"),
            Holds::End,
            "When the exception ends by itself: a day counts to its end in UTC. Left out: it does not end.",
        )
        .see(&["grants.until"]),
    );
    fields.into_iter().map(|field| field.sample(sample)).collect()
}
