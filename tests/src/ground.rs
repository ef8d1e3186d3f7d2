//! The ground a test stands on: one directory with planted things, and traces of who touched them.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use tempfile::TempDir;

use crate::programs;

/// What is planted as a credential. No real one, and long enough for every way of reading it.
pub const SECRET: &str = "[default]\naws_access_key_id = AKIAPLANTEDBYATEST00\n";

/// A directory that is gone when this is.
#[derive(Debug)]
pub struct Ground {
    directory: TempDir,
}

impl Ground {
    /// Plants a credential, an ordinary file, and the dropped program.
    pub fn new() -> anyhow::Result<Self> {
        Self::with_prefix("driftwatch-test-")
    }

    /// The same in a directory whose name starts like this.
    pub fn with_prefix(prefix: &str) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix(prefix).tempdir_in("/tmp")?;
        // Acts are also tried by users who own nothing here.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
        let ground = Self { directory };
        for folder in ["home/.aws", "dropped", "traces"] {
            fs::create_dir_all(ground.path(folder))?;
        }
        fs::write(ground.secret(), SECRET)?;
        fs::write(ground.notes(), "nothing of interest\n")?;
        fs::copy(programs::actor()?, ground.dropped()).context("drop a program")?;
        Ok(ground)
    }

    /// A path on the ground.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The planted credential, below a `.aws` directory.
    #[must_use]
    pub fn secret(&self) -> PathBuf {
        self.path("home/.aws/credentials")
    }

    /// A file that anybody may read.
    #[must_use]
    pub fn notes(&self) -> PathBuf {
        self.path("home/notes.txt")
    }

    /// A copy of the actor in a directory where nothing may be started.
    #[must_use]
    pub fn dropped(&self) -> PathBuf {
        self.path("dropped/tool")
    }

    /// Where the dropped program is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A copy of the actor at this place.
    pub fn actor_at(&self, name: &str) -> anyhow::Result<PathBuf> {
        let place = self.path(name);
        if let Some(directory) = place.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::copy(programs::actor()?, &place).context("copy the actor")?;
        Ok(place)
    }

    /// A new trace.
    pub fn trace(&self, name: &str) -> anyhow::Result<Trace> {
        let trace = Trace { stem: self.path("traces").join(name) };
        fs::write(trace.leak(), "")?;
        fs::write(trace.mark(), 0_u32.to_ne_bytes())?;
        for file in [trace.leak(), trace.mark()] {
            fs::set_permissions(file, Permissions::from_mode(0o666))?;
        }
        Ok(trace)
    }
}

/// Length of a file that may never have been made: how often a marker was set.
#[must_use]
pub fn bytes_in(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |metadata| metadata.len())
}

/// How far actors got: bytes that were given away, and calls that came back.
#[derive(Clone, Debug)]
pub struct Trace {
    stem: PathBuf,
}

impl Trace {
    /// The file that bytes are appended to.
    #[must_use]
    pub fn leak(&self) -> PathBuf {
        self.stem.with_extension("leak")
    }

    /// The file that returns are counted in.
    #[must_use]
    pub fn mark(&self) -> PathBuf {
        self.stem.with_extension("mark")
    }

    /// How many bytes were given away.
    pub fn leaked_bytes(&self) -> anyhow::Result<u64> {
        // A leak that was used as memory has zeroes where nothing was given away.
        Ok(fs::read(self.leak())?.iter().filter(|&&byte| byte != 0).count() as u64)
    }

    /// How many calls came back: the instruction behind the call was reached so often.
    pub fn returns(&self) -> anyhow::Result<u32> {
        let bytes = fs::read(self.mark())?;
        let counter = bytes.first_chunk().context("a mark has four bytes")?;
        Ok(u32::from_ne_bytes(*counter))
    }
}
