"""Namespaces of the sweep's own: its network, processes and mounts are nobody else's.

Names, firewalls and routes of the machine cannot meet the lab's, nor the lab's theirs. And the
kernel puts everything away with them, however the sweep ends: the first process of a PID
namespace takes all others with it (pid_namespaces(7)), interfaces vanish with their network,
a tmpfs with its mounts. So there is no clean-up that could be interrupted, or forgotten.

    sweep.py ── waits, and passes signals on
      └─ init of the PID namespace; the kernel kills it if sweep.py dies
           └─ the driver, and below it all daemons and Mininet's shells
"""

import ctypes
import os
import resource
import select
import signal
import subprocess
import sys
from typing import Callable, List

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
PR_SET_PDEATHSIG = 1
MEMORY = "/run/fanout-lab"  # where a tmpfs of the sweep's own is mounted
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
BRIDGE = "/proc/sys/net/bridge/bridge-nf-call-"
_libc = ctypes.CDLL(None, use_errno=True)


class Stopped(KeyboardInterrupt):
    """A signal asks the sweep to end: Ctrl-C, SIGTERM, or SIGHUP of a terminal that is closed."""

    def __init__(self, number: int):
        super().__init__()
        self.status = 128 + number  # what a shell calls it


def check(result: int, what: str) -> None:
    if result:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{what}: {os.strerror(errno)}")


def setns(fd: int) -> None:
    """Moves this thread to the namespace that fd is open on (setns(2))."""
    check(_libc.setns(fd, 0), "setns")


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    check(_libc.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode()),
          f"mount {kind or source} at {target}")


def enter(main: Callable[[], int]) -> int:
    """main's exit status; it runs in new namespaces, and when this returns, nothing of them is left.

    OSError where the machine does not allow that: without root, or in a container without the
    privileges.
    """
    os.makedirs(MEMORY, exist_ok=True)
    alive, held = os.pipe()  # `held` is open as long as this process lives
    home = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("mnt", "net", "pid")]
    try:
        check(_libc.unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID), "unshare")
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            os.close(held)
            leave(lambda: init(alive, main))
        for fd in home:  # this process has limits of the machine to put back, which are seen from there only
            setns(fd)
        return wait_for(pid, insist=True)
    finally:
        for fd in (alive, held, *home):
            os.close(fd)


def init(alive: int, main: Callable[[], int]) -> int:
    """The first process of the namespace: it inherits orphans, and its end is theirs."""
    check(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")
    if select.select([alive], [], [], 0)[0]:
        return 1  # whoever started this was gone before the line above
    os.setpgid(0, 0)  # a Ctrl-C at the terminal reaches the outermost process only, once
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # with that, what is said would stop it at some terminals (tostop)
    try:
        furnish()
    except OSError as e:
        print(f"sweep.py: {e}: this machine gives no namespaces to a sweep; see `sweep.py doctor`", file=sys.stderr)
        return 2
    pid = os.fork()
    if not pid:
        leave(lambda: driver(main))
    return wait_for(pid)


def leaves_root() -> bool:
    """Whether a process that joins a mount namespace, as each of a host's does, gets another root directory."""
    root, here = os.stat("/"), os.open("/proc/self/ns/mnt", os.O_RDONLY)

    def another_root() -> int:
        setns(here)
        return int(not os.path.samestat(root, os.stat("/")))

    pid = os.fork()
    if not pid:
        leave(another_root)
    os.close(here)
    return os.waitpid(pid, 0)[1] != 0


def furnish() -> None:
    """What the namespaces begin with."""
    if leaves_root():
        raise OSError("this is a chroot, which its hosts would leave (a container or pivot_root will do)")
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc")
    mount("sysfs", "/sys", "sysfs")
    mount("fanout-lab", MEMORY, "tmpfs", data="size=100%,mode=755")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for table in ("arp", "ip", "ip6"):  # a namespace may begin with bridged frames going through its (empty) firewall
        if os.path.exists(f"{BRIDGE}{table}tables"):
            with open(f"{BRIDGE}{table}tables", "w", encoding="ascii") as f:
                f.write("0")


def driver(main: Callable[[], int]) -> int:
    for number in SIGNALS:
        signal.signal(number, stop_once)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a host takes some (checks.DESCRIPTORS)
    return main()


def stop_once(number: int, _: object) -> None:
    """Raises Stopped in the main thread, the first time: putting away is not interrupted."""
    deaf()
    raise Stopped(number)


def deaf() -> None:
    """From now on signals do nothing. By a handler: with SIG_IGN, Python would complain of one that is under way."""
    for each in SIGNALS:
        signal.signal(each, lambda number, frame: None)


def leave(work: Callable[[], int]) -> None:
    """Ends a forked process with the status that work returns; its parent's clean-up is not its own."""
    status = os.EX_SOFTWARE
    try:
        status = work()
    except BaseException:  # noqa: B902 - a fault of ours: show it, as the interpreter would
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            pass  # the terminal is gone
        os._exit(status)


def wait_for(pid: int, insist: bool = False) -> int:
    """The exit status of a child. Signals are passed on to it; with insist, a second Ctrl-C kills it, and is Stopped.

    Who has been told to stop is deaf afterwards, and can put things away.
    """
    signals: List[int] = []

    def insisted() -> bool:
        return insist and signals.count(signal.SIGINT) > 1

    def forward(number: int, _: object) -> None:
        signals.append(number)
        try:
            os.kill(pid, signal.SIGKILL if insisted() else number)
        except ProcessLookupError:
            pass

    before = {number: signal.signal(number, forward) for number in SIGNALS}
    try:
        while True:
            done, status = os.wait()
            if done == pid:
                code = os.waitstatus_to_exitcode(status)
                break
    finally:
        if signals:
            deaf()
        else:
            for number, handler in before.items():
                signal.signal(number, handler)
    if insisted() and code == -signal.SIGKILL:
        raise Stopped(signal.SIGINT)
    return 128 - code if code < 0 else code
