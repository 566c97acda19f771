"""The lab itself, in real Mininet: needs root and Linux."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from lab import checks, line, machine, ovs, results
from real import (SWEEP, assert_nothing_left, begin, daemons_missing, end, needs_lab, ours, own_network, said,
                  sweep, wait_for_text, with_processes)

pytestmark = needs_lab


def test_nginx_takes_as_long_as_the_bound_says(tmp_path):
    done = sweep("--system", "nginx", "--peers", "2", "--size", "4MiB", "--repeat", "1",
                 "--no-prometheus", "--check", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    record, = results.load(tmp_path)
    assert record["available"] == 2 and record["origin"]["sent_bytes"] == 2 * 4 << 20
    # A busy machine makes it slower, by how much is not ours to say; nothing makes it faster.
    assert record["ratio"] >= 1
    for key in ("started_at", "seed", "position", "load", "start_skew_seconds", "buffers", "queue"):
        assert record[key] is not None, key
    assert record["queue"]["limit_packets"] == 1000 and record["env"]["host"]
    assert_nothing_left()


@pytest.mark.skipif(daemons_missing(), reason="bin/ is not built: run `make build`")
def test_three_peers_get_a_file_by_every_strategy(tmp_path):
    done = sweep("--system", "direct,static-one,static,swarm", "--peers", "3", "--size", "4000001B", "--repeat", "1",
                 "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    records = {r["point"]["system"]: r for r in results.load(tmp_path)}
    assert set(records) == {"direct", "static-one", "static", "swarm"}
    for r in records.values():
        assert r["status"] == "ok" and r["available"] == r["expected"] == 3
        assert r["ratio"] >= 1
        for p in r["peers"]:
            assert p["bytes_from_origin"] + p["bytes_from_peers"] >= 4000001
    assert records["direct"]["origin"]["sent_bytes"] >= 3 * 4000001
    assert records["swarm"]["origin"]["sent_bytes"] < 2 * 4000001
    one = records["static-one"]
    assert one["origin"]["sent_bytes"] == 4000001  # a chunk for each, which the others have from it
    assert {p["bytes_from_origin"] for p in one["peers"]} == {1333334, 1333333}
    assert (tmp_path / "client-server-vs-p2p.png").stat().st_size > 10_000
    assert_nothing_left()


@pytest.mark.skipif(daemons_missing(), reason="bin/ is not built: run `make build`")
def test_two_origins_and_links_that_differ(tmp_path):
    done = sweep("--system", "swarm", "--links", "20,20,5", "--origins", "10x2", "--bw", "20", "--size", "1MiB",
                 "--repeat", "1", "--no-prometheus", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    record, = results.load(tmp_path)
    assert record["available"] == 3 and record["ratio"] >= 1
    assert record["fast_seconds"] == max(p["driver_seconds"] for p in record["peers"][:2])
    second, = record["more_origins"]
    assert second["host"] == "o2" and second["sent_payload"] > 100 << 10  # of 1 MiB, of which it sends about half
    assert record["origin"]["sent_bytes"] >= 1 << 20


@pytest.mark.skipif(daemons_missing(), reason="bin/ is not built: run `make build`")
def test_a_seeder_has_the_file_before_and_gives(tmp_path):
    done = sweep("--system", "swarm,aria2,libtorrent", "--seeder", "20", "--peers", "2", "--bw", "20", "--size", "4MiB",
                 "--repeat", "1", "--no-prometheus", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    for record in results.load(tmp_path):
        assert record["available"] == record["expected"] == 2 and record["ratio"] >= 1
        assert record["seeder"]["received_payload"] < 512 << 10
        if record["point"]["system"] == "swarm":  # others may ask the origin alone for so little
            assert record["seeder"]["sent_payload"] > 64 << 10


@pytest.mark.skipif(daemons_missing(), reason="bin/ is not built: run `make build`")
@pytest.mark.parametrize("hostile, hosts", [("mute:2", 1), ("idle:2", 1), ("drip:2", 1), ("claimer:2", 2)])
def test_hostile_members_have_sessions_and_the_others_the_file(tmp_path, hostile, hosts):
    done = sweep("--system", "swarm", "--hostile", hostile, "--peers", "2", "--bw", "20", "--size", "1MiB",
                 "--repeat", "1", "--no-prometheus", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    record, = results.load(tmp_path)
    assert record["available"] == 2 and len(record["hostile"]) == hosts
    assert all(h["deeds"] > 0 for h in record["hostile"])
    assert_nothing_left()


@pytest.mark.skipif(daemons_missing(), reason="bin/ is not built: run `make build`")
def test_what_happened_is_recorded(tmp_path):
    done = sweep("--system", "swarm", "--peers", "4", "--size", "4MiB", "--bw", "20", "--repeat", "1",
                 "--kill", "1@40%", "--join", "1@40%", "--hostile", "liar:1", "--queue", "50ms", "--no-prometheus",
                 "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    record, = results.load(tmp_path)
    killed, late = record["peers"][0], record["peers"][3]
    assert killed["role"] == "killed" and 0.4 <= killed["killed_share"] and killed["killed_at_seconds"] > 0
    assert late["role"] == "late" and 0.4 <= late["joined_share"] and late["started"] >= late["joined_at_seconds"]
    assert record["hostile"][0]["host"] == "x1" and record["hostile"][0]["deeds"] > 0
    assert record["queue"]["limit_bytes"] == 125_000 and record["queue"]["limit_packets"] is None


SERVE = "sh -c 'cd $(dirname {file}) && exec python3 -m http.server 8000'"


def interrupted(directory, how):
    """The record of a run in which one of two peers, whose program has left its session, is killed or frozen."""
    client = "sh -c 'setsid -w curl -qso {out} http://{server}:8000/{name}'"
    done = sweep("--system", f'mine="{SERVE}","{client}"', "--peers", "2", "--size", "2MiB", "--bw", "20",
                 "--repeat", "1", how, "1@30%", "--no-prometheus", "--out", str(directory))
    assert done.returncode == 0, done.stderr
    record, = results.load(directory)
    return record


def test_a_kill_reaches_what_has_left_its_session(tmp_path):
    record = interrupted(tmp_path, "--kill")
    killed, other = record["peers"]
    # Not all of what curl was sent counts as received: the link held some of it.
    assert killed["received_payload"] < other["received_payload"] - (256 << 10)
    assert_nothing_left()


def test_a_frozen_host_says_nothing_more_and_leaves_nothing(tmp_path):
    record = interrupted(tmp_path, "--freeze")
    frozen, other = record["peers"]
    assert frozen["role"] == "frozen" and 0.3 <= frozen["frozen_share"] and frozen["frozen_at_seconds"] > 0
    assert not frozen["verified"] and frozen["killed_share"] is None
    assert record["available"] == record["expected"] == 1 and other["verified"]
    assert_nothing_left()


def test_a_client_that_takes_the_file_from_the_disk_is_found_out(tmp_path):
    client = "sh -c 'cp /run/fanout-lab/origin/*/{name} {out}'"
    done = sweep("--system", f'mine="{SERVE}","{client}"', "--peers", "2", "--size", "2MiB", "--bw", "20",
                 "--repeat", "1", "--no-prometheus", "--out", str(tmp_path))
    assert done.returncode == 1 and "bytes must have come another way" in done.stderr, done.stderr


def test_nothing_beats_the_bound_of_a_slow_link(tmp_path):
    """The shaper lets 15 KiB pass at once, and sends its last packet whole: of 64 KiB, without a limit."""
    done = sweep("--system", "nginx", "--peers", "2", "--size", "256KiB", "--bw", "5", "--repeat", "2",
                 "--no-prometheus", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert all(r["ratio"] >= 1 for r in results.load(tmp_path))


def test_directories_whose_names_are_not_text(tmp_path):
    out = os.path.join(tmp_path, os.fsdecode(b"o\xff \n"))
    done = sweep("--system", "nginx", "--peers", "2", "--size", "1MiB", "--repeat", "1", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "o\\udcff" in (pathlib.Path(out) / "runs.csv").read_text("utf-8")


def test_links_without_a_rate(tmp_path):
    (tmp_path / ".curlrc").write_text("proxy = http://127.0.0.1:1\n")  # is the user's, not the lab's
    out = tmp_path / "out"
    done = sweep("--system", "nginx", "--peers", "2", "--size", "1MiB", "--bw", "none", "--repeat", "1",
                 "--no-prometheus", "--out", str(out), env={"CURL_HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    record, = results.load(out)
    assert record["bound_seconds"] is None and record["ratio"] is None and record["available"] == 2


@pytest.mark.parametrize("argv", [
    pytest.param(["--delay", "5ms", "--loss", "0.1%", "--queue", "50ms"], id="delay and loss", marks=pytest.mark.skipif(
        line.problem() is not None, reason=str(line.problem()))),
    pytest.param(["--switch", "ovs"], id="ovs", marks=pytest.mark.skipif(
        ovs.problem() is not None, reason=str(ovs.problem()))),
])
def test_other_links_and_another_switch(tmp_path, argv):
    done = sweep("--system", "nginx", "--peers", "3", "--size", "2MiB", "--bw", "20", "--repeat", "1",
                 "--topology", "two-racks", "--no-prometheus", "--out", str(tmp_path), *argv)
    assert done.returncode == 0, done.stderr
    record, = results.load(tmp_path)
    assert record["available"] == 3 and record["ratio"] >= 1
    if record["line"]:  # and no netem
        assert record["line"]["carried"] > 3 * 2 * (2 << 20) / 65536 and record["line"]["late_max_us"] > 0
    assert_nothing_left()


def test_eighty_hosts_and_more(tmp_path):
    """The shell of a switch takes 4,095 bytes a line; one that grew with the hosts hung from 79 peers on."""
    done = own_network("""
from lab import plan, topology
network = topology.Network(plan.Point("nginx", 82, 1, 5.0, queue_ms=50.0), sys.argv[1])
network.start()
assert len(network.peers()) == 82 and network.dropped() == 0
assert "mininet" in network.hosts["h83"].run("ps", "-o", "args=", str(network.hosts["h83"].pid))
network.stop()
print(sorted(os.listdir("/sys/class/net")))
""", str(tmp_path / "log"))
    assert done.returncode == 0 and done.stdout.strip() == "['lo']", done.stdout + done.stderr


HOSTILE = """set -e
iptables -P FORWARD DROP
for t in ip ip6 arp; do echo 1 >/proc/sys/net/bridge/bridge-nf-call-${t}tables; done
ip link set lo up
ip link add busy type bridge && ip link set busy up
for net in 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16; do ip route add $net dev busy; done
ip link add s1 type bridge && ip link set s1 up            # a name of the lab's, too
for i in 1 2; do
  ip netns add t$i && ip link add v$i type veth peer name eth0 netns t$i
  ip link set v$i master s1 up && ip -n t$i addr add 198.51.100.$i/24 dev eth0 && ip -n t$i link set eth0 up
done
if ip netns exec t1 ping -c 1 -W 1 198.51.100.2 >/dev/null; then echo 'these rules let frames pass'; exit 9; fi
exec "$@"
"""


def test_beside_dockers_rules_and_where_all_private_networks_are_routed(tmp_path):
    """FORWARD is DROP and bridged frames go through iptables, which the ping shows to bite; in a namespace of
    the test's own. Docker's machines failed every run, 15 s each."""
    if not os.path.exists("/proc/sys/net/bridge/bridge-nf-call-iptables"):
        subprocess.run(["modprobe", "br_netfilter"], check=False)
    done = sweep("--system", "nginx", "--peers", "2", "--size", "1MiB", "--repeat", "1", "--no-prometheus", "--check",
                 "--out", str(tmp_path),
                 before=["unshare", "--net", "--mount", "bash", "-c", "mount -t tmpfs run /run && mkdir /run/lock && "
                         "mount -t sysfs sysfs /sys; " + HOSTILE, "hostile"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert results.load(tmp_path)[0]["available"] == 2


def test_where_no_namespaces_are_allowed(tmp_path):
    """As in a container without the privileges."""
    done = sweep("--system", "nginx", "--peers", "1", "--no-prometheus", "--out", str(tmp_path / "out"),
                 before=["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"])
    assert done.returncode == 2 and "see `sweep.py doctor`" in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "out").exists()


def test_in_a_chroot(tmp_path):
    """Its hosts would find other files there than their sweep."""
    script = f"""mkdir {tmp_path}/root && mount -t tmpfs root {tmp_path}/root && cd {tmp_path}/root
        for d in /*; do if [ -L $d ]; then cp -a $d .; elif [ -d $d ]; then mkdir .$d && mount --rbind $d .$d; fi; done
        exec chroot . "$@" """
    done = sweep("--system", "nginx", "--peers", "2", "--size", "64KiB", "--repeat", "1", "--no-prometheus", "--out",
                 str(tmp_path / "out"), before=["unshare", "--mount", "bash", "-c", script, "chroot"])
    assert done.returncode == 2 and "a chroot, which its hosts would leave" in done.stderr, done.stderr
    assert not os.path.exists(tmp_path / "out")


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129),
                                            (signal.SIGKILL, -9)])
def test_a_signal_while_sixty_hosts_are_built(tmp_path, number, status):
    with begin("--system", "nginx", "--peers", "60", "--size", "1MiB", "--repeat", "1", "--no-prometheus",
               "--out", str(tmp_path)) as p:
        with_processes(p, "mininet:h", least=20)
        p.send_signal(number)
        out, err = end(p)
        assert p.returncode == status and "Traceback" not in err and "Error" not in err, err
        if number != signal.SIGKILL:
            assert "go on with: sweep.py --resume" in err
    assert_nothing_left()


def test_limits_of_the_machine_are_put_back(tmp_path):
    """They cannot be seen from the sweep's own network, from which whoever puts them back must have come home."""
    name = "net/ipv4/neigh/default/gc_thresh1"
    before = machine.sysctl(name)
    machine.sysctl(name, "111")
    try:
        with begin("--system", "nginx", "--peers", "1", "--size", "64MiB", "--bw", "1", "--no-prometheus",
                   "--out", str(tmp_path)) as p:
            with_processes(p, "curl", least=1)
            assert machine.sysctl(name) == str(machine.LIMITS[name])
            p.send_signal(signal.SIGINT)
            end(p)
        assert machine.sysctl(name) == "111"
    finally:
        machine.sysctl(name, before)


def test_a_driver_that_is_killed_inside_is_told(tmp_path):
    """As the kernel does when memory is short."""
    with begin("--system", "nginx", "--peers", "1", "--size", "64MiB", "--bw", "1", "--no-prometheus",
               "--out", str(tmp_path)) as p:
        with_processes(p, "curl", least=1)
        drivers = [int(pid) for pid, line in ours().items() if "sweep.py" in line and int(pid) != p.pid]
        os.kill(max(drivers), signal.SIGKILL)
        _, err = end(p)
        assert p.returncode == 137
        assert f"the sweep was killed (out of memory?); go on with: sweep.py --resume {tmp_path}" in err
    assert_nothing_left()


def test_standard_files_that_are_closed(tmp_path):
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, SWEEP, "--no-install",
                           "--no-build", "--system", "nginx", "--peers", "1", "--size", "64KiB", "--repeat", "1",
                           "--no-prometheus", "--out", str(tmp_path)], check=False)
    assert done.returncode == 0 and len(results.load(tmp_path)) == 1


def test_programs_that_leave_their_session_end_with_their_run(tmp_path):
    (tmp_path / "fork.py").write_text("""import os, socket, sys
listener = socket.create_server(("", 9000))
if os.fork():
    os.wait()
os.setsid()
data = open(sys.argv[1], "rb").read()
while True:
    c, _ = listener.accept()
    c.sendall(data)
    c.close()
""")
    client = os.path.join(checks.REPO, "mininet", "examples", "client.py")
    mine = f"mine=/usr/bin/python3 {tmp_path}/fork.py {{file}},/usr/bin/python3 {client} {{server}} {{out}}"
    done = sweep("--system", mine, "--peers", "1", "--size", "64KiB", "--repeat", "3", "--no-prometheus",
                 "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert [r["status"] for r in results.load(tmp_path / "out")] == ["ok"] * 3


@pytest.mark.parametrize("way", ["Ctrl-C", "closed", "tostop"])
def test_a_terminal(tmp_path, way):
    """Ctrl-C at a terminal, a terminal that is closed, and one that stops what writes from the background."""
    master, slave = os.openpty()
    if way == "tostop":
        subprocess.run(["stty", "tostop"], stdin=slave, check=True)
    with begin("--system", "nginx", "--peers", "2", "--size", "64MiB", "--bw", "5", "--repeat", "1", "--no-prometheus",
               "--out", str(tmp_path), terminal=slave) as p:
        os.close(slave)
        with_processes(p, "curl", least=1)
        if way == "closed":
            os.close(master)
        else:
            os.write(master, b"\x03")
        end(p)
        assert p.returncode == (129 if way == "closed" else 130)
    if way != "closed":
        os.close(master)
    assert_nothing_left()


def test_ctrl_c_while_waiting_and_two_that_want_one_directory(tmp_path):
    out = str(tmp_path / "out")
    few = ("--system", "nginx", "--peers", "1", "--size", "64KiB", "--repeat", "1", "--no-prometheus", "--out", out)
    slow = ("--system", "nginx", "--peers", "1", "--size", "64MiB", "--bw", "1", "--no-prometheus", "--out",
            str(tmp_path / "slow"))
    with begin(*slow) as first:
        with_processes(first, "curl", least=1)
        with begin(*few) as waiting:
            wait_for_text(waiting, "another sweep is running (process")
            waiting.send_signal(signal.SIGINT)
            _, err = end(waiting)
            assert waiting.returncode == 130 and err.strip().splitlines()[-1] == "stopped" and "Trace" not in err
        assert not os.path.exists(out)
        with begin(*few) as a, begin(*few) as b:
            for p in (a, b):
                wait_for_text(p, "another sweep is running")
            first.send_signal(signal.SIGTERM)
            end(first)
            texts = end(a)[1] + end(b)[1]
            assert sorted((a.returncode, b.returncode)) == [0, 2], texts
            assert "has a sweep already" in texts
    assert len(results.load(out)) == 1


def test_results_that_are_moved_while_the_sweep_runs(tmp_path):
    out = tmp_path / "out"
    with begin("--system", "nginx", "--peers", "1", "--size", "64KiB", "--bw", "1", "--repeat", "9", "--no-prometheus",
               "--out", str(out)) as p:
        wait_for_text(p, "[2/9]")
        out.rename(tmp_path / "moved")
        assert end(p)[1].strip().endswith(f"results directory {out}: it was removed or renamed while the sweep ran")
    assert p.returncode == 2 and not out.exists() and len(results.load(tmp_path / "moved")) >= 2
    assert_nothing_left()


def test_results_that_are_moved_while_a_sweep_waits(tmp_path):
    out = tmp_path / "out"
    few = ("--system", "nginx", "--peers", "1", "--size", "64KiB", "--repeat", "1", "--no-prometheus")
    assert sweep(*few, "--out", str(out)).returncode == 0
    with begin("--system", "nginx", "--peers", "1", "--size", "64MiB", "--bw", "1", "--no-prometheus", "--out",
               str(tmp_path / "slow")) as first:
        with_processes(first, "curl", least=1)
        with begin("--resume", str(out)) as waiting:
            wait_for_text(waiting, "another sweep is running (process")
            out.rename(tmp_path / "moved")
            first.send_signal(signal.SIGTERM)
            end(first)
            assert f"{out}: no sweep there" in end(waiting)[1]
    assert waiting.returncode == 2 and not out.exists()


def test_three_interrupts_leave_nothing_and_are_no_lack_of_memory(tmp_path):
    (tmp_path / "data").mkdir()
    with begin("--system", "nginx", "--peers", "1", "--size", "256MiB", "--bw", "1", "--no-prometheus",
               "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")) as p:
        with_processes(p, "curl", least=1)
        while "stopped" not in said(p):
            p.send_signal(signal.SIGINT)
            time.sleep(0.001)
        assert end(p)[1].strip().splitlines()[-1].startswith("stopped; go on with: ")
    assert p.returncode == 130 and os.listdir(tmp_path / "data") == []
    assert_nothing_left()


def test_under_sudo_files_belong_to_the_caller(tmp_path):
    os.chmod(tmp_path, 0o755)
    for parent in list(tmp_path.parents)[:2]:
        os.chmod(parent, 0o755)
    out = tmp_path / "new" / "out"
    done = sweep("--system", "nginx", "--peers", "2", "--size", "64KiB", "--repeat", "1", "--out", str(out),
                 env={"SUDO_UID": "65534", "SUDO_GID": "65534"})
    assert done.returncode == 0, done.stderr
    owners = {os.lstat(os.path.join(d, n)).st_uid for d, dirs, files in os.walk(tmp_path) for n in dirs + files}
    assert owners == {65534}
    os.chown(out, 1, 1)  # another's sweep stays another's
    done = sweep("--resume", str(out), env={"SUDO_UID": "65534", "SUDO_GID": "65534"})
    assert done.returncode == 0 and {p.stat().st_uid for p in (out, *out.rglob("*"))} == {1}, done.stderr
    os.chown(out, 65534, 65534)
    assert sweep("--resume", str(out)).returncode == 0
    done = subprocess.run([SWEEP, "plot", str(out)], user=65534, group=65534, capture_output=True, text=True,
                          env={"PATH": os.environ["PATH"], "MPLCONFIGDIR": str(out)}, check=False)
    assert done.returncode == 0 and "ratio.png" in done.stdout, done.stderr


@pytest.mark.parametrize("room", ["8k", "40k", "400k"])
def test_a_full_disk_under_the_results(tmp_path, room):
    """No room for what the sweep consists of, for what a run leaves, for the figures."""
    done = sweep("--system", "nginx", "--peers", "2", "--size", "64KiB", "--repeat", "3", "--no-prometheus", "--out",
                 str(tmp_path / "small" / "out"),
                 before=["unshare", "--mount", "bash", "-c", f"mkdir {tmp_path}/small && mount -t tmpfs -o size={room} "
                         f"small {tmp_path}/small && exec \"$@\"", "small"])
    assert done.returncode == 2 and "No space left on device" in done.stderr, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("sweep.py: results directory") and "--resume" in last and "Traceback" not in done.stderr
    assert_nothing_left()


def test_kill_minus_nine_leaves_no_data_on_a_disk_for_long(tmp_path):
    args = ("--system", "nginx", "--peers", "1", "--repeat", "1", "--no-prometheus", "--data", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    with begin(*args, "--size", "64MiB", "--bw", "1", "--out", str(tmp_path / "a")) as p:
        with_processes(p, "curl", least=1)
        p.kill()
        end(p)
    assert_nothing_left()
    assert os.listdir(tmp_path / "data")
    done = sweep(*args, "--size", "64KiB", "--out", str(tmp_path / "b"))
    assert done.returncode == 0 and os.listdir(tmp_path / "data") == [], done.stderr


def test_a_resume_names_every_commit(tmp_path):
    args = ("--system", "nginx", "--peers", "1", "--size", "64KiB", "--repeat", "2", "--no-prometheus")
    assert sweep(*args, "--out", str(tmp_path)).returncode == 0
    lines = (tmp_path / results.RESULTS).read_text().splitlines()
    first = json.loads(lines[0])
    first["env"]["versions"]["nginx"] = "0.1"
    (tmp_path / results.RESULTS).write_text(json.dumps(first) + "\n")
    done = sweep("--resume", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "warning: earlier runs of this sweep are of nginx 0.1" in done.stderr
    assert "0.1 (1 run" in (tmp_path / results.SUMMARY_MD).read_text()


def test_single_asks_at_a_terminal(tmp_path):
    master, slave = os.openpty()
    with begin("--system", "nginx", "--size", "64KiB", "--no-prometheus", "--out", str(tmp_path), terminal=slave,
               command="single") as p:
        os.close(slave)
        seen = b""
        for question, answer in ((b"Number of hosts", b"1\n"), (b"smallest allowed is 2", b""),
                                 (b"Number of hosts", b"3\n"), (b"ping every other first?", b"y\n")):
            limit = time.monotonic() + 60
            while question not in seen and time.monotonic() < limit:
                seen += os.read(master, 4096)
            assert question in seen
            seen = seen.split(question, 1)[1]
            os.write(master, answer)
        try:
            while data := os.read(master, 4096):
                seen += data
        except OSError:
            pass  # the other side is closed
        end(p)
        assert p.returncode == 0, seen
    assert b"2/2 (100%)" in seen and len(results.load(tmp_path)) == 1
    config = json.loads((tmp_path / results.CONFIG).read_text())
    assert config["check"] is True and config["command"].endswith("--hosts 3 --check")
