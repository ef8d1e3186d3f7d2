//! Using rights that reach beyond the process, each in a way that harms nothing: namespaces are the actor's own,
//! mounts are in them, the process that is steered is a child, and no module is one.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    ptr,
};

use crate::{
    arguments::RightHow,
    call::{check, descriptor, marked, marked_int80_numbers},
    via::{act_and_end, fork, wait_for},
    witness::{Mark, Witness},
};

/// A user and group that owns nothing.
const NOBODY: usize = 65_534;
/// As it was.
const SAME: usize = usize::MAX;
/// `CAP_NET_RAW`, include/uapi/linux/capability.h.
const NET_RAW: u32 = 13;
/// `OPEN_TREE_CLONE`, include/uapi/linux/mount.h.
const TREE_CLONE: usize = 1;

/// Uses the right. The call that does is the one that is marked.
pub(crate) fn use_it(how: RightHow, witness: &Witness) -> io::Result<()> {
    let mark = witness.mark();
    match how {
        RightHow::Setuid => marked(mark, libc::SYS_setresuid, [SAME, NOBODY, SAME, 0]),
        RightHow::SetuidSame => marked(mark, libc::SYS_setuid, [own_user()?, 0, 0, 0]),
        RightHow::SetuidInt80 => marked_int80_numbers(mark, 208, [-1, 65_534, -1]),
        RightHow::Setgroups => {
            let groups = [0_u32];
            marked(mark, libc::SYS_setgroups, [1, groups.as_ptr().addr(), 0, 0])
        }
        RightHow::SetgroupsNone => marked(mark, libc::SYS_setgroups, [0, 0, 0, 0]),
        RightHow::Setfsuid => marked(mark, libc::SYS_setfsuid, [NOBODY, 0, 0, 0]),
        RightHow::SetfsuidAsk => marked(mark, libc::SYS_setfsuid, [SAME, 0, 0, 0]),
        RightHow::CapsetDrop => Capabilities::own()?.without(NET_RAW).set(mark),
        RightHow::CapsetAdd => {
            let before = Capabilities::own()?;
            before.without(NET_RAW).set(&Mark::nobodys())?;
            before.set(mark)
        }
        RightHow::Ambient => {
            Capabilities::own()?.inheriting(NET_RAW).set(&Mark::nobodys())?;
            let raise = libc::PR_CAP_AMBIENT_RAISE as usize;
            marked(
                mark,
                libc::SYS_prctl,
                [libc::PR_CAP_AMBIENT as usize, raise, NET_RAW as usize, 0],
            )
        }
        RightHow::PtraceSeize => {
            let child = patient_child()?;
            marked(mark, libc::SYS_ptrace, [libc::PTRACE_SEIZE as usize, child, 0, 0])
        }
        RightHow::PtraceMe => {
            let traceme = || trace_me(mark).map_or(1, |_| 0);
            wait_for(fork(&traceme)?).map(i64::from)
        }
        RightHow::Memory => read_memory(mark, patient_child()?),
        RightHow::OwnMemory => read_memory(mark, std::process::id() as usize),
        RightHow::Descriptor => {
            let child = pidfd(patient_child()?)?;
            marked(mark, libc::SYS_pidfd_getfd, [child.as_raw_fd() as usize, 2, 0, 0])
        }
        RightHow::Mount => {
            // SAFETY: a number; the mounts of this process are its own from here on.
            check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
            make_private(mark)
        }
        RightHow::Fsopen => marked(mark, libc::SYS_fsopen, [c"tmpfs".as_ptr().addr(), 0, 0, 0]),
        RightHow::TreeClone => open_tree(mark, TREE_CLONE),
        RightHow::Tree => open_tree(mark, 0),
        RightHow::Unshare => {
            marked(mark, libc::SYS_unshare, [libc::CLONE_NEWUTS as usize, 0, 0, 0])
        }
        RightHow::UnshareFiles => {
            marked(mark, libc::SYS_unshare, [libc::CLONE_FILES as usize, 0, 0, 0])
        }
        RightHow::Setns => {
            let own = std::fs::File::open("/proc/self/ns/uts")?;
            marked(mark, libc::SYS_setns, [own.as_raw_fd() as usize, 0, 0, 0])
        }
        RightHow::Clone3 => clone3(mark, (libc::CLONE_NEWUTS | libc::CLONE_NEWIPC) as u64),
        RightHow::Clone3User => clone3(mark, libc::CLONE_NEWUSER as u64),
        RightHow::Clone3Plain => clone3(mark, 0),
        RightHow::Bpf => {
            // BPF_MAP_CREATE of an array of one number.
            let request = [2_u32, 4, 4, 1, 0, 0, 0, 0];
            marked(mark, libc::SYS_bpf, [0, request.as_ptr().addr(), size_of_val(&request), 0])
        }
        RightHow::Module => {
            let garbage = [0_u8; 64];
            let name = c"".as_ptr().addr();
            marked(mark, libc::SYS_init_module, [garbage.as_ptr().addr(), garbage.len(), name, 0])
        }
        RightHow::IoUring => {
            let request = [0_u8; 120];
            marked(mark, libc::SYS_io_uring_setup, [1, request.as_ptr().addr(), 0, 0])
        }
    }
    .map(drop)
}

fn own_user() -> io::Result<usize> {
    // SAFETY: no arguments.
    usize::try_from(unsafe { libc::geteuid() }).map_err(io::Error::other)
}

/// The three sets of a process, as capset(2) has them: twice effective, permitted, inheritable.
struct Capabilities([u32; 6]);

impl Capabilities {
    /// `_LINUX_CAPABILITY_VERSION_3`, of the calling thread.
    const HEAD: [u32; 2] = [0x2008_0522, 0];

    fn own() -> io::Result<Self> {
        let mut sets = [0; 6];
        let head = Self::HEAD;
        // SAFETY: a head of two numbers and room for six, as this version has them.
        check(unsafe { libc::syscall(libc::SYS_capget, head.as_ptr(), sets.as_mut_ptr()) })?;
        Ok(Self(sets))
    }

    /// It may still be taken back: it stays permitted.
    fn without(&self, one: u32) -> Self {
        let mut sets = self.0;
        sets[0] &= !(1 << one);
        Self(sets)
    }

    fn inheriting(&self, one: u32) -> Self {
        let mut sets = self.0;
        sets[2] |= 1 << one;
        Self(sets)
    }

    fn set(&self, mark: &Mark) -> io::Result<i64> {
        let head = Self::HEAD;
        marked(mark, libc::SYS_capset, [head.as_ptr().addr(), self.0.as_ptr().addr(), 0, 0])
    }
}

/// A child that does nothing, and ends with this process.
fn patient_child() -> io::Result<usize> {
    let child = fork(&|| {
        // SAFETY: numbers.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::pause();
        }
        0
    })?;
    usize::try_from(child).map_err(io::Error::other)
}

fn trace_me(mark: &Mark) -> io::Result<i64> {
    marked(mark, libc::SYS_ptrace, [libc::PTRACE_TRACEME as usize, 0, 0, 0])
}

fn read_memory(mark: &Mark, process: usize) -> io::Result<i64> {
    // A child has the same memory at the same place.
    let (from, mut to) = (7_u64, 0_u64);
    let local = libc::iovec { iov_base: (&raw mut to).cast(), iov_len: 8 };
    let remote = libc::iovec { iov_base: (&raw const from).cast_mut().cast(), iov_len: 8 };
    let process = libc::pid_t::try_from(process).map_err(io::Error::other)?;
    // SAFETY: one vector each, of memory of ours.
    let read = check(unsafe {
        libc::process_vm_readv(process, &raw const local, 1, &raw const remote, 1, 0)
    } as i64)?;
    mark.count();
    Ok(read)
}

fn pidfd(process: usize) -> io::Result<OwnedFd> {
    // SAFETY: numbers.
    descriptor(unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) })
}

/// What is mounted in the namespace of this process is not seen elsewhere any more.
fn make_private(mark: &Mark) -> io::Result<i64> {
    let (none, root) = (c"none".as_ptr().addr(), c"/".as_ptr().addr());
    let flags = usize::try_from(libc::MS_REC | libc::MS_PRIVATE).map_err(io::Error::other)?;
    marked(mark, libc::SYS_mount, [none, root, 0, flags])
}

fn open_tree(mark: &Mark, flags: usize) -> io::Result<i64> {
    let place = libc::AT_FDCWD as isize as usize;
    marked(mark, libc::SYS_open_tree, [place, c"/tmp".as_ptr().addr(), flags, 0])
}

/// Both the one that calls and the one that is made count in the mark.
fn clone3(mark: &Mark, flags: u64) -> io::Result<i64> {
    // SAFETY: all zeroes is a valid request: a plain fork.
    let mut request: libc::clone_args = unsafe { std::mem::zeroed() };
    request.flags = flags;
    request.exit_signal = libc::SIGCHLD as u64;
    let arguments = [ptr::from_ref(&request).addr(), size_of::<libc::clone_args>(), 0, 0];
    match marked(mark, libc::SYS_clone3, arguments)? {
        0 => act_and_end(&|| 0),
        child => wait_for(i32::try_from(child).map_err(io::Error::other)?).map(i64::from),
    }
}
