//! Place: the cgroup of a container.
//!
//! An engine that says of which process a container is made is not believed: the cgroup must bear the container's
//! id, as every engine has it. So nothing that an engine says can make an agent of the whole host, and a
//! container that shares the cgroup of others is not known.

/// The cgroup of the container `id`, given the one that its first process is in, or one below it.
pub(super) fn own(path: &[u8], id: &str) -> Option<Vec<u8>> {
    let mut end = 0;
    for component in path.strip_prefix(b"/")?.split(|byte| *byte == b'/') {
        end += 1 + component.len();
        if component == b".." {
            return None; // outside of what this daemon can see
        }
        if is_of(component, id.as_bytes()) {
            return Some(path[..end].to_vec());
        }
    }
    None
}

/// `ID`, `libpod-ID`, `docker-ID.scope`, `cri-containerd-ID.scope` …
fn is_of(component: &[u8], id: &[u8]) -> bool {
    let name = component.strip_suffix(b".scope").unwrap_or(component);
    let before = name.strip_suffix(id);
    !id.is_empty() && before.is_some_and(|before| before.is_empty() || before.ends_with(b"-"))
}

/// Where a container that has not been started will be, as Docker and Podman have it under systemd and without:
/// below `parent`, or below what they take where that is empty.
pub(super) fn expected(id: &str, parent: &str) -> Vec<Vec<u8>> {
    let scopes =
        |slice: &str| [format!("{slice}/docker-{id}.scope"), format!("{slice}/libpod-{id}.scope")];
    let paths = match parent.trim_end_matches('/') {
        "" => vec![
            format!("/system.slice/docker-{id}.scope"),
            format!("/docker/{id}"),
            format!("/machine.slice/libpod-{id}.scope"),
            format!("/libpod_parent/libpod-{id}"),
        ],
        slice if slice.ends_with(".slice") && !slice.contains('/') => scopes(&expand(slice)).into(),
        path => {
            let path = path.trim_start_matches('/');
            let plain = [format!("/{path}/{id}"), format!("/{path}/libpod-{id}")];
            // Podman names the whole path of a slice.
            plain.into_iter().chain(scopes(&format!("/{path}"))).collect()
        }
    };
    let is_whole = |path: &String| {
        let mut components = path.split('/').skip(1);
        components
            .all(|component| !["", ".", ".."].contains(&component) && !component.contains('\0'))
    };
    paths.into_iter().filter(is_whole).map(String::into_bytes).collect()
}

/// Where a container will be whose OCI specification has this `linux.cgroupsPath`: a path or, under systemd,
/// `SLICE:PREFIX:NAME`.
pub(super) fn of_specification(path: &str) -> Vec<u8> {
    let mut parts = path.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(slice), Some(prefix), Some(name)) => {
            let slice = if slice.is_empty() { "system.slice" } else { slice };
            format!("{}/{prefix}-{name}.scope", expand(slice))
        }
        _ => format!("/{}", path.trim_matches('/')),
    }
    .into_bytes()
}

/// The path of a slice, systemd.slice(5): `a-b.slice` is in `a.slice`.
fn expand(slice: &str) -> String {
    let stem = slice.strip_suffix(".slice").unwrap_or(slice);
    if stem == "-" {
        return String::new();
    }
    let ends = stem.match_indices('-').map(|(at, _)| at).chain([stem.len()]);
    ends.map(|end| format!("/{}.slice", &stem[..end])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f2a4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70819";

    fn placed(path: &str) -> Option<String> {
        let path = path.replace("ID", ID);
        own(path.as_bytes(), ID).map(|own| String::from_utf8_lossy(&own).replace(ID, "ID"))
    }

    #[test]
    fn a_container_is_in_the_cgroup_that_bears_its_id() {
        for (path, own) in [
            ("/system.slice/docker-ID.scope", "/system.slice/docker-ID.scope"),
            ("/docker/ID", "/docker/ID"),
            ("/docker/ID/init.scope", "/docker/ID"),
            ("/machine.slice/libpod-ID.scope/container", "/machine.slice/libpod-ID.scope"),
            ("/libpod_parent/libpod-ID", "/libpod_parent/libpod-ID"),
            ("/default/ID", "/default/ID"),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podx.slice/cri-containerd-ID.scope",
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podx.slice/cri-containerd-ID.scope",
            ),
            ("/kubepods/besteffort/podx/ID", "/kubepods/besteffort/podx/ID"),
        ] {
            assert_eq!(placed(path).as_deref(), Some(own), "{path}");
        }
        for path in [
            "/",
            "",
            "/init.scope",
            "/docker",
            "/x/aID",
            "/x/IDa",
            "/docker-ID.service",
            "/../docker/ID",
        ] {
            assert_eq!(placed(path), None, "{path}");
        }
        assert_eq!(own(b"/a-", ""), None);
    }

    #[test]
    fn a_specification_says_where_a_container_will_be() {
        for (path, place) in [
            ("/default/a", "/default/a"),
            ("kubepods/besteffort/podx/a", "/kubepods/besteffort/podx/a"),
            (
                "kubepods-besteffort-podx.slice:cri-containerd:a",
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podx.slice/cri-containerd-a.scope",
            ),
            (":nerdctl:a", "/system.slice/nerdctl-a.scope"),
        ] {
            assert_eq!(of_specification(path), place.as_bytes(), "{path}");
        }
    }

    #[test]
    fn a_container_that_has_not_been_started_is_expected_where_engines_put_it() {
        let shown = |parent: &str| {
            let paths = expected("ID", parent);
            paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            shown(""),
            [
                "/system.slice/docker-ID.scope",
                "/docker/ID",
                "/machine.slice/libpod-ID.scope",
                "/libpod_parent/libpod-ID"
            ]
        );
        assert_eq!(
            shown("a-b.slice"),
            ["/a.slice/a-b.slice/docker-ID.scope", "/a.slice/a-b.slice/libpod-ID.scope"]
        );
        assert_eq!(
            shown("/ai/agents"),
            [
                "/ai/agents/ID",
                "/ai/agents/libpod-ID",
                "/ai/agents/docker-ID.scope",
                "/ai/agents/libpod-ID.scope"
            ]
        );
        for odd in ["/a//b", "../..", "/a/../b", "a\0b"] {
            assert!(shown(odd).is_empty(), "{odd:?}");
        }
    }
}
