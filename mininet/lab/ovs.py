"""Open vSwitch of the lab's own.

Daemons that the system may have started serve the network namespace that they were started in, which
is not the sweep's. So a sweep with --switch ovs starts its own pair: a database that is made anew, and
a switch daemon, both with their sockets in one directory. Nothing of the system's is asked or changed.

A kernel without the openvswitch module can still do it: packets then go through the daemon, over packet
sockets and TUN. They are the same packets in the same queues of HTB, but one thread switches them all:
with about 6 CPU seconds a GiB when many flows fill its batches, and 20 where there is one, it carries
some hundred Mbit/s at most, however many processors there are.
"""

import os
import subprocess
from functools import lru_cache
from shutil import rmtree, which
from typing import Any, Callable, Dict, List, Optional

from .line import TUN
from .netns import wait_until
from .procs import cpu_seconds, output, tail

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
COMMANDS = ("ovsdb-tool", "ovsdb-server", "ovs-vsctl", "ovs-vswitchd")
VARIABLES = ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR")
LONGEST = 80    # characters of the directory: a socket's path has at most 107
READY = 10.0    # seconds each daemon has to answer


class OvsError(RuntimeError):
    """Open vSwitch did not do what it was asked."""


def problem() -> Optional[str]:
    """Why --switch ovs cannot work here, in one line, or None."""
    if not all(which(c) for c in COMMANDS) or not os.path.isfile(SCHEMA):
        return "--switch ovs needs Open vSwitch: apt-get install --no-install-recommends openvswitch-switch"
    if datapath() == "user" and not tun_works():
        return (f"--switch ovs: this kernel has neither the openvswitch module nor a working {TUN}; "
                "use --switch bridge")
    return None


@lru_cache(maxsize=None)
def datapath() -> str:
    """'kernel' where this kernel can switch for Open vSwitch, 'user' otherwise, as Mininet calls them."""
    if os.path.isdir("/sys/module/openvswitch") or succeeds("modprobe", "-q", "openvswitch"):
        return "kernel"
    return "user"


def note() -> Optional[str]:
    """What the user should know before a sweep with --switch ovs, in one line, or None."""
    if datapath() == "user":
        return ("this kernel has no openvswitch module: Open vSwitch switches in user space, on one processor; "
                "keep hosts × Mbit/s below 400, as with --bw 20")
    return None


def tun_works(path: str = TUN) -> bool:
    """Whether the device is there and has a driver behind it; opening it makes nothing."""
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError:
        return False
    return True


def switch_class() -> Callable[..., Any]:
    """What Mininet is to be given as its switch."""
    from functools import partial
    from mininet.node import OVSBridge
    return partial(OVSBridge, datapath=datapath())


def tune(node: Any, interface: str) -> None:
    """To be called for every host's interface once the network runs; OvsError if it cannot be done.

    In user space a packet is copied as it left the host. One whose checksum or segmentation was left
    to a card that there is not would not survive that.
    """
    if datapath() == "user":
        said = node.cmd("ethtool", "-K", interface, "tx", "off", "tso", "off", "gso", "off", "2>&1; echo =$?")
        if not said.strip().endswith("=0"):
            raise OvsError(f"ethtool -K {interface} tx off: {said.strip()}")


class Private:
    """A database server and a switch daemon in the present network namespace.

    start() before Mininet begins: its ovs-vsctl finds the daemons through the environment.
    """

    def __init__(self, directory: str) -> None:
        self.directory = os.path.abspath(directory)
        self._daemons: List["subprocess.Popen[bytes]"] = []
        self._before: Dict[str, Optional[str]] = {}

    def start(self) -> None:
        """Returns once bridges can be made; OvsError if they cannot."""
        if len(self.directory) > LONGEST:
            raise OvsError(f"{self.directory}: too long for a socket's path; at most {LONGEST} characters")
        os.makedirs(self.directory)
        self._before = {v: os.environ.get(v) for v in VARIABLES}
        os.environ.update({v: self.directory for v in VARIABLES})
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        database, socket = self._path("conf.db"), self._path("db.sock")
        run("ovsdb-tool", "create", database, SCHEMA)
        self._daemon("ovsdb-server", database, f"--remote=punix:{socket}")
        self._wait("ovsdb-server", lambda: os.path.exists(socket))
        run("ovs-vsctl", "--no-wait", "--timeout=10", "init")
        self._daemon("ovs-vswitchd", f"unix:{socket}")
        # It says which datapaths it has once it has read the database for the first time.
        self._wait("ovs-vswitchd", lambda: "netdev" in output(
            "ovs-vsctl", "--timeout=2", "get", "Open_vSwitch", ".", "datapath_types"))

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def _daemon(self, name: str, *args: str) -> None:
        path = which(name) or name
        with open(self._path(name + ".log"), "ab") as log:
            self._daemons.append(subprocess.Popen(
                [path, "--no-chdir", f"--pidfile={self._path(name + '.pid')}", *args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True))

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        daemon, log = self._daemons[-1], self._path(name + ".log")

        def ready_or_dead() -> bool:
            if daemon.poll() is not None:
                raise OvsError(f"{name} ended with status {daemon.returncode}: {tail(log, 1)}")
            return ready()
        try:
            wait_until(ready_or_dead, READY, f"{name} did not answer")
        except TimeoutError as e:
            raise OvsError(f"{e}: {tail(log, 1)}") from None

    def cpu(self) -> float:
        """CPU seconds of the switch daemon so far. In user space, as much as the time that passed means that
        the one thread was the bottleneck, which the load of the whole machine does not show."""
        return cpu_seconds(self._daemons[-1].pid) if self._daemons else 0.0

    def stop(self) -> None:
        """End both, the switch first, and remove what they left. May be called twice."""
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(5)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._daemons = []
        for variable, value in self._before.items():
            os.environ.pop(variable, None)
            if value is not None:
                os.environ[variable] = value
        self._before = {}
        rmtree(self.directory, ignore_errors=True)


def run(*argv: str) -> None:
    """OvsError, with what it said, unless a command succeeds."""
    done = subprocess.run(argv, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise OvsError(f"{' '.join(argv)}: {done.stdout.strip() or f'status {done.returncode}'}")


def succeeds(*argv: str) -> bool:
    """Whether a command is there and ends with status 0."""
    try:
        return subprocess.run(argv, check=False, capture_output=True).returncode == 0
    except OSError:
        return False
