"""Processes on emulated hosts: start, watch, account for, end. Only what was started here."""

import os
import select
import shutil
import signal
import subprocess
import threading
import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple, Union

TICK = os.sysconf("SC_CLK_TCK")
LINE = 300  # characters of a log's line in an error message


def cpu_seconds(pid: int) -> float:
    """User plus system time of a living process and its reaped children."""
    fields = _stat(pid)
    return sum(int(fields[i]) for i in (11, 12, 13, 14)) / TICK


def _stat(pid: int) -> List[str]:
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        return f.read().rpartition(")")[2].split()


class Proc:
    """One process in a host's namespaces, with its own session and log file."""

    def __init__(self, host: Any, role: str, argv: Sequence[str], log: str, cwd: str,
                 env: Optional[Dict[str, str]] = None, stdin: Optional[int] = None, stdout: Optional[int] = None):
        self.host, self.role, self.argv, self.log = host, role, argv, log
        self._final: Optional[float] = None
        self._lock = threading.Lock()
        with open(log, "ab") as out:
            self.popen: Any = subprocess.Popen(
                ["mnexec", "-da", str(host.pid), *argv], cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=stdin or subprocess.DEVNULL, stdout=stdout or out, stderr=out)
        self.pid: int = self.popen.pid

    def poll(self) -> Optional[int]:
        """The exit status, or None while it runs. Reaps, and keeps the CPU time used."""
        with self._lock:
            if self.popen.returncode is None:
                pid, status, usage = os.wait4(self.pid, os.WNOHANG)
                if pid:
                    self._final = usage.ru_utime + usage.ru_stime
                    self.popen.returncode = os.waitstatus_to_exitcode(status)
            return self.popen.returncode

    def wait(self, timeout: float) -> Optional[int]:
        """The exit status, known without delay; None when time is up."""
        if self.poll() is not None:
            return self.popen.returncode
        fd = os.pidfd_open(self.pid)
        try:
            readable(fd, timeout)
        finally:
            os.close(fd)
        return self.poll()

    def cpu(self) -> float:
        """Seconds so far, or in all."""
        if self.poll() is None:
            try:
                return cpu_seconds(self.pid)
            except OSError:
                pass
        return self._final or 0.0

    def signal(self, number: int) -> None:
        """To the process and, once it leads its own session, to all that it started."""
        if self.poll() is not None:
            return
        try:
            if os.getsid(self.pid) == self.pid:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            pass


class ProcDied(RuntimeError):
    """A process that should still be running is not."""


class Procs:
    """All processes of one run."""

    def __init__(self, log_dir: str, data_dir: str):
        self._dir, self._data = log_dir, data_dir
        self._all: List[Proc] = []
        self._frozen: Set[int] = set()  # hosts' shells
        self._lock = threading.Lock()

    def home(self, host: Any) -> str:
        """The host's own directory."""
        path = os.path.join(self._data, host.name)
        os.makedirs(path, exist_ok=True)
        return path

    def start(self, host: Any, role: str, argv: Sequence[Union[str, int]], cwd: Optional[str] = None,
              **how: Any) -> Proc:
        """Runs argv on the host, in its directory unless told another."""
        log = os.path.join(self._dir, f"{role}-{host.name}.log")
        proc = Proc(host, role, [str(a) for a in argv], log, cwd or self.home(host), **how)
        with self._lock:
            self._all.append(proc)
        return proc

    def of(self, host: Any = None, role: Optional[str] = None) -> List[Proc]:
        with self._lock:
            return [p for p in self._all
                    if (host is None or p.host is host) and (role is None or p.role == role)]

    def cpu(self) -> Dict[Tuple[str, str], float]:
        """{(host name, role): CPU seconds so far}."""
        out: Dict[Tuple[str, str], float] = {}
        for p in self.of():
            k = (p.host.name, p.role)
            out[k] = out.get(k, 0.0) + p.cpu()
        return out

    def kill(self, host: Any) -> None:
        """kill -9 of all that runs on a host, as a power cut would: Mininet's shell stays, which is its network."""
        kill_all({host.pid})
        for p in self.of(host=host):
            p.poll()

    def freeze(self, host: Any) -> None:
        """SIGSTOP to all that runs on a host, as where its disk or its hypervisor hangs: connections stay, and
        nobody answers."""
        self._frozen.add(host.pid)
        freeze_all({host.pid})

    def stop(self, grace: float = 3.0) -> None:
        """Ask all to end, then insist. Who is frozen cannot hear."""
        if self._frozen:
            kill_all(self._frozen)
        procs = self.of()
        for p in procs:
            p.signal(signal.SIGTERM)
        end = time.monotonic() + grace
        for p in procs:
            p.wait(end - time.monotonic())
        for p in procs:
            p.signal(signal.SIGKILL)
        for p in procs:
            p.wait(5)


def kill_all(shells: Set[int]) -> None:
    """Ends whatever lives in the networks of Mininet's shells but these: it may have left session and parent."""
    signal_all(shells, signal.SIGKILL, lambda pid: False)


def freeze_all(shells: Set[int]) -> None:
    """Stops the same."""
    signal_all(shells, signal.SIGSTOP, stopped)


def stopped(pid: int) -> bool:
    """Whether a process is stopped, or has ended and nobody has asked for its status."""
    return _stat(pid)[0] in "TZ"


def signal_all(shells: Set[int], number: int, has_obeyed: Callable[[int], bool]) -> None:
    """Sends a signal until no process is left in the networks of these shells that has not obeyed it: one may be
    born while the others are looked through."""
    networks = {os.readlink(f"/proc/{pid}/ns/net") for pid in shells} - {os.readlink("/proc/self/ns/net")}
    for _ in range(100):
        left = False
        for pid in (int(p) for p in os.listdir("/proc") if p.isdigit()):
            try:
                if (pid not in shells and os.readlink(f"/proc/{pid}/ns/net") in networks and not has_obeyed(pid)):
                    os.kill(pid, number)
                    left = True
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
        if not left:
            return
        time.sleep(0.001)


def readable(source: Any, timeout: float) -> bool:
    """Whether there is something to read within so many seconds. Not select, which knows 1,024 descriptors only."""
    poll = select.poll()
    poll.register(source, select.POLLIN)
    return bool(poll.poll(max(0.0, timeout) * 1000))


def tail(path: str, lines: int = 5) -> str:
    """The end of a log, for an error message."""
    try:
        with open(path, "rb") as f:
            f.seek(0, os.SEEK_END)
            f.seek(max(0, f.tell() - 8192))
            text = f.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(line if len(line) <= LINE else line[:LINE] + " ..."
                     for line in text.strip().splitlines()[-lines:])


def ended(status: int) -> str:
    """What to say of a process by its exit status, negative for a signal's number. Pure."""
    if status >= 0:
        return f"ended with status {status}"
    names = {s.value: s.name for s in signal.Signals}  # without most of the real-time ones
    return f"was ended by {names.get(-status, f'signal {-status}')}"


def which(command: str) -> str:
    """The path of a program, or ''."""
    return shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") or ""


def output(*argv: str) -> str:
    """First line a command prints, or '' where it fails: what it says then is no answer."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return ((done.stdout or done.stderr).strip().splitlines() or [""])[0]
