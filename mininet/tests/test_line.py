"""Links with delay and loss, in real Mininet; and what about them needs none."""

import json
import os
import re
import subprocess
import sys

import pytest

pytest.importorskip("mininet.link", reason="Mininet is not installed")

from lab import line  # noqa: E402

GOOD = {"carried": 1000, "bytes": 64000, "segments": 1010, "lost": 10, "dropped": 0, "overrun": 0, "refused": 0,
        "late_p50_us": 60, "late_p99_us": 200, "late_max_us": 30000, "late": 10, "turn_max_us": 900}
HANGS = 120  # seconds; no verdict on the machine's speed


@pytest.mark.parametrize("delay, loss, want", [
    (0, 0, "limit 1000"), (25, 0, "limit 1000 delay 25ms"), (0, 1, "limit 1000 loss random 1%"),
    (0.5, 0.01, "limit 1000 delay 0.5ms loss random 0.01%")])
def test_netem_args(delay, loss, want):
    assert " ".join(line.netem_args(delay, loss, 1000)) == "parent 5:1 handle 10: netem " + want


@pytest.mark.parametrize("change, want", [
    ({}, None), ({"late": 11}, r"1\.1 % of the frames more than 1 ms too late \(at most 30 ms\)"),
    ({"dropped": 2, "overrun": 3, "refused": 1}, "lost 6 frames"), ({"carried": 0, "late": 0}, None)])
def test_doubts(change, want):
    got = line.doubts({**GOOD, **change})
    assert got is None if want is None else re.search(want, got)


def test_problem_says_what_to_do(monkeypatch):
    monkeypatch.setattr(line, "has_netem", lambda: False)
    monkeypatch.setattr(line, "TUN", "/nonexistent")
    monkeypatch.setattr(line, "BINARY", "/bin/true")
    assert "modprobe tun" in line.problem()
    monkeypatch.setattr(line, "BINARY", "/nonexistent")
    assert "go build -o bin/line" in line.problem()
    monkeypatch.setattr(line, "has_netem", lambda: True)
    assert line.problem() is None


def unable():
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "needs Linux and root"
    if not os.access(line.BINARY, os.X_OK):
        return "bin/line is not built: go build -o bin/line ./internal/proving/line"
    if not os.path.exists(line.TUN):
        return "there are no TAP devices"
    return None


in_mininet = pytest.mark.skipif(unable() is not None, reason=str(unable()))


def run(what):
    """One of the functions below, in namespaces that are gone with it; returns what it prints."""
    done = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
                           sys.executable, os.path.abspath(__file__), what],
                          capture_output=True, text=True, timeout=HANGS, check=False,
                          env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(line.__file__))})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@in_mininet
def test_every_link_delays_in_both_directions():
    got = run("delay")
    # There and back over two links, and with the trunk over three. A busy machine makes it longer.
    assert len(got["near"]) == len(got["far"]) == 5
    assert min(got["near"]) >= 80 and min(got["far"]) >= 120
    assert got["report"]["carried"] >= 5 * 2 * 2 + 5 * 2 * 3
    assert got["report"]["lost"] == got["report"]["dropped"] == got["report"]["overrun"] == 0
    assert got["report"]["late_max_us"] > 0 and got["again"]["carried"] < got["report"]["carried"]
    assert got["rate"] == ["20Mbit"] * 8


@in_mininet
def test_loss_is_counted():
    got = run("loss")
    sent, report = 4000, got["report"]
    # Over two links, 0.8 ** 2 of them arrive; six standard deviations.
    assert abs(got["arrived"] - sent * 0.64) < 6 * (sent * 0.64 * 0.36) ** 0.5
    assert report["lost"] >= sent - got["arrived"] and report["dropped"] == report["overrun"] == 0


@in_mininet
def test_what_tcp_sends_arrives_whole_though_segments_are_lost():
    got = run("stream")
    assert got["received"] == got["sent"]
    assert got["report"]["lost"] > 0 and got["report"]["dropped"] == got["report"]["overrun"] == 0
    assert got["retransmits"] > 0 and got["bad"] == 0
    # Bursts go as one frame.
    assert got["whole"]["carried"] < got["whole"]["segments"]


@in_mininet
def test_a_line_that_died_is_told():
    got = run("death")
    assert got["before"] is None and "ended with status -9" in got["after"] and got["after"] == got["stop"]
    assert "no such network interface" in got["wrong"]


# From here on it runs in namespaces of its own.

def network():
    """Two hosts on one switch, a third on a second switch, and a trunk."""
    from mininet.net import Mininet
    from mininet.nodelib import LinuxBridge
    net = Mininet(switch=LinuxBridge, link=line.tap_link(), controller=None, ipBase="10.77.0.0/16")
    shaped = {"params1": {"bw": 20}, "params2": {"bw": 20}}
    switches = [net.addSwitch("s1"), net.addSwitch("s2")]
    links = [net.addLink(net.addHost(f"h{i + 1}", ip=f"10.77.0.{i + 1}/16"), switches[i // 2], **shaped)
             for i in range(3)]
    links.append(net.addLink(*switches, **shaped))
    net.start()
    return net, [k.ends() for k in links]


def delay():
    net, ends = network()
    carrier = line.Line(ends, delay_ms=20)
    carrier.start()
    h1 = net.get("h1")

    def rtts(ip):
        return [float(x) for x in re.findall(r"time=([\d.]+)", h1.cmd(f"ping -n -c 5 -i 0.2 -W 20 {ip}"))]
    out = {"near": rtts("10.77.0.2"), "far": rtts("10.77.0.3"), "report": carrier.report(), "again": carrier.stop()}
    out["rate"] = [m for k in net.links for i in (k.intf1, k.intf2)
                   for m in re.findall(r"rate (\w+)", i.node.cmd(f"tc class show dev {i.name}"))]
    net.stop()
    return out


RECEIVE = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
s.bind(("", 9))
s.settimeout(100)
print("bound", flush=True)
n = 0
while True:
    data = s.recv(100)
    if data == b"end":
        break
    n += data == b"x"
print(n, flush=True)
"""
SEND = """
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(4000):
    s.sendto(b"x", ("10.77.0.2", 9))
    time.sleep(0.0002)
for i in range(100):
    time.sleep(0.01)
    s.sendto(b"end", ("10.77.0.2", 9))
"""


def loss():
    net, ends = network()
    carrier = line.Line(ends, loss=20, seed=5)
    carrier.start()
    h1, h2 = net.get("h1", "h2")
    for a, b in ((h1, h2), (h2, h1)):  # no packet waits for an address, or is thrown away with the others that do
        mac = b.cmd(f"cat /sys/class/net/{b}-eth0/address").strip()
        a.cmd(f"ip neigh replace {b.IP()} lladdr {mac} dev {a}-eth0 nud permanent")
    receiver = h2.popen([sys.executable, "-c", RECEIVE])
    assert receiver.stdout.readline() == b"bound\n", receiver.stderr.read()
    carrier.report()
    h1.popen([sys.executable, "-c", SEND]).wait()
    out = {"arrived": int(receiver.stdout.readline()), "report": carrier.stop()}
    net.stop()
    return out


DIGEST = """
import hashlib, socket
s = socket.create_server(("", 9))
print("bound", flush=True)
c, d, n = s.accept()[0], hashlib.sha256(), 0
while data := c.recv(1 << 16):
    d.update(data)
    n += len(data)
print(n, d.hexdigest(), flush=True)
"""
STREAM = """
import hashlib, os, socket
data = os.urandom(4 << 20)
with socket.create_connection(("10.77.0.2", 9)) as s:
    s.sendall(data)
print(len(data), hashlib.sha256(data).hexdigest(), flush=True)
"""


def stream():
    net, ends = network()
    h1, h2 = net.get("h1", "h2")
    out = {}
    for loss in (0, 2):
        carrier = line.Line(ends, delay_ms=2, loss=loss)
        carrier.start()
        receiver = h2.popen([sys.executable, "-c", DIGEST])
        assert receiver.stdout.readline() == b"bound\n", receiver.stderr.read()
        sender = h1.popen([sys.executable, "-c", STREAM])
        out["received"], out["sent"] = receiver.stdout.readline().decode(), sender.stdout.readline().decode()
        receiver.wait()
        out["report" if loss else "whole"] = carrier.stop()

    def count(host, group, field):
        lines = [x.split() for x in host.cmd("cat /proc/net/snmp").splitlines() if x.startswith(group + ":")]
        return int(dict(zip(*lines))[field])
    out["retransmits"] = count(h1, "Tcp", "RetransSegs")
    out["bad"] = count(h2, "Tcp", "InErrs") + count(h2, "Tcp", "InCsumErrors") + count(h2, "Ip", "InHdrErrors")
    net.stop()
    return out


def death():
    import tempfile
    net, ends = network()
    with tempfile.NamedTemporaryFile() as log:
        carrier = line.Line(ends, log=log.name)
        carrier.start()
        out = {"before": carrier.problem()}
        os.kill(carrier._popen.pid, 9)
        carrier._popen.wait(20)
        out["after"] = carrier.problem()
        try:
            carrier.stop()
        except line.LineError as e:
            out["stop"] = str(e)
        try:
            line.Line([((0, "nosuch"), ends[0][1])], log=log.name).start()
        except line.LineError as e:
            out["wrong"] = str(e)
    net.stop()
    return out


if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    print(json.dumps({"delay": delay, "loss": loss, "stream": stream, "death": death}[sys.argv[1]]()))
