import os
import re
import subprocess
import sys
from typing import Any

import pytest

from lab import ovs

HERE = os.path.dirname(os.path.abspath(__file__))
# Two hosts on a switch of the lab's own Open vSwitch, in namespaces of their own, so that nothing can be left.
REAL = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from lab import ovs
from mininet.link import TCLink
from mininet.log import setLogLevel
from mininet.net import Mininet
setLogLevel("critical")
before = sorted(os.listdir("/sys/class/net"))
switch = ovs.Private(sys.argv[2])
switch.start()
try:
    net = Mininet(switch=ovs.switch_class(), link=TCLink, controller=None)
    s = net.addSwitch("s1")
    for name in ("h1", "h2"):
        net.addLink(net.addHost(name), s, bw=50)
    net.start()
    for h in net.hosts:
        ovs.tune(h, h.intfNames()[0])
    print("lost", net.pingAll(timeout=5))
    h1, h2 = net.hosts
    sink = h1.popen([sys.executable, "-c", '''
import socket, time
c, _ = socket.create_server(("", 9000)).accept()
n, t = 0, time.monotonic()
while piece := c.recv(1 << 16): n += len(piece)
print("rate", n, time.monotonic() - t)'''], text=True)
    time.sleep(1)
    h2.cmd(sys.executable + " -c 'import socket; c = socket.create_connection((\\"" + h1.IP()
           + "\\", 9000)); c.sendall(bytes(4000000))'")
    print(sink.communicate(timeout=60)[0].strip())
    print("cpu", switch.cpu())
    net.stop()
finally:
    switch.stop()
    switch.stop()
assert sorted(os.listdir("/sys/class/net")) == before, os.listdir("/sys/class/net")
assert not os.path.exists(sys.argv[2]) and "OVS_RUNDIR" not in os.environ
"""


def reason() -> str:
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "needs root on Linux"
    if not os.access("/usr/bin/mnexec", os.X_OK):
        return "needs mininet"
    return ovs.problem() or ""


def test_the_missing_package_is_named(monkeypatch: Any) -> None:
    monkeypatch.setattr(ovs, "which", lambda c: None)
    assert "apt-get install --no-install-recommends openvswitch-switch" in (ovs.problem() or "")


@pytest.mark.parametrize("module, tun, works", [(True, False, True), (False, True, True), (False, False, False)])
def test_it_needs_the_module_or_tun(monkeypatch: Any, tmp_path: Any, module: bool, tun: bool, works: bool) -> None:
    monkeypatch.setattr(ovs, "which", lambda c: c)
    monkeypatch.setattr(ovs, "SCHEMA", __file__)
    monkeypatch.setattr(ovs, "datapath", lambda: "kernel" if module else "user")
    monkeypatch.setattr(ovs, "tun_works", lambda: tun)
    why = ovs.problem()
    assert why is None if works else "use --switch bridge" in (why or "")
    assert (ovs.note() is None) == module


def test_a_tun_that_is_a_file_or_absent(tmp_path: Any) -> None:
    assert not ovs.tun_works(str(tmp_path / "tun"))


def test_a_long_directory_is_refused(tmp_path: Any) -> None:
    with pytest.raises(ovs.OvsError, match="too long"):
        ovs.Private("/tmp/" + "x" * ovs.LONGEST).start()


def test_a_start_that_fails_leaves_nothing(monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.setattr(ovs, "run", lambda *argv: (_ for _ in ()).throw(ovs.OvsError("no")))
    monkeypatch.setattr(ovs, "LONGEST", 200)
    before = dict(os.environ)
    with pytest.raises(ovs.OvsError, match="no"):
        ovs.Private(str(tmp_path / "o")).start()
    assert not os.listdir(tmp_path) and dict(os.environ) == before


@pytest.mark.skipif(bool(reason()), reason=reason())
def test_hosts_reach_each_other_at_the_link_rate(tmp_path: Any) -> None:
    (tmp_path / "real.py").write_text(REAL)
    directory = f"/tmp/ovs-test-{os.getpid()}"
    done = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c",
         'mount -t sysfs sysfs /sys && ip link set lo up && exec "$@"', "sh",
         sys.executable, str(tmp_path / "real.py"), os.path.dirname(HERE), directory],
        capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost 0" in done.stdout
    n, seconds = re.search(r"rate (\d+) (\S+)", done.stdout).groups()  # type: ignore[union-attr]
    assert int(n) == 4_000_000
    assert int(n) * 8 / float(seconds) / 1e6 < 55   # shaped; how fast a busy machine is, is not ours to say
