"""What a sweep needs of the machine itself, outside of its namespaces: one sweep at a time, limits
that are not a namespace's own, and files that belong to whoever asked for them."""

import fcntl
import os
import re
import shutil
from types import TracebackType
from typing import Dict, List, Optional, Tuple, Type

SYSCTL = "/proc/sys"
LOCK = "/run/lock/fanout-lab"
ROOM = (1 << 32) - 1  # user IDs are less
DATA, MARK = "fanout-lab-", ".made-by-sweep.py"
ALLOWED_CC = "net/ipv4/tcp_allowed_congestion_control"
# Shared by all namespaces: room for every pair of 200 hosts in the table of neighbours, for
# bursts that veth hands to a processor, for the pseudo-terminals of Mininet's shells.
LIMITS = {"net/ipv4/neigh/default/gc_thresh1": 65536, "net/ipv4/neigh/default/gc_thresh2": 131072,
          "net/ipv4/neigh/default/gc_thresh3": 262144, "net/core/netdev_max_backlog": 5000,
          "net/core/rmem_max": 16 << 20, "net/core/wmem_max": 16 << 20,
          "kernel/pty/max": 20000, "fs/inotify/max_user_instances": 1024}


def sysctl(name: str, value: Optional[str] = None) -> str:
    """The value of a kernel parameter, after setting it where one is given."""
    path = os.path.join(SYSCTL, name)
    if value is not None:
        with open(path, "w", encoding="ascii") as f:
            f.write(value)
    with open(path, encoding="ascii") as f:
        return f.read().strip()


class Limits:
    """Raises the machine's limits, and allows namespaces a congestion control, until it is left.

    After kill -9 they stay until the next boot, as after Mininet itself: they harm nothing.
    """

    def __init__(self, cc: Optional[str] = None):
        self._cc = cc
        self._before: Dict[str, str] = {}

    def __enter__(self) -> "Limits":
        for name, wanted in LIMITS.items():
            try:
                if int(sysctl(name)) < wanted:
                    self._set(name, str(wanted))
            except (OSError, ValueError):
                continue  # not there, or not ours to change (in a container): the network says if it was needed
        if self._cc and self._cc not in sysctl(ALLOWED_CC).split():
            self._set(ALLOWED_CC, f"{sysctl(ALLOWED_CC)} {self._cc}")
        return self

    def _set(self, name: str, value: str) -> None:
        before = sysctl(name)
        sysctl(name, value)
        self._before[name] = before

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        for name, value in self._before.items():
            try:
                sysctl(name, value)
            except OSError:
                pass


class Lock:
    """One sweep at a time on a machine: two would measure each other."""

    def __init__(self, path: str = LOCK):
        os.makedirs(os.path.dirname(path), exist_ok=True)  # not every container has one
        self._file = open(path, "a+", encoding="ascii")  # noqa: SIM115 - held while the sweep runs

    def take(self, wait: bool) -> bool:
        """True once it is ours. Children must not inherit it: Python's files do not."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()
        return True

    def holder(self) -> str:
        self._file.seek(0)
        return self._file.read().strip() or "unknown"


def make_data_dir(root: str) -> str:
    """A directory on a disk for the hosts' files. The caller holds the lock, and removes it in the end."""
    path = os.path.join(root, f"{DATA}{os.getpid()}")
    os.mkdir(path)
    with open(os.path.join(path, MARK), "w", encoding="ascii"):
        return path


def forgotten(root: str) -> List[str]:
    """Those that kill -9 left. The caller holds the lock: nobody uses them."""
    return sorted(os.path.join(root, name) for name in os.listdir(root)
                  if name.startswith(DATA) and os.path.isfile(os.path.join(root, name, MARK)))


def remove(paths: List[str]) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


def caller() -> Optional[Tuple[int, int]]:
    """(user, group) of whoever called sudo; None without it."""
    ids = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() or not all(re.fullmatch("[0-9]{1,10}", i) and int(i) < ROOM for i in ids):
        return None
    return int(ids[0]), int(ids[1])


def owner(path: str) -> Tuple[int, int]:
    found = os.stat(path)
    return found.st_uid, found.st_gid


def give(to: Optional[Tuple[int, int]], *paths: str) -> None:
    """Makes them somebody's, as far as they are there and this is root."""
    if to and not os.geteuid():
        for path in paths:
            try:
                os.lchown(path, *to)
            except FileNotFoundError:
                pass


def inside(path: str) -> List[str]:
    return [os.path.join(d, name) for d, dirs, files in os.walk(path) for name in dirs + files]
