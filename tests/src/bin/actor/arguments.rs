//! What the actor can be asked to do, as its command line spells it.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand, ValueEnum};

/// Performs one act in one way, and says with its exit code what came of it:
/// 0 done, 10 refused with EPERM, 11 any other error, 137 the descendant that had to act was killed.
#[derive(Parser)]
#[command(name = "actor")]
pub(crate) struct Arguments {
    /// What the actor does to itself before it acts; several are done one inside the other.
    #[arg(long = "via", value_enum)]
    pub(crate) vias: Vec<Via>,
    /// The cgroup v2 directory for `--via clone3-cgroup`.
    #[arg(long, value_name = "DIR")]
    pub(crate) cgroup: Option<PathBuf>,
    /// Acts this many times, each in a child of its own, and prints a tally; the exit code is 0.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) times: Option<u32>,
    /// Bytes that a read got are appended to this file by the next call after it.
    #[arg(long, value_name = "FILE")]
    pub(crate) leak: Option<PathBuf>,
    /// They are sent to this address as a datagram instead, through a socket that is there before the act.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "leak")]
    pub(crate) leak_to: Option<SocketAddr>,
    /// A file of four bytes, in which the next instruction after the call counts.
    #[arg(long, value_name = "FILE")]
    pub(crate) mark: Option<PathBuf>,
    /// Acts as soon as this file exists.
    #[arg(long, value_name = "FILE")]
    pub(crate) after: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) act: Act,
}

/// What the actor does to itself before it acts.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Via {
    /// A child that leads a session of its own.
    Setsid,
    /// A grandchild whose parent has ended.
    DoubleFork,
    /// A thread that is not the first.
    Thread,
    /// A child that borrows the memory of its parent.
    Vfork,
    /// A child that is born in another cgroup.
    Clone3Cgroup,
    /// A user namespace of its own.
    UnshareUser,
    /// A child that is the first process of a PID namespace.
    UnsharePid,
    /// A mount namespace of its own.
    UnshareMount,
    /// A network namespace of its own.
    UnshareNet,
}

/// What the actor does.
#[derive(Subcommand)]
pub(crate) enum Act {
    /// Opens a file to read it and gives its bytes away.
    Read {
        path: PathBuf,
        #[arg(long, value_enum, default_value_t = OpenHow::Openat)]
        how: OpenHow,
    },
    /// Opens a file to change it and appends a line to it.
    Write {
        path: PathBuf,
        #[arg(long, value_enum, default_value_t = OpenHow::Openat)]
        how: OpenHow,
    },
    /// Connects a socket and sends the canary word through it.
    Connect {
        peer: SocketAddr,
        #[arg(long, value_enum, default_value_t = ConnectHow::Tcp)]
        how: ConnectHow,
    },
    /// Sends one datagram that carries the canary word.
    Send {
        peer: SocketAddr,
        #[arg(long, value_enum, default_value_t = SendHow::Sendto)]
        how: SendHow,
        /// The permitted peer of a socket that is `connected-elsewhere`.
        #[arg(long)]
        elsewhere: Option<SocketAddr>,
    },
    /// Becomes another program.
    Exec {
        #[arg(long, value_enum, default_value_t = ExecHow::Execve)]
        how: ExecHow,
        path: PathBuf,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Appends a byte to the last of the files: a forbidden program shows that it ran.
    Marker {
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Opens each of the files once, to read or to change it.
    Each {
        #[arg(long)]
        write: bool,
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Opens a file again and again and prints how often it was allowed to.
    Opens { path: PathBuf, times: u32 },
    /// Becomes a tree of N descendants, each of which reads the file once.
    Forks {
        #[arg(value_parser = clap::value_parser!(u32).range(1..=4_000))]
        descendants: u32,
        path: PathBuf,
        /// Every descendant appends a byte here before it reads.
        #[arg(long, value_name = "FILE")]
        tried: PathBuf,
    },
    /// Repeats one operation and prints nanoseconds per operation.
    Op {
        #[arg(value_enum)]
        operation: Operation,
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        times: u32,
        /// The file of `stat` and `open`, the program of `exec`.
        #[arg(long, default_value = "/bin/true")]
        path: PathBuf,
        /// The peer of `connect`: a UDP socket, so nothing is sent.
        #[arg(long, default_value = "127.0.0.1:9")]
        peer: SocketAddr,
    },
    /// Repeats one operation in bursts and prints what each burst took, in nanoseconds.
    Count {
        #[arg(value_enum)]
        operation: Operation,
        /// Operations of a burst.
        #[arg(long)]
        each: u32,
        #[arg(long)]
        bursts: u32,
        /// Rests so many milliseconds after each burst, so that whoever is told of it gets done, and counts the time
        /// in which the processors did something, whoever did it.
        #[arg(long, value_name = "MILLISECONDS")]
        rest: Option<u64>,
        /// The file of `stat`, `read` and `open`, the program of `exec`.
        #[arg(long, default_value = "/bin/true")]
        path: PathBuf,
        /// The program of `spawn` and `flood`.
        #[arg(long, default_value = "/bin/true")]
        program: PathBuf,
        /// The peer of `connect` and `tcp`.
        #[arg(long, default_value = "127.0.0.1:9")]
        peer: SocketAddr,
    },
    /// Runs code of a file without starting it.
    Load {
        path: PathBuf,
        #[arg(long, value_enum, default_value_t = LoadHow::Mmap)]
        how: LoadHow,
    },
    /// Uses a right that reaches beyond the process.
    Use {
        #[arg(value_enum)]
        how: RightHow,
    },
    /// Waits.
    Sleep { seconds: u32 },
}

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OpenHow {
    Open,
    Openat,
    Openat2,
    /// Only for write; empties the file.
    Creat,
    /// `open_by_handle_at`.
    Handle,
    /// `open` through the 32-bit gate.
    Int80,
    /// Through a symbolic link of another name.
    Symlink,
    /// Down one directory after the other: the whole path may be longer than a call can name.
    Steps,
    /// Through `/proc/self/root`.
    ProcRoot,
    #[value(name = "io_uring")]
    Uring,
    /// Done by a worker thread of the kernel.
    #[value(name = "io_uring-async")]
    UringAsync,
    /// Submitted by the kernel's polling thread.
    #[value(name = "io_uring-sqpoll")]
    UringSqpoll,
    /// Into a direct descriptor: the process never has a file descriptor.
    #[value(name = "io_uring-direct")]
    UringDirect,
    /// Open and read as one linked chain, into shared memory: no instruction of ours in between.
    #[value(name = "io_uring-chain")]
    UringChain,
    /// Open and read submitted together, not linked.
    #[value(name = "io_uring-batch")]
    UringBatch,
    /// Its success is told to nobody; the descriptor is guessed.
    #[value(name = "io_uring-untold")]
    UringUntold,
    /// One thread opens, another waits for the descriptor and reads.
    SiblingThread,
    /// Another process opens into a table of descriptors that it shares with us.
    SharedTable,
}

/// How a socket is connected.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConnectHow {
    Tcp,
    Udp,
    /// An IPv4 peer in its IPv6 form, TCP.
    Mapped,
    /// An IPv4 peer in its IPv6 form, UDP.
    MappedUdp,
    /// `sendto` with `MSG_FASTOPEN`: there is no connect.
    Fastopen,
    #[value(name = "io_uring")]
    Uring,
    #[value(name = "io_uring-async")]
    UringAsync,
    Nonblock,
}

/// How a datagram is sent.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SendHow {
    Sendto,
    Sendmsg,
    Sendmmsg,
    #[value(name = "io_uring")]
    Uring,
    /// From a socket that is connected to a permitted peer.
    ConnectedElsewhere,
    /// An IPv4 peer in its IPv6 form.
    V4OnV6,
}

/// How a program is started.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExecHow {
    Execve,
    /// `execveat` with a directory and a name.
    Execveat,
    /// `execveat` with a descriptor and no name.
    Fexecve,
    /// A copy in memory that has no path.
    Memfd,
    /// A copy whose name was taken away; it was `memfd:` and more.
    Deleted,
    /// As the interpreter of a script.
    Script,
}

/// How code is loaded.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LoadHow {
    Mmap,
    /// `mmap2` through the 32-bit gate.
    Int80,
    /// A copy in memory that has no path.
    Memfd,
    /// Mapped to be read, by a process to which that means to run.
    Personality,
    /// Mapped to be read, and made code afterwards.
    Mprotect,
    /// The same in one call with other memory before and behind.
    MprotectBehind,
    /// A library, by the dynamic loader.
    Dlopen,
}

/// Which right is used, and how; some are none.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RightHow {
    /// Another effective user.
    Setuid,
    /// The user that it has.
    SetuidSame,
    /// Another effective user, through the 32-bit gate.
    SetuidInt80,
    Setgroups,
    /// Gives all groups up.
    SetgroupsNone,
    Setfsuid,
    /// Asks which user it is.
    SetfsuidAsk,
    /// Gives a capability up for a while.
    CapsetDrop,
    /// Takes one back.
    CapsetAdd,
    /// Hands one on to programs.
    Ambient,
    PtraceSeize,
    /// A child that lets itself be traced.
    PtraceMe,
    /// `process_vm_readv` of a child.
    Memory,
    /// Of itself.
    OwnMemory,
    /// `pidfd_getfd`.
    Descriptor,
    Mount,
    Fsopen,
    /// `open_tree` of a copy.
    TreeClone,
    /// `open_tree` without a copy.
    Tree,
    Unshare,
    /// Unshares descriptors, and no namespace.
    UnshareFiles,
    Setns,
    Clone3,
    Clone3User,
    /// Makes a child, and no namespace.
    Clone3Plain,
    Bpf,
    /// What is no module: fails.
    Module,
    IoUring,
}

/// An operation to measure.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Operation {
    Getppid,
    Stat,
    /// One byte of an open file.
    Read,
    Open,
    /// By a fork.
    Exec,
    /// The same without a copy of the parent.
    Spawn,
    /// Of a UDP socket.
    Connect,
    /// Of a TCP socket, to a listener of its own, with all that belongs to a connection.
    Tcp,
    /// One `spawn` and ten of `open`.
    Flood,
}
