//! Fields of kernel structures that the kernel half reads, each with the name of the frozen global
//! that holds its offset.
//!
//! rustc emits no CO-RE relocations. Instead the user half looks every field up in the BTF of the
//! running kernel before it loads the programs and writes the offset, in bytes, into a global of
//! `.rodata`; the verifier then sees a constant. [`ABSENT`] stands for a field that this kernel does
//! not have.

/// Offset of a field that the running kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// Where a field is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name of the global in the kernel half.
    pub global: &'static str,
    /// The structure, by its name in C.
    pub structure: &'static str,
    /// The member, nested ones through dots.
    pub member: &'static str,
    /// Whether the programs cannot work without it.
    pub required: bool,
}

/// Calls `$with!` with every field: `NAME = structure.member, required or optional;`.
#[macro_export]
macro_rules! for_each_field {
    ($with:ident) => {
        $with! {
            TASK_PID = task_struct."pid", required;
            TASK_TGID = task_struct."tgid", required;
            TASK_GROUP_LEADER = task_struct."group_leader", required;
            TASK_REAL_PARENT = task_struct."real_parent", required;
            TASK_START = task_struct."start_boottime", required;
            TASK_MM = task_struct."mm", required;
            TASK_FS = task_struct."fs", required;
            TASK_FILES = task_struct."files", required;
            TASK_CRED = task_struct."cred", required;
            TASK_CGROUPS = task_struct."cgroups", required;
            TASK_EXIT_CODE = task_struct."exit_code", required;
            TASK_STATUS = task_struct."thread_info.status", required;
            TASK_NSPROXY = task_struct."nsproxy", required;
            TASK_PERSONALITY = task_struct."personality", required;
            TASK_FLAGS = task_struct."flags", required;
            TASK_SIGNAL = task_struct."signal", required;
            TASK_STORAGE = task_struct."bpf_storage", required;
            SIGNAL_PIDS = signal_struct."pids", required;
            SIGNAL_LIVE = signal_struct."live", required;
            CRED_UID = cred."uid", required;
            CRED_GID = cred."gid", required;
            CRED_SUID = cred."suid", required;
            CRED_SGID = cred."sgid", required;
            CRED_EUID = cred."euid", required;
            CRED_EGID = cred."egid", required;
            CRED_FSUID = cred."fsuid", required;
            CRED_FSGID = cred."fsgid", required;
            CRED_INHERITABLE = cred."cap_inheritable", required;
            CRED_EFFECTIVE = cred."cap_effective", required;
            CRED_USER_NS = cred."user_ns", required;
            PID_LEVEL = pid."level", required;
            PID_NUMBERS = pid."numbers", required;
            VMA_START = vm_area_struct."vm_start", required;
            VMA_END = vm_area_struct."vm_end", required;
            VMA_FLAGS = vm_area_struct."vm_flags", required;
            VMA_FILE = vm_area_struct."vm_file", required;
            MM_ARG_START = mm_struct."arg_start", required;
            MM_ARG_END = mm_struct."arg_end", required;
            MM_ENV_START = mm_struct."env_start", required;
            MM_ENV_END = mm_struct."env_end", required;
            MM_EXE_FILE = mm_struct."exe_file", required;
            FS_PWD = fs_struct."pwd", required;
            FILES_FDT = files_struct."fdt", required;
            FDT_FD = fdtable."fd", required;
            FDT_MAX_FDS = fdtable."max_fds", required;
            FILE_PATH = file."f_path", required;
            FILE_INODE = file."f_inode", required;
            FILE_MODE = file."f_mode", required;
            FILE_FLAGS = file."f_flags", required;
            FILE_PRIVATE = file."private_data", required;
            BACKING_PATH = backing_file."user_path", optional;
            PATH_MNT = path."mnt", required;
            PATH_DENTRY = path."dentry", required;
            DENTRY_PARENT = dentry."d_parent", required;
            DENTRY_INODE = dentry."d_inode", required;
            DENTRY_NAME = dentry."d_name", required;
            QSTR_NAME = qstr."name", required;
            QSTR_LEN = qstr."len", required;
            VFSMOUNT_ROOT = vfsmount."mnt_root", required;
            MOUNT_MNT = mount."mnt", required;
            MOUNT_PARENT = mount."mnt_parent", required;
            MOUNT_MOUNTPOINT = mount."mnt_mountpoint", required;
            INODE_INO = inode."i_ino", required;
            INODE_MODE = inode."i_mode", required;
            INODE_UID = inode."i_uid", required;
            INODE_GID = inode."i_gid", required;
            INODE_NLINK = inode."i_nlink", required;
            INODE_GENERATION = inode."i_generation", required;
            INODE_SB = inode."i_sb", required;
            SB_DEV = super_block."s_dev", required;
            SB_FLAGS = super_block."s_flags", required;
            SB_MAGIC = super_block."s_magic", required;
            BPRM_FILE = linux_binprm."file", required;
            BPRM_BUF = linux_binprm."buf", required;
            BPRM_FILENAME = linux_binprm."filename", required;
            BPRM_INTERP = linux_binprm."interp", required;
            CRED_GROUPS = cred."group_info", required;
            GROUPS_COUNT = group_info."ngroups", required;
            SOCKET_SK = socket."sk", required;
            SOCKET_TYPE = socket."type", required;
            SOCK_FAMILY = sock."__sk_common.skc_family", required;
            SOCK_NUMBER = sock."__sk_common.skc_num", required;
            SOCK_PROTOCOL = sock."sk_protocol", required;
            MESSAGE_NAME = msghdr."msg_name", required;
            MESSAGE_NAME_LENGTH = msghdr."msg_namelen", required;
            MESSAGE_FLAGS = msghdr."msg_flags", required;
            CSS_SET_DFL_CGRP = css_set."dfl_cgrp", required;
            CGROUP_KN = cgroup."kn", required;
            KERNFS_NAME = kernfs_node."name", required;
            KERNFS_PARENT = kernfs_node."__parent", optional;
            KERNFS_PARENT_OLD = kernfs_node."parent", optional;
            PT_REGS_ORIG_AX = pt_regs."orig_ax", required;
            PT_REGS_BX = pt_regs."bx", required;
            PT_REGS_CX = pt_regs."cx", required;
            PT_REGS_DX = pt_regs."dx", required;
            PT_REGS_SI = pt_regs."si", required;
            PT_REGS_DI = pt_regs."di", required;
            PT_REGS_R8 = pt_regs."r8", required;
            PT_REGS_R10 = pt_regs."r10", required;
            URING_OPCODE = io_kiocb."opcode", required;
            URING_FLAGS = io_kiocb."flags", required;
            URING_RESULT = io_kiocb."cqe.res", required;
            URING_COMMAND = io_kiocb."cmd", required;
            URING_OPEN_SLOT = io_open."file_slot", required;
        }
    };
}

macro_rules! table {
    ($($global:ident = $structure:ident . $member:literal, $need:ident;)*) => {
        /// Every field.
        pub const FIELDS: &[Field] = &[$(Field {
            global: stringify!($global),
            structure: stringify!($structure),
            member: $member,
            required: table!(@ $need),
        }),*];
    };
    (@ required) => { true };
    (@ optional) => { false };
}

for_each_field!(table);
