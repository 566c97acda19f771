"""The emulated network: one host per machine, one link each, one switch or two.

    h1       the origin                 tracker  on a link of its own, not shaped
    h2...    the peers                  root     the driver's namespace (Prometheus), not shaped
    o2...    further origins, with --origins
    seeder   has the file before, with --seeder
    x1...    hostile members, with --hostile

Lives in the sweep's own network namespace, in which the driver runs, too; see space.py. What
Mininet was asked for is compared with what the kernel reports before anything is measured:
Mininet ignores misspelt link parameters and rates it does not like. No line to a shell of
Mininet's grows with the number of hosts: its terminal takes no more than 4,095 bytes.
"""

import ipaddress
import os
import re
import signal
import subprocess
import sys
from typing import Any, Callable, Dict, List, Optional, TextIO, Tuple

from . import bound, line, ovs, plan, space
from .procs import kill_all, tail

SUBNET = ipaddress.IPv4Network("10.77.0.0/16")
TRACKER, ROOT = SUBNET.broadcast_address - 1, SUBNET.broadcast_address - 2
HEADERS = 14 + 20 + 32  # Ethernet, IPv4, TCP with timestamps
FRAME = bound.FRAME     # bytes of a full one
PACKETS = 1000          # that an interface's queue holds, unless it is bounded in time
# What Mininet sets on the machine, and with it the report's experiment had: minimum, default
# and maximum of a socket's buffer, in bytes.
BUFFERS = "10240 87380 16777216"
LOOP_HOSTS = 20         # hosts whose frames one thread of bin/line carries in time at 100 Mbit/s
SWITCHES = ("bridge", "ovs")
STUCK = 60.0            # seconds; a host takes tens of milliseconds
_UNITS = {"": 1e-6, "K": 1e-3, "M": 1.0, "G": 1e3}

Placement = Tuple[Dict[str, int], List[Tuple[int, int, float]]]


class TopologyError(RuntimeError):
    """The network is not what was asked for."""


def topologies() -> Dict[str, Callable[[plan.Point], Placement]]:
    """Name -> function that places hosts. To add one: see README.md."""
    return {"star": star, "two-racks": two_racks}


def star(point: plan.Point) -> Placement:
    """Everything on one switch. Returns ({host: switch}, trunks)."""
    return {}, []


def two_racks(point: plan.Point) -> Placement:
    """Origins, tracker and the first half of the peers on switch 1, the others on switch 2."""
    far = {peer_name(i): 2 for i in range(point.peers) if point.rack(i) == 2}
    return far, [(1, 2, point.trunk or 0.0)]


def peer_name(index: int) -> str:
    return f"h{index + 2}"


def origin_name(index: int) -> str:
    return f"o{index + 1}" if index else "h1"


def host_links(point: plan.Point) -> List[Tuple[str, Optional[float], Optional[float]]]:
    """(name, uplink, downlink) of every host with a shaped link. Pure."""
    peers = zip(point.peer_uplinks(), point.peer_downlinks())
    return [*((origin_name(i), mbit, mbit) for i, mbit in enumerate(point.origin_rates())),
            *((peer_name(i), up, down) for i, (up, down) in enumerate(peers)),
            *([("seeder", point.seeder, point.bw)] if point.seeder else []),
            *((f"x{i + 1}", point.bw, point.bw) for i in range(point.intruders()))]


def parse_rates(text: str) -> List[float]:
    """The HTB rates in the output of `tc class show`, in Mbit/s. Pure."""
    return [float(m[1]) * _UNITS[m[2]]
            for m in re.finditer(r"class htb .*?\brate (\d+(?:\.\d+)?)([KMG]?)bit", text)]


def parse_drops(text: str) -> int:
    """Packets that the queues in the output of `tc -s qdisc show` dropped; HTB repeats its leaf's, and netem counts
    what it was told to lose. Pure."""
    leaves = re.split(r"^qdisc ", text, flags=re.M)
    return sum(int(m[1]) for leaf in leaves if not leaf.startswith(("htb", "netem"))
               for m in re.finditer(r"\(dropped (\d+),", leaf))


def netem_packets(point: plan.Point, mbit: float) -> int:
    """What netem's queue may hold: frames that wait, and those on the way. Pure."""
    waiting = queue_packets(mbit, point.queue_ms) if point.queue_ms else PACKETS
    return waiting + queue_packets(mbit, point.delay_ms)


def queue_packets(mbit: float, ms: float) -> int:
    """What a queue of full frames may hold, where it is counted in them. Pure."""
    return max(2, queue_bytes(mbit, ms) // FRAME)


def queue_bytes(mbit: float, ms: float) -> int:
    """What a queue may hold that a link of that rate empties in so many ms: two frames at least. Pure."""
    return max(2 * FRAME, int(mbit * 1e6 / 8 * ms / 1e3))


class Host:
    """A machine of the lab: what systems under test get to see."""

    def __init__(self, node: Any, name: str, ip: str, port: str):
        self.node, self.name, self.ip, self.port = node, name, ip, port
        self.pid: int = node.pid

    def proc_net(self, file: str) -> str:
        with open(f"/proc/{self.pid}/net/{file}", encoding="ascii") as f:
            return f.read()

    def traffic(self) -> Dict[str, int]:
        """Bytes and packets, received and sent, as the host's interface counts them."""
        for text in self.proc_net("dev").splitlines():
            name, _, rest = text.partition(":")
            if name.strip() == f"{self.name}-eth0":
                f = [int(x) for x in rest.split()]
                return {"rx_bytes": f[0], "rx_packets": f[1], "tx_bytes": f[8], "tx_packets": f[9]}
        raise TopologyError(f"{self.name} has lost its interface")

    def retransmits(self) -> int:
        """TCP segments sent again, since the namespace was made."""
        keys, values = [text.split() for text in self.proc_net("snmp").splitlines()
                        if text.startswith("Tcp:")]
        return int(values[keys.index("RetransSegs")])

    def run(self, *argv: str) -> str:
        """What a command in the host's network prints; TopologyError where it fails."""
        return run("mnexec", "-a", str(self.pid), *argv)


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TopologyError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


class Shaped:
    """One end of a link, and the rate that it is to have in Mbit/s (None: none)."""

    def __init__(self, node: Any, intf: str, mbit: Optional[float], host: Optional[Host] = None):
        self.node, self.intf, self.mbit, self.host = node, intf, mbit, host

    def tc(self, *args: str) -> str:
        argv = ("tc", *args)
        return self.host.run(*argv) if self.host else run(*argv)


class Network:
    """A running network for one plan.Point.network()."""

    def __init__(self, point: plan.Point, log: str = "/dev/null",
                 beat: Callable[[str, float], None] = lambda *_: None):
        self.point, self._log, self._beat = point, log, beat
        self.net: Any = None
        self.hosts: Dict[str, Host] = {}
        self._ends: List[Shaped] = []
        self._vswitch: Optional[ovs.Private] = None
        self._line: Optional[line.Line] = None
        self._netem = False

    def start(self) -> None:
        """Mininet reports some problems by leaving the program; here all are TopologyError."""
        with open(self._log, "a", encoding="utf-8") as log:
            listen_to_mininet(log)
            try:
                self._build()
            except SystemExit:
                raise TopologyError("Mininet gave up: " + (tail(self._log, 1) or "no reason given")) from None
            except (line.LineError, ovs.OvsError) as e:
                raise TopologyError(str(e)) from None
            finally:
                listen_to_mininet(sys.stderr)
                self._beat("", 0.0)

    def _step(self, what: str) -> None:
        self._beat(f"building a network of {len(host_links(self.point))} hosts, {what}", STUCK)

    def _build(self) -> None:
        from mininet.link import TCLink
        from mininet.net import Mininet
        p = self.point
        self._step("the switch")
        far = bool(p.delay_ms or p.loss)
        self._netem = far and line.has_netem()
        shaped = {"cls": line.tap_link()} if far and not self._netem else {}
        if p.switch == "ovs":
            self._vswitch = ovs.Private(os.path.join(space.MEMORY, "ovs"))
            self._vswitch.start()
        Mininet.inited = True  # it would raise limits of the machine, as machine.Limits does, but for good
        self.net = Mininet(switch=switch_class(p.switch), link=TCLink, controller=None, ipBase=str(SUBNET))
        elsewhere, trunks = topologies()[p.topology](p)
        switches = {n: self.net.addSwitch(f"s{n}") for n in sorted({1, *elsewhere.values()})}

        addresses = SUBNET.hosts()
        for name, up, down in host_links(p):
            self._add(name, next(addresses), switches[elsewhere.get(name, 1)], up, down, **shaped)
        self._add("tracker", TRACKER, switches[1])
        self._add("root", ROOT, switches[1])
        for a, b, mbit in trunks:
            link = self.net.addLink(switches[a], switches[b], params1={"bw": mbit}, params2={"bw": mbit}, **shaped)
            self._ends += [Shaped(switches[a], link.intf1.name, mbit), Shaped(switches[b], link.intf2.name, mbit)]
        self._step("starting it")
        self.net.start()
        if shaped:
            self._begin_line()
        self._bound_bursts()
        self._lengthen() if self._netem else self._bound_queues()
        self.verify()

    def _add(self, name: str, ip: ipaddress.IPv4Address, switch: Any,
             up: Optional[float] = None, down: Optional[float] = None, **how: Any) -> None:
        self._step(name)
        node = self.net.addHost(name, inNamespace=name != "root", ip=f"{ip}/{SUBNET.prefixlen}")
        link = self.net.addLink(node, switch, params1={"bw": up} if up else {}, params2={"bw": down} if down else {},
                                **how)
        host = Host(node, name, str(ip), link.intf2.name)
        self.hosts[name] = host
        self._ends += [Shaped(node, link.intf1.name, up, host), Shaped(switch, link.intf2.name, down)]
        if name != "root":
            self._tune(host)
        if self._vswitch:
            ovs.tune(node, link.intf1.name)

    def _tune(self, host: Host) -> None:
        """Each run starts from scratch: TCP must not remember the last one's paths."""
        settings = ["net.ipv4.tcp_no_metrics_save=1", f"net.ipv4.tcp_rmem={BUFFERS}", f"net.ipv4.tcp_wmem={BUFFERS}"]
        if self.point.cc:
            settings.append(f"net.ipv4.tcp_congestion_control={self.point.cc}")
        host.run("sysctl", "-qw", *settings)

    def _begin_line(self) -> None:
        """Links with delay and loss, of a kernel without netem: bin/line carries their frames."""
        self._step("the line")
        p = self.point
        ends = [link.ends() for link in self.net.links if isinstance(link, line.tap_link())]
        loops = 1 if len(self.hosts) <= LOOP_HOSTS else min(2, os.cpu_count() or 1)
        self._line = line.Line(ends, delay_ms=p.delay_ms, loss=p.loss, log=self._log, loops=loops)
        self._line.start()

    def _lengthen(self) -> None:
        """The same by netem, whose queue holds the frames on the way as well as those that wait."""
        p = self.point
        for end in self._ends:
            if end.mbit:
                self._step(f"the delay of {end.intf}")
                limit = netem_packets(p, end.mbit)
                end.tc("qdisc", "add", "dev", end.intf, *line.netem_args(p.delay_ms, p.loss, limit))
                if f"limit {limit} " not in end.tc("qdisc", "show", "dev", end.intf) + " ":
                    raise TopologyError(f"{end.intf}: wanted a queue of {limit} packets, the kernel has another")
                if (p.loss or p.queue_ms) and end.host:  # netem counts and loses what it is handed: segments, then
                    end.host.run("ip", "link", "set", "dev", end.intf, "gso_max_segs", "1")

    def _bound_bursts(self) -> None:
        """What a host sends as one packet is no more than the bound allows for, on all links of its way, and, where
        queues are bounded, than a quarter of the shortest: it would fit no queue."""
        shaped = [end for end in self._ends if end.mbit]
        downlinks = [down for _, _, down in host_links(self.point)]
        way = min((bound.burst(mbit) for mbit in (*downlinks, self.point.trunk) if mbit), default=0)
        ms = self.point.queue_ms
        shortest = min((queue_bytes(end.mbit, ms) for end in shaped if end.mbit), default=0) if ms else 1 << 20
        for end in shaped:
            if end.host and end.mbit:
                size = max(2 * FRAME, min(bound.burst(end.mbit), way, shortest // 4))
                end.host.run("ip", "link", "set", "dev", end.intf, "gso_max_size", str(size))

    def _bound_queues(self) -> None:
        """Both ends of every shaped link hold what it carries in queue_ms."""
        ms = self.point.queue_ms
        for end in self._ends:
            if ms and end.mbit:
                self._step(f"the queue of {end.intf}")
                end.tc("qdisc", "add", "dev", end.intf, "parent", "5:1", "handle", "6:", "bfifo",
                       "limit", str(queue_bytes(end.mbit, ms)))

    def verify(self) -> None:
        """Every interface has exactly the rate, and the queue, it was asked to have."""
        for end in self._ends:
            self._step(f"comparing {end.intf}")
            check_rate(end.intf, end.mbit, parse_rates(end.tc("class", "show", "dev", end.intf)))
            if self.point.queue_ms and end.mbit and not self._netem:
                check_queue(end.intf, queue_bytes(end.mbit, self.point.queue_ms),
                            end.tc("qdisc", "show", "dev", end.intf))

    def congestion_control(self) -> str:
        return self.hosts["h1"].run("cat", "/proc/sys/net/ipv4/tcp_congestion_control").strip()

    def dropped(self) -> int:
        """Packets that the switches' queues have dropped so far."""
        return parse_drops(run("tc", "-s", "qdisc", "show"))

    def switch_cpu(self) -> float:
        """CPU seconds so far of a switch in user space; 0 where the kernel switches."""
        return self._vswitch.cpu() if self._vswitch and ovs.datapath() == "user" else 0.0

    def line(self) -> Optional[Dict[str, Any]]:
        """What bin/line has counted since it was last asked; None where no link needs it."""
        return self._line.report() if self._line else None

    def queue(self) -> Dict[str, Optional[int]]:
        """What a port of the switch holds."""
        p = self.point
        if self._netem and p.bw:
            return {"limit_packets": netem_packets(p, p.bw), "limit_bytes": None}
        if p.queue_ms and p.bw:
            return {"limit_packets": None, "limit_bytes": queue_bytes(p.bw, p.queue_ms)}
        return {"limit_packets": PACKETS if p.bw else None, "limit_bytes": None}

    def ping_all(self) -> None:
        self._beat("pinging from each host to each", 0.0)
        lost = self.net.pingAll(timeout=2)
        if lost:
            raise TopologyError(f"pingAll lost {lost:g} % of its packets")

    def origins(self) -> List[Host]:
        return [self.hosts[origin_name(i)] for i in range(len(self.point.origin_rates()))]

    def peers(self) -> List[Host]:
        return [self.hosts[peer_name(i)] for i in range(self.point.peers)]

    def intruders(self) -> List[Host]:
        return [self.hosts[f"x{i + 1}"] for i in range(self.point.intruders())]

    def empty(self) -> None:
        """Ends what still lives on the hosts, Mininet's shells aside: a program may have left its session."""
        kill_all({host.pid for host in self.hosts.values()})

    def stop(self) -> None:
        """Removes switches and links, and ends Mininet's shells, with which the namespaces go. Asks none of
        the shells for anything: whatever state they are in, this works."""
        carrier, self._line = self._line, None
        if carrier:
            carrier.kill()
        net, self.net = self.net, None
        if net:
            self._remove(net)
        if self._vswitch:
            self._vswitch.stop()
            self._vswitch = None

    @staticmethod
    def _remove(net: Any) -> None:
        nodes = [*net.hosts, *net.switches]
        here = [intf.name for node in nodes if not node.inNamespace for intf in node.intfList() if intf.name != "lo"]
        lines = "".join(f"link del {name}\n" for name in [*here, *(s.name for s in net.switches)])
        subprocess.run(["ip", "-force", "-batch", "-"], input=lines, text=True, check=False, capture_output=True)
        for node in nodes:
            if node.shell and node.shell.poll() is None:
                os.killpg(node.shell.pid, signal.SIGKILL)
        for node in nodes:
            if node.shell:
                node.shell.wait()
                node.cleanup()


def check_rate(intf: str, wanted: Optional[float], found: List[float]) -> None:
    """TopologyError unless the classes found are the one wanted (None: not shaped). Pure."""
    if wanted is None:
        if found:
            raise TopologyError(f"{intf}: shaped to {found[0]:g} Mbit/s, must not be shaped")
    elif len(found) != 1 or abs(found[0] - wanted) > wanted * 1e-3:
        got = " and ".join(f"{r:g}" for r in found) or "no shaping"
        raise TopologyError(f"{intf}: wanted {wanted:g} Mbit/s, the kernel has {got}")


def check_queue(intf: str, wanted: int, text: str) -> None:
    """TopologyError unless `tc qdisc show` names that limit in bytes. Pure."""
    m = re.search(r"^qdisc bfifo .*\blimit (\d+(?:\.\d+)?)([KM]?)b", text, re.M)
    found = float(m[1]) * {"": 1, "K": 1 << 10, "M": 1 << 20}[m[2]] if m else 0.0
    if abs(found - wanted) > 1 + wanted * 0.01:
        raise TopologyError(f"{intf}: wanted a queue of {wanted} bytes, the kernel has {found:g}")


def listen_to_mininet(stream: TextIO) -> None:
    """Its warnings (HTB's quantum) help only where something failed."""
    from mininet.log import lg, setLogLevel
    setLogLevel("warning" if stream is not sys.stderr else "critical")
    for handler in lg.handlers:
        handler.setStream(stream)


def switch_class(name: str) -> Any:
    if name == "ovs":
        return ovs.switch_class()
    from mininet.nodelib import LinuxBridge
    return LinuxBridge


def payload(count: int, packets: int) -> int:
    """TCP payload in an interface's counters, which count the headers of a burst once. Pure."""
    return max(0, count - HEADERS * packets)
