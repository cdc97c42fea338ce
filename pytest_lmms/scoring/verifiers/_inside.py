"""The inside of `confined`: a process that gives up what it may do, then runs a model's program. Run as a script.

Standard library only; nothing of this package is imported, so that a start takes a few hundredths of a second. What
has to be done and what came of it travel through two open files, whose numbers are the arguments.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import platform
import resource
import struct
import sys
import traceback
from collections.abc import Sequence
from typing import Any

NETWORK, PROCESSES, FILES = "network", "processes", "files"
"""What a program can be kept from: talking to anyone, starting, signalling or slowing processes, other files than its
own."""
MAX_FILES = 64
MAX_DETAIL = 500

_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_THREAD = 0x10000000, 0x40000000, 0x10000
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _HAS_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _MACHINE_AT, _FIRST_ARGUMENT_AT, _SECOND_ARGUMENT_AT = 0, 4, 16, 24
_SYSCALLS = {
    "x86_64": {
        "socket": 41, "fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "kill": 62, "tkill": 200, "tgkill": 234,
        "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "pidfd_send_signal": 424, "pidfd_open": 434,
        "pidfd_getfd": 438, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "setpriority": 141,
        "io_uring_setup": 425, "memfd_create": 319, "shmget": 29, "shmat": 30, "semget": 64, "msgget": 68,
        "mount": 165, "umount2": 166, "unshare": 272, "setns": 308, "bpf": 321, "userfaultfd": 323,
        "perf_event_open": 298, "add_key": 248, "request_key": 249, "keyctl": 250,
        "sched_setparam": 142, "sched_setscheduler": 144, "sched_setaffinity": 203, "sched_setattr": 314,
        "ioprio_set": 251, "kcmp": 312, "process_madvise": 440, "shmctl": 31, "semop": 65, "semctl": 66,
        "semtimedop": 220, "msgsnd": 69, "msgrcv": 70, "msgctl": 71, "mq_open": 240, "mq_unlink": 241,
        "inotify_add_watch": 254, "fanotify_init": 300, "chroot": 161, "pivot_root": 155, "open_tree": 428,
        "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
    },
    "aarch64": {
        "socket": 198, "execve": 221, "execveat": 281, "kill": 129, "tkill": 130, "tgkill": 131,
        "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240, "pidfd_send_signal": 424, "pidfd_open": 434,
        "pidfd_getfd": 438, "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "setpriority": 140,
        "io_uring_setup": 425, "memfd_create": 279, "shmget": 194, "shmat": 196, "semget": 190, "msgget": 186,
        "mount": 40, "umount2": 39, "unshare": 97, "setns": 268, "bpf": 280, "userfaultfd": 282,
        "perf_event_open": 241, "add_key": 217, "request_key": 218, "keyctl": 219,
        "sched_setparam": 118, "sched_setscheduler": 119, "sched_setaffinity": 122, "sched_setattr": 274,
        "ioprio_set": 30, "kcmp": 272, "process_madvise": 440, "shmctl": 195, "semctl": 191, "semtimedop": 192,
        "semop": 193, "msgctl": 187, "msgrcv": 188, "msgsnd": 189, "mq_open": 180, "mq_unlink": 181,
        "inotify_add_watch": 27, "fanotify_init": 262, "chroot": 51, "pivot_root": 41, "open_tree": 428,
        "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
    },
}  # fmt: skip
"""Refused with EPERM, by machine. Numbers of the kernel's tables (arch/*/entry/syscalls, asm-generic/unistd.h)."""
_IDLE = {
    "x86_64": {
        "chmod": 90, "fchmod": 91, "fchmodat": 268, "fchmodat2": 452, "chown": 92, "fchown": 93, "lchown": 94,
        "fchownat": 260, "utime": 132, "utimes": 235, "futimesat": 261, "utimensat": 280, "setxattr": 188,
        "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197, "lremovexattr": 198, "fremovexattr": 199,
        "setxattrat": 463, "removexattrat": 466, "file_setattr": 469,
    },
    "aarch64": {
        "fchmod": 52, "fchmodat": 53, "fchmodat2": 452, "fchown": 55, "fchownat": 54, "utimensat": 88, "setxattr": 5,
        "lsetxattr": 6, "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15, "fremovexattr": 16,
        "setxattrat": 463, "removexattrat": 466, "file_setattr": 469,
    },
}  # fmt: skip
"""Landlock lets these through for every file of the user: they do nothing, and say that they did it, as programs that
copy a file want to hear."""
_COMMANDS = {
    "fcntl": ({"x86_64": 72, "aarch64": 25}, (8, 10, 15)),
    "ioctl": ({"x86_64": 16, "aarch64": 29}, (0x8901, 0x8902, 0x40086602, 0x401C5820)),
}
"""Refused by their second argument: F_SETOWN, F_SETSIG, F_SETOWN_EX; FIOSETOWN, SIOCSPGRP (whoever is told of new data
may be told by SIGKILL); FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR (attributes of files)."""
_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3, _PRLIMIT = 435, {"x86_64": 302, "aarch64": 261}
_FOREIGN_NUMBERS = 0x40000000
"""From here on, numbers are those of the x32 interface."""
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_FILE_RIGHTS = ((1, 13), (2, 14), (3, 15), (5, 16))
"""(version of Landlock, number of rights that it knows)."""


def limit(seconds: int, memory_bytes: int, file_bytes: int) -> None:
    """Bound processor time, memory, the size of files and of output, and the number of open files."""
    bounds = [
        (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, MAX_FILES), (resource.RLIMIT_CORE, 0),
    ]  # fmt: skip
    for kind, bound in bounds:
        hard = resource.getrlimit(kind)[1]
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS does not bound every kind
            resource.setrlimit(kind, (bound, bound))


def confine(readable: Sequence[str], writable: Sequence[str]) -> set[str]:
    """Give up the network, other processes and other files, as far as this system lets a program do so.

    Args:
        readable: Files and folders that can still be read.
        writable: Folders that can still be written to.

    Returns:
        What really holds: some of `NETWORK`, `PROCESSES`, `FILES`. Nothing off Linux.
    """
    if not sys.platform.startswith("linux"):
        return set()
    libc = ctypes.CDLL(None, use_errno=True)
    held = set()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        held.add(NETWORK)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return held
    if _confine_files(libc, readable, writable):
        held.add(FILES)
    if _refuse_syscalls(libc):
        held |= {NETWORK, PROCESSES}
    return held


def _refuse_syscalls(libc: Any) -> bool:
    """Have the kernel refuse sockets, new processes, signals and the like, by a seccomp filter."""
    machine = platform.machine()
    if machine not in _MACHINES:
        return False
    refuse = _RETURN, 0, 0, _REFUSE | errno.EPERM
    allow = _RETURN, 0, 0, _ALLOW
    program = [
        (_LOAD, 0, 0, _MACHINE_AT), (_EQUAL, 1, 0, _MACHINES[machine]), (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT), (_AT_LEAST, 0, 1, _FOREIGN_NUMBERS), refuse,
    ]  # fmt: skip
    for number in _SYSCALLS[machine].values():
        program += [(_EQUAL, 0, 1, number), refuse]
    for number in _IDLE[machine].values():
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    for numbers, commands in _COMMANDS.values():
        checks = [step for command in commands for step in ((_EQUAL, 0, 1, command), refuse)]
        steps = [(_LOAD, 0, 0, _SECOND_ARGUMENT_AT), *checks, allow]
        program += [(_EQUAL, 0, len(steps), numbers[machine]), *steps]
    program += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _REFUSE | errno.ENOSYS)]  # libc then calls clone
    # Threads may be started; other processes' limits may not be touched.
    program += [(_EQUAL, 0, 4, _CLONE[machine]), (_LOAD, 0, 0, _FIRST_ARGUMENT_AT)]
    program += [(_HAS_BITS, 1, 0, _CLONE_THREAD), refuse, allow]
    program += [(_EQUAL, 0, 4, _PRLIMIT[machine]), (_LOAD, 0, 0, _FIRST_ARGUMENT_AT)]
    program += [(_EQUAL, 1, 0, 0), refuse, allow, allow]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    described = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code)))
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, described, 0, 0) == 0)


def _confine_files(libc: Any, readable: Sequence[str], writable: Sequence[str]) -> bool:
    """Have the kernel refuse all files but these, by Landlock."""
    version = libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    every_right = (1 << max(count for since, count in _FILE_RIGHTS if since <= version)) - 1
    rules = libc.syscall(_LANDLOCK_CREATE, struct.pack("Q", every_right), ctypes.c_size_t(8), 0)
    if rules < 0:
        return False
    rights = dict.fromkeys(readable, _EXECUTE | _READ_FILE | _READ_DIR) | dict.fromkeys(writable, every_right)
    for path, right in {**rights, "/dev/null": _READ_FILE | _WRITE_FILE, "/dev/urandom": _READ_FILE}.items():
        try:
            place = os.open(path, getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC)
        except OSError:
            continue  # not on this system
        right = right if os.path.isdir(path) else right & ~_READ_DIR
        done = libc.syscall(_LANDLOCK_ADD, rules, 1, struct.pack("=Qi", right, place), 0)
        os.close(place)
        if done != 0:
            return False
    done = libc.syscall(_LANDLOCK_RESTRICT, rules, 0)
    os.close(rules)
    return bool(done == 0)


def main(plan_file: int, report_file: int) -> None:
    """Run a program under its plan, and report."""
    with os.fdopen(plan_file, encoding="utf-8") as file:
        plan = json.load(file)

    def report(**said: Any) -> None:
        os.write(report_file, json.dumps({"token": plan["token"], **said}).encode())

    limit(plan["seconds"], plan["memory_bytes"], plan["file_bytes"])
    missing = sorted(set(plan["required"]) - confine(plan["readable"], [os.getcwd()]))
    if missing:
        report(missing=missing)
        return
    sys.argv = ["answer.py"]
    try:
        exec(compile(plan["source"], "answer.py", "exec"), {"__name__": "__main__"})  # noqa: S102 (what this is for)
    except SystemExit as e:
        report(exited=e.code if isinstance(e.code, int) else int(e.code is not None))
    except BaseException as e:  # noqa: BLE001 (whatever a model's program raises is its failure)
        lines = [frame.lineno for frame in traceback.extract_tb(e.__traceback__) if frame.filename == "answer.py"]
        where = f" (line {lines[-1]})" if lines else ""
        report(raised=f"{type(e).__name__}: {e}"[:MAX_DETAIL] + where)
    else:
        report(exited=0, ended=True)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(0)  # threads of the program end with it


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
