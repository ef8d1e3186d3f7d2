//! Secrets: what is never learned, and the check that no proposed pattern lets through what was not seen of it.
//!
//! The lists are those that come with the program, read by the loader of rules itself. A proposed pattern
//! is refused where it has a path in common with a list item that lies somewhere (`~/.config/gcloud/**`); that is
//! decided over all paths there can be ([`Glob::overlaps`]), not tried with examples. An item that lies anywhere
//! (`**/.env`) is in every directory: such a one is shut by a rule of its own beside the proposed list, as is what
//! could be a name drawn by lot (`/tmp/krb5cc_*`).

use super::pattern::Pattern;
use crate::rules::{
    self, SourceFile, Users,
    glob::{Glob, Homes},
    model::{Destination, Item, Moment, Object, Objects, To},
};

/// Lists of paths that hold credentials. To extend: name a shipped list here.
const PATHS: [&str; 1] = ["secrets/all"];
/// Lists of places that hand out credentials or power.
const PEERS: [&str; 2] = ["power/sockets", "power/metadata"];
/// Items of these that ordinary work meets in every directory, and that a list of paths alone cannot tell apart from
/// a theft: git reads this file whenever it is started. The shipped rules shut it with an exception for git.
const ORDINARY: [&str; 1] = ["**/.git/config"];

/// What is never learned.
#[derive(Debug)]
pub struct Secrets {
    paths: Vec<Item<Glob>>,
    peers: Vec<Item<Destination>>,
}

impl Secrets {
    /// Those of the lists that are shipped.
    #[must_use]
    pub fn shipped() -> Self {
        let mentions = |lists: &[&str]| {
            let quoted: Vec<String> = lists.iter().map(|list| format!("\"@{list}\"")).collect();
            quoted.join(", ")
        };
        let text = format!(
            "version: 1\nagents: {{ nobody: {{ any: [launched-as: nobody] }} }}\nrules:\n\
             - {{ id: all-secrets, title: paths, agents: [nobody], read: {{ never: [{}] }}, action: alert }}\n\
             - {{ id: all-peers, title: peers, agents: [nobody], connect: {{ never: [{}] }}, action: alert }}\n",
            mentions(&PATHS),
            mentions(&PEERS)
        );
        let own = SourceFile { name: "secrets".to_owned(), text: text.into_bytes() };
        let shipped = rules::shipped::files();
        let rules = rules::load_with(&shipped, &[own], &Users::default(), Moment::UNIX_EPOCH)
            .expect("what is shipped is tested to load");
        let mut secrets = Self { paths: Vec::new(), peers: Vec::new() };
        for rule in rules.rules {
            match (&*rule.id, rule.objects) {
                ("all-secrets", Objects::Paths(mut items)) => {
                    items.retain(|item| !ORDINARY.contains(&&*item.text));
                    secrets.paths = items;
                }
                ("all-peers", Objects::Destinations(items)) => secrets.peers = items,
                _ => {}
            }
        }
        secrets
    }

    /// The list item that an object is one of, as it is written.
    #[must_use]
    pub fn matched(&self, object: &Object, homes: &Homes) -> Option<&str> {
        self.matching(object, homes).first().copied()
    }

    /// All of them.
    pub(super) fn matching(&self, object: &Object, homes: &Homes) -> Vec<&str> {
        let paths = self.paths.iter().filter(|item| match object {
            Object::Path(path) => item.is.matches(path, homes),
            _ => false,
        });
        let peers = self.peers.iter().filter(|item| item.is.covers(object, homes));
        paths.map(|item| &*item.text).chain(peers.map(|item| &*item.text)).collect()
    }

    /// Whether a pattern lets through what lies somewhere and is a secret.
    pub(super) fn are_below(&self, pattern: &Pattern, homes: &Homes) -> bool {
        let Some(globs) = pattern.globs() else { return true };
        let fixed = self.paths.iter().filter(|item| !item.is.floats());
        fixed.into_iter().any(|item| globs.iter().any(|glob| glob.overlaps(&item.is, homes)))
    }

    /// The items, as they are written, that one of these globs lets through.
    pub(super) fn paths_in(&self, globs: &[Glob], homes: &Homes) -> Vec<&str> {
        let open = |item: &&Item<Glob>| globs.iter().any(|glob| glob.overlaps(&item.is, homes));
        let mut texts: Vec<&str> = self.paths.iter().filter(open).map(|item| &*item.text).collect();
        texts.sort_unstable();
        texts.dedup();
        texts
    }

    /// The peers, as they are written, that one of these destinations lets through.
    pub(super) fn peers_in(&self, destinations: &[Destination]) -> Vec<&str> {
        let open = |item: &&Item<Destination>| destinations.iter().any(|one| share(one, &item.is));
        let mut texts: Vec<&str> = self.peers.iter().filter(open).map(|item| &*item.text).collect();
        texts.sort_unstable();
        texts.dedup();
        texts
    }
}

/// Whether two ranges of addresses and their ports have something in common.
fn share(a: &Destination, b: &Destination) -> bool {
    let (To::Net(one), To::Net(two)) = (&a.to, &b.to) else { return false };
    let alike = |one: Option<u16>, two: Option<u16>| one.is_none() || two.is_none() || one == two;
    (one.contains(two) || two.contains(one))
        && alike(a.port, b.port)
        && alike(a.protocol.map(|is| is as u16), b.protocol.map(|is| is as u16))
}

#[cfg(test)]
impl Secrets {
    /// A path for each of the items, made by filling in what is left open.
    pub(super) fn samples(&self) -> Vec<Vec<u8>> {
        let fill = |item: &Item<Glob>| {
            let text = item.is.to_string();
            let text = text.strip_prefix("**").unwrap_or(&text);
            let text = text.replace("/**/", "/a/b/").replace("**", "a");
            let text = text.replace('*', "x").replace('\\', "");
            ["/home/ana", "/root"].map(|home| text.replace('~', home).into_bytes())
        };
        let homes = Homes(vec![b"/root".to_vec()]);
        let is_one = |item: &Item<Glob>, path: &[u8]| item.is.matches(path, &homes);
        let all = self.paths.iter().flat_map(|item| {
            let filled = fill(item);
            assert!(filled.iter().all(|path| is_one(item, path)), "{} {filled:?}", item.text);
            filled
        });
        all.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn homes() -> Homes {
        Homes(vec![b"/root".to_vec()])
    }

    fn below(path: &str, depth: usize) -> bool {
        let pattern = Pattern::literal(path.as_bytes(), &homes()).unwrap();
        Secrets::shipped().are_below(&pattern.tree(depth), &homes())
    }

    #[test]
    fn every_shipped_secret_is_known() {
        let secrets = Secrets::shipped();
        assert!(secrets.paths.len() > 80 && secrets.peers.len() > 5);
        for path in secrets.samples() {
            assert!(secrets.matched(&Object::Path(path), &homes()).is_some());
        }
        let metadata = Object::Peer {
            address: "::ffff:169.254.169.254".parse().unwrap(),
            port: 80,
            protocol: 6,
        };
        assert_eq!(secrets.matched(&metadata, &homes()), Some("169.254.169.254"));
    }

    #[test]
    fn a_directory_above_a_secret_is_refused_and_one_beside_is_not() {
        assert!(below("/home/ana/.config/app/x", 2));
        assert!(!below("/home/ana/.config/app/x", 3));
        assert!(below("/root/.cache/huggingface/x", 3));
        assert!(below("/etc/ssl/private/x", 2));
        assert!(!below("/etc/ssl/certs/x", 3));
    }

    #[test]
    fn what_lies_anywhere_is_named() {
        let secrets = Secrets::shipped();
        let glob = |text: &str| Glob::parse(text).unwrap();
        assert!(secrets.paths_in(&glob("~/src/x/**"), &homes()).contains(&"**/.env"));
        assert!(secrets.paths_in(&glob("/srv/x/notes.txt"), &homes()).is_empty());
        assert_eq!(
            secrets.paths_in(&glob("/srv/config/master.k?y"), &homes()),
            ["**/config/master.key"]
        );
    }
}
