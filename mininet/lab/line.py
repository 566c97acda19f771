"""Delay and loss of links: by netem where the kernel has it, and otherwise by bin/line.

A link that bin/line carries is two TAP devices instead of a veth pair, of the same names and
at the same places, so that shaping, addresses and counters are as ever. See internal/proving/line.
"""

import functools
import json
import os
import subprocess
import time
from typing import Any, Dict, List, Optional, Sequence, Tuple, Type

from . import REPO
from .procs import cpu_seconds, readable, tail

BINARY = os.path.join(REPO, "bin", "line")
TUN = "/dev/net/tun"
HANGS = 60  # seconds; no verdict on the machine's speed
LATE = 0.01  # share of the frames that may leave more than a millisecond after they were due
End = Tuple[int, str]  # pid of a process in the network, 0 for this one, and the interface there


class LineError(RuntimeError):
    """The line does not do what was asked for."""


@functools.lru_cache(maxsize=None)
def has_netem() -> bool:
    """Whether the kernel has netem, tried in a namespace that is gone afterwards."""
    try:
        return subprocess.run(["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "limit", "1"],
                              check=False, capture_output=True, timeout=HANGS).returncode == 0
    except OSError:
        return False


def problem() -> Optional[str]:
    """Why links can have neither delay nor loss here, or None."""
    if has_netem():
        return None
    if not os.access(BINARY, os.X_OK):
        return ("this kernel has no netem (sch_netem), and bin/line, which does without, is not built: "
                "go build -o bin/line ./internal/proving/line")
    try:
        os.close(os.open(TUN, os.O_RDWR))
    except OSError as e:
        return f"this kernel has neither netem (sch_netem) nor TAP devices ({TUN}: {e.strerror}): modprobe tun"
    return None


def netem_args(delay_ms: float, loss: float, limit: int) -> List[str]:
    """Arguments for `tc qdisc add dev X` below Mininet's HTB class; loss is in per cent. Pure.

    The limit is in packets: those on the way and those that wait for the shaper.
    """
    args = ["parent", "5:1", "handle", "10:", "netem", "limit", f"{limit:d}"]
    if delay_ms:
        args += ["delay", f"{delay_ms:g}ms"]
    if loss:
        args += ["loss", "random", f"{loss:g}%"]
    return args


@functools.lru_cache(maxsize=None)
def tap_link() -> Type[Any]:
    """The class of links whose ends are TAP devices: nothing passes before a Line has been started."""
    from mininet.link import TCLink

    class TapLink(TCLink):
        @classmethod
        def makeIntfPair(cls, intfname1: str, intfname2: str, addr1: Optional[str] = None,
                         addr2: Optional[str] = None, node1: Any = None, node2: Any = None,
                         deleteIntfs: bool = True) -> None:
            for node, name, address in ((node1, intfname1, addr1), (node2, intfname2, addr2)):
                command = f"ip tuntap add dev {name} mode tap"
                if address:
                    command += f" && ip link set dev {name} address {address}"
                out = node.cmd(command).strip()
                if out:
                    raise LineError(f"{name}: {out}")

        def ends(self) -> Tuple[End, End]:
            """What Line wants to know."""
            a, b = ((i.node.pid if i.node.inNamespace else 0, i.name) for i in (self.intf1, self.intf2))
            return a, b

    return TapLink


class Line:
    """bin/line for a list of links, each ((pid, interface), (pid, interface)); pid 0 is here.

    Start it when all links have been made, and stop it before they are deleted.
    """

    def __init__(self, links: Sequence[Tuple[End, End]], delay_ms: float = 0.0, loss: float = 0.0, seed: int = 1,
                 log: str = "/dev/null", loops: int = 1):
        self._links, self._log = links, log
        self._popen: Any = None
        self._argv = [BINARY, f"--delay={delay_ms:g}ms", f"--loss={loss:g}", f"--seed={seed}", f"--loops={loops}"]

    def start(self) -> None:
        """Returns when every device is attached; LineError if that fails."""
        links = [{"a": {"pid": a[0], "name": a[1]}, "b": {"pid": b[0], "name": b[1]}} for a, b in self._links]
        with open(self._log, "ab") as log:
            # In a session of its own, for Ctrl-C to end it no earlier than what it carries for.
            self._popen = subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                           start_new_session=True)
        try:
            self._send(json.dumps(links))
            said = self._hear()
            if said != "ready":
                raise LineError(f"bin/line said {said!r}, not that it is ready")
        except BaseException:
            self._end()
            raise

    def problem(self) -> Optional[str]:
        """Why it carries nothing any more, or None while it does. Does not wait."""
        status = self._popen.poll()
        return None if status is None else f"bin/line ended with status {status}: {tail(self._log, 1)}"

    def report(self) -> Dict[str, Any]:
        """What it counted since the last report; see internal/proving/line/report.go."""
        self._send("report")
        return json.loads(self._hear())

    def cpu(self) -> float:
        """CPU seconds so far. The frames' further way, to the next queue, is in it."""
        return cpu_seconds(self._popen.pid)

    def kill(self) -> None:
        """Ends it, whatever it does."""
        if self._popen:
            self._popen.kill()
            self._end()

    def stop(self) -> Optional[Dict[str, Any]]:
        """Ends it, and returns what it counted since the last report; LineError if it had died."""
        if self._popen is None:
            return None
        died = self.problem()
        try:
            self._popen.stdin.close()
            last = None if died else json.loads(self._hear())
        finally:
            self._end()
        if died:
            raise LineError(died)
        return last

    def _send(self, text: str) -> None:
        try:
            self._popen.stdin.write(text.encode() + b"\n")
            self._popen.stdin.flush()
        except BrokenPipeError:
            raise LineError(self._why()) from None

    def _hear(self) -> str:
        """The next line; it says one thing at a time, when it was told to."""
        if not readable(self._popen.stdout, HANGS):
            raise LineError("bin/line does not answer")
        text = self._popen.stdout.readline().decode().strip()
        if not text:
            raise LineError(self._why())
        return text

    def _why(self) -> str:
        end = time.monotonic() + 5
        while self._popen.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        return self.problem() or "bin/line closed its pipes"

    def _end(self) -> None:
        popen, self._popen = self._popen, None
        for pipe in (popen.stdin, popen.stdout):
            try:
                pipe.close()
            except BrokenPipeError:
                pass
        try:
            popen.wait(5)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()


def doubts(report: Dict[str, Any]) -> Optional[str]:
    """Why what was measured is the line and not the network, or None. Pure."""
    lost = report["dropped"] + report["overrun"] + report["refused"]
    if lost:
        return f"bin/line lost {lost} frames that it should have carried"
    if report["late"] > LATE * report["carried"]:
        share = 100 * report["late"] / report["carried"]
        most = report["late_max_us"] / 1000
        return f"bin/line carried {share:.1f} % of the frames more than 1 ms too late (at most {most:.0f} ms)"
    return None
