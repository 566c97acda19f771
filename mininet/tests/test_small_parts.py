"""Metrics, scrapes, silence: small things with sharp edges."""

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from lab import REPO, fanout, machine, plan, procs, prom, pulse, rivals, runner, units

MININET = os.path.join(REPO, "mininet")


def test_the_real_mininet_wins_over_this_folder():
    spec = importlib.util.find_spec("mininet")
    if spec is None or spec.origin is None:
        pytest.skip("Mininet is not installed")
    assert not spec.origin.startswith(REPO + os.sep)


def test_metrics_text():
    m = prom.Metrics()
    m.set("fanout_lab_point_info", 1, system="swarm", peers=8)
    m.add("fanout_lab_runs_total", system='a"b', outcome="ok")
    m.add("fanout_lab_runs_total", system='a"b', outcome="ok")
    text = m.text()
    assert 'fanout_lab_point_info{peers="8",system="swarm"} 1\n' in text
    assert 'fanout_lab_runs_total{outcome="ok",system="a\\"b"} 2\n' in text
    assert "# TYPE fanout_lab_runs_total counter" in text
    m.clear("fanout_lab_point_info")
    assert "fanout_lab_point_info{" not in m.text()


def test_prometheus_config_finds_daemons_at_the_tracker():
    text = prom.config("http://10.77.255.254:2680/v1/sd", "127.0.0.1:1234")
    assert "url: http://10.77.255.254:2680/v1/sd" in text and "scrape_interval: 1000ms" in text


def test_metric_sum():
    text = '# HELP a_total x\na_total{x="1"} 3\na_total{x="2"} 4.5e+01\na_total_created 7\nb_total 9\n'
    assert fanout.metric_sum(text, "a_total") == 48
    assert fanout.metric_sum(text, "b_total") == 9
    assert fanout.metric_sum(text, "c_total") is None


def test_problem_text():
    assert fanout.problem_text(b'{"title": "Not Found", "detail": "no file x"}') == "no file x"
    assert fanout.problem_text(b"plain") == "plain"


def test_scrape():
    assert rivals.complete(b"d5:filesd20:" + b"x" * 20 + b"d8:completei3e10:downloadedi0eeee") == 3
    assert rivals.complete(b"d5:filesdee") == 0


def test_output_of_a_command_that_fails_is_no_answer(tmp_path):
    assert procs.output("sh", "-c", "echo 1.2; echo noise >&2") == "1.2"
    assert procs.output("sh", "-c", "echo fatal: detected dubious ownership >&2; exit 128") == ""
    assert fanout.Swarm.versions(str(tmp_path))["fanout"].startswith("unknown ")


def test_daemons_say_what_they_are_built_from(tmp_path):
    def build(*revisions):
        for name, revision in zip(("tracker", "origin", "peerd"), revisions):
            (tmp_path / name).write_text(f"#!/bin/sh\necho '{name} v0 (revision {revision}, go1)'\n")
            (tmp_path / name).chmod(0o755)
        return fanout.built_from(str(tmp_path))
    one, other = "0123456789abcdef", "fedcba9876543210"
    assert build(one, one, one) == "0123456"
    assert re.fullmatch("0123456/fedcba9 [0-9a-f]{8}", build(one, one, other))
    dirty = build(one + "-dirty", one + "-dirty", one + "-dirty")
    assert re.fullmatch("0123456-dirty [0-9a-f]{8}", dirty)
    with open(tmp_path / "peerd", "a") as f:
        f.write("# another change")
    assert fanout.built_from(str(tmp_path)) != dirty


@pytest.mark.parametrize("uid, gid, to", [
    ("1000", "1000", (1000, 1000)), ("", "", None), ("1000", "", None), ("x", "1", None), ("\u00b2", "1", None),
    ("99999999999999", "1", None), ("4294967295", "1", None), ("-1", "1", None)])
def test_whose_files_they_are_under_sudo(monkeypatch, uid, gid, to):
    monkeypatch.setattr(machine.os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", uid)
    monkeypatch.setenv("SUDO_GID", gid)
    assert machine.caller() == to


def test_two_signals_at_once_are_one_end():
    done = subprocess.run([sys.executable, "-c", """if True:
        import os, signal
        from lab import space
        for number in space.SIGNALS:
            signal.signal(number, space.stop_once)
        signal.pthread_sigmask(signal.SIG_BLOCK, space.SIGNALS)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, space.SIGNALS)
        except space.Stopped:
            print("stopped once")
        """], capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": MININET})
    assert (done.stdout, done.stderr) == ("stopped once\n", "")


def test_what_came_too_fast_did_not_come_over_the_links():
    assert runner.too_fast(0.97, 1.0) is None and runner.too_fast(1.0, None) is None
    assert "the links need 1.00 s" in str(runner.too_fast(0.1, 1.0))


def test_nginx_does_not_know_what_a_killed_peer_got():
    nginx = rivals.Nginx(SimpleNamespace(point=plan.Point("nginx", 2, 1, 1.0, kill=units.Event(1, 0.5))))
    assert nginx.origin_bytes() is None


def test_lock_excludes(tmp_path):
    path = str(tmp_path / "new" / "lock")
    first, second = machine.Lock(path), machine.Lock(path)
    assert first.take(wait=False) and not second.take(wait=False)
    assert second.holder() == str(os.getpid())


def test_silence_is_broken(monkeypatch, capfd):
    monkeypatch.setattr(pulse, "SILENCE", 0.1)
    p = pulse.Pulse()
    p.beat("host h7")
    p.start()
    limit = time.monotonic() + 60
    said = ""
    while "no progress" not in said and time.monotonic() < limit:
        time.sleep(0.05)
        said += capfd.readouterr().err
    assert said.startswith("no progress for ") and "s: host h7\n" in said
    with pytest.raises(pulse.Stuck, match="building s1"):
        p.beat("building s1", limit=0.1)
        time.sleep(60)
    p.stop()


def test_who_is_stopped_has_obeyed():
    with subprocess.Popen(["sleep", "60"]) as p:
        try:
            assert not procs.stopped(p.pid)
            p.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, p.pid, os.WSTOPPED)
            assert procs.stopped(p.pid)
        finally:
            p.kill()


def outcome(role="peer", started=0.0, seconds=None, gone=None, joined=None):
    o = runner.Outcome(SimpleNamespace(name="h2"), role)
    o.started, o.seconds, o.gone, o.joined = started, seconds, gone, joined
    return o


@pytest.mark.parametrize("outcomes, lies, why", [
    ([outcome("killed", gone=(0.4, 0.5)), outcome(seconds=1.0)], {}, None),
    ([outcome("frozen", gone=(0.4, 0.5)), outcome(seconds=1.0)], {}, None),
    ([outcome("frozen"), outcome(seconds=1.0)], {}, "was not frozen: the transfer ended"),
    ([outcome("frozen", seconds=0.88, gone=(0.89, 1.0)), outcome(seconds=1.0)], {}, "had the file after 0.88 s, .*"
     "frozen after 0.89 s"),
    ([outcome("killed", seconds=0.88), outcome(seconds=1.0)], {}, "was not killed: the transfer ended"),
    ([outcome("killed", seconds=0.88, gone=(0.89, 1.0)), outcome(seconds=1.0)], {}, r"had the file after 0.88 s, .*"
     r"killed after 0.89 s \(100 %\)"),
    ([outcome("late", started=0.5, joined=(0.5, 0.5)), outcome(seconds=1.0)], {}, None),
    ([outcome("late"), outcome(seconds=1.0)], {}, "did not join"),
    ([outcome("late", started=1.5, joined=(0.9, 0.98)), outcome(seconds=1.0)], {}, "came too late"),
    ([outcome(seconds=1.0)], {"x1": 3}, None),
    ([outcome(seconds=1.0)], {"x1": 3, "x2": 0}, "x2 did not lie"),
])
def test_a_scenario_that_did_not_happen_is_a_failure(outcomes, lies, why):
    found = runner.missed(outcomes, "liar", lies)
    assert found is None if why is None else re.search(why, found), found


def test_who_had_no_session_was_not_hostile():
    assert runner.missed([outcome(seconds=1.0)], "mute", {"x1": 4}) is None
    assert "x1, which is to be a mute, had no session" in runner.missed([outcome(seconds=1.0)], "mute", {"x1": 0})


def test_the_relay_carries_both_ways():
    inside, outside = prom.listen(0), prom.listen(0)
    carrier = threading.Thread(target=prom.relay, args=(outside, inside.getsockname()), daemon=True)
    carrier.start()
    with socket.create_connection(outside.getsockname()) as client:
        server, _ = inside.accept()
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert server.makefile("rb").read() == b"question"
        server.sendall(b"answer")
        server.close()
        assert client.makefile("rb").read() == b"answer"
    inside.close()
    outside.shutdown(socket.SHUT_RDWR)
    carrier.join(60)
    assert not carrier.is_alive()
    outside.close()


def test_limits_are_put_back(tmp_path, monkeypatch):
    (tmp_path / "low").write_text("10")
    (tmp_path / "high").write_text("99")
    (tmp_path / "cc").write_text("reno bbr")
    monkeypatch.setattr(machine, "LIMITS", {"low": 50, "high": 50, "missing": 5})
    monkeypatch.setattr(machine, "ALLOWED_CC", "cc")
    monkeypatch.setattr(machine, "SYSCTL", str(tmp_path))
    with machine.Limits("cubic"):
        assert [(tmp_path / n).read_text() for n in ("low", "high", "cc")] == ["50", "99", "reno bbr cubic"]
    assert [(tmp_path / n).read_text() for n in ("low", "high", "cc")] == ["10", "99", "reno bbr"]


def test_who_disturbed_a_run():
    calm = {"busy": 0.3, "full_windows": 0.0, "steal": 0.0}
    good = {"carried": 1000, "dropped": 0, "overrun": 0, "refused": 0, "late": 0, "late_max_us": 0}
    assert runner.disturbed(calm, good, 0.5) is None
    assert "processors 95 % busy" in runner.disturbed({**calm, "busy": 0.95}, good, 0.0)
    assert "bin/line lost 3 frames" in runner.disturbed(calm, {**good, "dropped": 3}, 0.0)
    assert "Open vSwitch 97 % busy" in runner.disturbed(calm, None, 0.97)
