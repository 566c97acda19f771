"""Leftovers of a sweep that was killed: found by what is certainly ours, and removed.

Processes carry FANOUT_LAB=<driver's pid>.<its start time> in their environment, or work in
a data directory of that name (nginx overwrites its environment), or live in a network
namespace of one that does; interfaces have the lab's prefix. Anything of a driver that
still runs is not a leftover.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import time

from . import procs
from .topology import PREFIX

LOCK = "/run/lock/fanout-lab"
DATA = "fanout-lab-"
DATA_ROOTS = ("/dev/shm", "/tmp")


def mark():
    """Put this process's mark on everything it will start."""
    os.environ[procs.MARK] = f"{os.getpid()}.{procs.start_time(os.getpid())}"


def owner_alive(value):
    """Whether the driver that a mark names still runs."""
    pid, _, started = value.partition(".")
    try:
        return procs.start_time(int(pid)) == int(started)
    except (OSError, ValueError):
        return False


def parse_mark(environ):
    """The mark in the bytes of /proc/PID/environ, or None. Pure."""
    key = procs.MARK.encode() + b"="
    for item in environ.split(b"\0"):
        if item.startswith(key):
            return item[len(key):].decode("ascii", "replace")
    return None


def parse_cwd(path):
    """The mark in a working directory below a sweep's data directory, or None. Pure."""
    for part in path.split("/"):
        if part.startswith(DATA):
            return part[len(DATA):]
    return None


def orphans():
    """[pid] of processes that a dead driver left."""
    marked, spaces, everyone = {}, set(), {}
    home = os.readlink("/proc/self/ns/net")
    for pid in (int(p) for p in os.listdir("/proc") if p.isdigit()):
        try:
            everyone[pid] = os.readlink(f"/proc/{pid}/ns/net")
            with open(f"/proc/{pid}/environ", "rb") as f:
                value = parse_mark(f.read()) or parse_cwd(os.readlink(f"/proc/{pid}/cwd"))
        except OSError:
            continue
        if value and pid != os.getpid() and not owner_alive(value):
            marked[pid] = value
            if everyone[pid] != home:
                spaces.add(everyone[pid])
    return sorted(set(marked) | {p for p, ns in everyone.items() if ns in spaces})


def interfaces():
    """Names of the lab's interfaces in the root namespace."""
    return sorted(n for n in os.listdir("/sys/class/net") if n.startswith(PREFIX))


def data_dir(root):
    """Where this sweep keeps the peers' files; the name tells whose it is."""
    return os.path.join(root, f"{DATA}{os.environ[procs.MARK]}")


def data_dirs():
    """Data directories of dead drivers."""
    return sorted(os.path.join(root, n) for root in DATA_ROOTS if os.path.isdir(root)
                  for n in os.listdir(root)
                  if n.startswith(DATA) and not owner_alive(n[len(DATA):]))


def leftovers():
    """(pids, interfaces, directories); the caller holds the lock, so no live sweep is hurt."""
    return orphans(), interfaces(), data_dirs()


def describe(pids, intfs, dirs):
    parts = []
    if pids:
        parts.append(f"{len(pids)} process{'es' if len(pids) > 1 else ''}")
    if intfs:
        parts.append(f"{len(intfs)} interface{'s' if len(intfs) > 1 else ''}")
    if dirs:
        parts.append(", ".join(dirs))
    return " and ".join(parts)


def clean(pids, intfs, dirs):
    """Remove them. Interfaces of processes that ended may vanish by themselves."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        end = time.monotonic() + 2
        while time.monotonic() < end and any(os.path.exists(f"/proc/{p}") for p in pids):
            time.sleep(0.05)
    for name in sorted(intfs, key=lambda n: "-" not in n):  # ports before their bridges
        if os.path.exists(f"/sys/class/net/{name}"):
            subprocess.run(["ip", "link", "del", name], check=False, capture_output=True)
    if intfs and subprocess.run(["sh", "-c", "command -v ovs-vsctl"], check=False,
                                capture_output=True).returncode == 0:
        for name in (n for n in intfs if "-" not in n):
            subprocess.run(["ovs-vsctl", "--timeout=3", "--if-exists", "del-br", name],
                           check=False, capture_output=True)
    for path in dirs:
        shutil.rmtree(path, ignore_errors=True)


class Lock:
    """One sweep at a time on a machine: two would measure each other."""

    def __init__(self, path=LOCK):
        self._file = open(path, "a+", encoding="ascii")  # noqa: SIM115 - held while the sweep runs

    def take(self, wait):
        """True once it is ours. Children must not inherit it: Python's files do not."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()
        return True

    def holder(self):
        self._file.seek(0)
        return self._file.read().strip() or "unknown"
