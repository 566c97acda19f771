"""The emulated network: one host a machine, one shaped link each, one switch or two.

    h1       the origin                 tracker  on a link of its own, not shaped
    h2...    the peers                  root     the machine itself (Prometheus), not shaped
    x1...    lying peers, with --corrupt

What Mininet was asked for is compared with what the kernel reports before anything is
measured: Mininet ignores misspelt link parameters and rates it does not like.
"""

import ipaddress
import json
import os
import re
import subprocess
import sys

from .procs import tail

PREFIX = "flab"  # switches, their ports and the root's interface: see cleanup.py
ROOT_INTF = PREFIX + "root"
CANDIDATES = ("10.77.0.0/16", "10.177.0.0/16", "172.29.0.0/16", "192.168.0.0/16")
ALLOWED_CC = "/proc/sys/net/ipv4/tcp_allowed_congestion_control"
HEADERS = 14 + 20 + 32  # Ethernet, IPv4, TCP with timestamps
_UNITS = {"": 1e-6, "K": 1e-3, "M": 1.0, "G": 1e3}


class TopologyError(RuntimeError):
    """The network is not what was asked for."""


def topologies():
    """Name -> function that places hosts. To add one: see README.md."""
    return {"star": star, "two-racks": two_racks}


def star(point):
    """Everything on one switch. Returns ({host: switch}, trunks)."""
    return {}, []


def two_racks(point):
    """Origin, tracker and the first half of the peers on switch 1, the others on switch 2."""
    far = {peer_name(i): 2 for i in range(point.peers) if point.rack(i) == 2}
    return far, [(1, 2, point.trunk)]


def peer_name(index):
    return f"h{index + 2}"


def free_subnet(used, candidates=CANDIDATES):
    """The first candidate network that overlaps none of those in use. Pure."""
    used = [ipaddress.ip_network(u, strict=False) for u in used]
    for c in candidates:
        net = ipaddress.ip_network(c)
        if not any(net.overlaps(u) for u in used):
            return net
    raise TopologyError("no free IPv4 network for the lab among " + ", ".join(candidates))


def used_subnets():
    """What the machine routes already; default routes and our own do not count."""
    routes = json.loads(subprocess.run(["ip", "-4", "-j", "route"], check=True,
                                       capture_output=True, text=True).stdout or "[]")
    return [r["dst"] for r in routes
            if r["dst"] != "default" and not r.get("dev", "").startswith(PREFIX)]


def parse_rates(text):
    """The HTB rates in the output of `tc class show`, in Mbit/s. Pure."""
    return [float(m[1]) * _UNITS[m[2]]
            for m in re.finditer(r"class htb .*?\brate (\d+(?:\.\d+)?)([KMG]?)bit", text)]


class Host:
    """A machine of the lab: what systems under test get to see."""

    def __init__(self, node, name, ip, port=None):
        self.node, self.name, self.ip, self.port = node, name, ip, port
        self.pid = node.pid

    def proc_net(self, file):
        with open(f"/proc/{self.pid}/net/{file}", encoding="ascii") as f:
            return f.read()

    def traffic(self):
        """Bytes and packets, received and sent, as the host's interface counts them."""
        for line in self.proc_net("dev").splitlines():
            name, _, rest = line.partition(":")
            if name.strip() == f"{self.name}-eth0":
                f = [int(x) for x in rest.split()]
                return {"rx_bytes": f[0], "rx_packets": f[1], "tx_bytes": f[8], "tx_packets": f[9]}
        raise TopologyError(f"{self.name} has lost its interface")

    def retransmits(self):
        """TCP segments sent again, since the namespace was made."""
        keys, values = [line.split() for line in self.proc_net("snmp").splitlines()
                        if line.startswith("Tcp:")]
        return int(values[keys.index("RetransSegs")])


class Network:
    """A running network for one plan.Point.network()."""

    def __init__(self, point, subnet=None, log="/dev/null"):
        self.point, self._log = point, log
        self.subnet = subnet or free_subnet(used_subnets())
        self.net = None
        self.hosts = {}
        self._shaped = []    # (node, interface, Mbit/s or None)
        self._allowed = None

    def start(self):
        """Mininet reports some problems by leaving the program; here all are TopologyError."""
        with open(self._log, "a", encoding="utf-8") as log:
            listen_to_mininet(log)
            try:
                self._start()
            except SystemExit:
                raise TopologyError("Mininet gave up: " + (tail(self._log, 1) or "no reason given")) from None
            finally:
                listen_to_mininet(sys.stderr)

    def _start(self):
        from mininet.link import TCLink
        from mininet.net import Mininet
        p = self.point
        self._allow_cc(p.cc)
        switch = switch_class(p.switch)
        self.net = Mininet(switch=switch, link=TCLink, controller=None,
                           ipBase=str(self.subnet))
        elsewhere, trunks = topologies()[p.topology](p)
        switches = {n: self.net.addSwitch(f"{PREFIX}{n}")
                    for n in sorted({1, *elsewhere.values()})}
        place = lambda name: switches[elsewhere.get(name, 1)]

        addresses = self.subnet.hosts()
        self._add("h1", next(addresses), place("h1"), p.bw, p.bw)
        for i, up in enumerate(p.peer_uplinks()):
            self._add(peer_name(i), next(addresses), place(peer_name(i)), up, p.bw)
        for i in range(p.corrupt):
            self._add(f"x{i + 1}", next(addresses), place(f"x{i + 1}"), p.bw, p.bw)
        last = self.subnet.broadcast_address
        self._add("tracker", last - 1, switches[1])
        self._add("root", last - 2, switches[1])
        for a, b, mbit in trunks:
            link = self.net.addLink(switches[a], switches[b],
                                    params1={"bw": mbit}, params2={"bw": mbit})
            self._shaped += [(switches[a], link.intf1.name, mbit),
                             (switches[b], link.intf2.name, mbit)]
        self.net.start()
        for host in self.hosts.values():
            self._tune(host)
        self.verify()

    def _add(self, name, ip, switch, up=None, down=None):
        in_ns = name != "root"
        node = self.net.addHost(PREFIX + name if name == "root" else name,
                                inNamespace=in_ns, ip=f"{ip}/{self.subnet.prefixlen}")
        link = self.net.addLink(node, switch, intfName1=None if in_ns else ROOT_INTF,
                                params1={"bw": up} if up else {},
                                params2={"bw": down} if down else {})
        self._shaped += [(node, link.intf1.name, up), (switch, link.intf2.name, down)]
        self.hosts[name] = Host(node, name, str(ip), link.intf2.name)

    def _allow_cc(self, name):
        """A namespace may only choose what the machine allows everyone; restored by stop."""
        with open(ALLOWED_CC, encoding="ascii") as f:
            allowed = f.read().split()
        if name and name not in allowed:
            write_sysctl(ALLOWED_CC, " ".join([*allowed, name]))
            self._allowed = allowed

    def _tune(self, host):
        """Each run starts from scratch: TCP must not remember the last one's paths."""
        if host.name == "root":
            return
        settings = ["net.ipv4.tcp_no_metrics_save=1"]
        if self.point.cc:
            settings.append(f"net.ipv4.tcp_congestion_control={self.point.cc}")
        out = host.node.cmd("sysctl", "-qw", *settings)
        if out.strip():
            raise TopologyError(f"{host.name}: {out.strip()}")

    def verify(self):
        """Every interface has exactly the rate it was asked to have."""
        by_node = {}
        for node, intf, mbit in self._shaped:
            by_node.setdefault(node, []).append((intf, mbit))
        for node, wanted in by_node.items():
            shell = "; ".join(f"echo @{i}; tc class show dev {i}" for i, _ in wanted)
            found = parse_sections(node.cmd(f"sh -c '{shell}' 2>&1"))
            for intf, mbit in wanted:
                check_rate(intf, mbit, parse_rates(found.get(intf, "")))

    def congestion_control(self):
        return self.hosts["h1"].node.cmd("cat /proc/sys/net/ipv4/tcp_congestion_control").strip()

    def ping_all(self):
        lost = self.net.pingAll(timeout=2)
        if lost:
            raise TopologyError(f"pingAll lost {lost:g} % of its packets")

    def peers(self):
        return [self.hosts[peer_name(i)] for i in range(self.point.peers)]

    def liars(self):
        return [self.hosts[f"x{i + 1}"] for i in range(self.point.corrupt)]

    def stop(self):
        if self.net:
            self.net.stop()
            self.net = None
        if self._allowed:
            write_sysctl(ALLOWED_CC, " ".join(self._allowed))
            self._allowed = None


def parse_sections(text):
    """'@a\\nx\\n@b\\ny' -> {'a': 'x', 'b': 'y'}. Pure."""
    out, name = {}, None
    for line in text.replace("\r", "").splitlines():
        if line.startswith("@"):
            name = line[1:]
            out[name] = ""
        elif name:
            out[name] += line + "\n"
    return out


def check_rate(intf, wanted, found):
    """TopologyError unless the classes found are the one wanted (None: not shaped). Pure."""
    if wanted is None:
        if found:
            raise TopologyError(f"{intf}: shaped to {found[0]:g} Mbit/s, must not be shaped")
    elif len(found) != 1 or abs(found[0] - wanted) > wanted * 1e-3:
        got = " and ".join(f"{r:g}" for r in found) or "no shaping"
        raise TopologyError(f"{intf}: wanted {wanted:g} Mbit/s, the kernel has {got}")


def listen_to_mininet(stream):
    """Its warnings (HTB's quantum, bridge-nf) help only where something failed."""
    from mininet.log import lg, setLogLevel
    setLogLevel("warning" if stream is not sys.stderr else "critical")
    for handler in lg.handlers:
        handler.setStream(stream)


def write_sysctl(path, value):
    with open(path, "w", encoding="ascii") as f:
        f.write(value)


def switch_class(name):
    if name == "ovs":
        from mininet.node import OVSBridge
        return OVSBridge
    from mininet.nodelib import LinuxBridge
    return LinuxBridge


def ovs_problem():
    """Why --switch ovs cannot work here, or None."""
    from shutil import which
    if not which("ovs-vsctl"):
        return "--switch ovs needs Open vSwitch: apt-get install openvswitch-switch"
    if not os.path.isdir("/sys/module/openvswitch") and subprocess.run(
            ["modprobe", "-q", "openvswitch"], check=False).returncode:
        return "--switch ovs: this kernel has no openvswitch module; use --switch bridge"
    if subprocess.run(["ovs-vsctl", "--timeout=3", "show"], check=False,
                      capture_output=True).returncode:
        return "--switch ovs: ovs-vswitchd does not answer; start it: systemctl start openvswitch-switch"
    return None


def payload(count, packets):
    """TCP payload in an interface's counters, which count the headers of a burst once. Pure."""
    return max(0, count - HEADERS * packets)
