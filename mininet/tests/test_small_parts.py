"""Metrics, marks, scrapes: small things with sharp edges."""

import importlib.util
import os
import signal
import subprocess

import pytest

from lab import cleanup, fanout, procs, prom, rivals, systems
from lab.cli import REPO


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


def test_mark():
    assert cleanup.parse_mark(b"A=1\0FANOUT_LAB=12.34\0B=2\0") == "12.34"
    assert cleanup.parse_mark(b"XFANOUT_LAB=12.34\0") is None
    assert cleanup.parse_cwd("/dev/shm/fanout-lab-12.34/run/h2") == "12.34"
    assert cleanup.parse_cwd("/home/fanout") is None
    me = os.getpid()
    assert cleanup.owner_alive(f"{me}.{procs.start_time(me)}")
    assert not cleanup.owner_alive(f"{me}.1") and not cleanup.owner_alive("junk")


def test_an_orphan_is_found_and_a_child_of_a_living_driver_is_not():
    def sleeper(value):
        # Popen returns when it is sleep that runs, in the environment given.
        return subprocess.Popen(["sleep", "infinity"], env={**os.environ, procs.MARK: value})
    mine, lost = sleeper(f"{os.getpid()}.{procs.start_time(os.getpid())}"), sleeper("999999999.1")
    try:
        found = cleanup.orphans()
        assert lost.pid in found and mine.pid not in found
    finally:
        for p in (mine, lost):
            p.send_signal(signal.SIGKILL)
            p.wait()


def test_lock_excludes(tmp_path):
    path = str(tmp_path / "lock")
    first, second = cleanup.Lock(path), cleanup.Lock(path)
    assert first.take(wait=False) and not second.take(wait=False)
    assert second.holder() == str(os.getpid())


def test_what_a_failing_command_says_is_no_version(tmp_path):
    git = tmp_path / "git"
    git.write_text("#!/bin/sh\necho 'fatal: detected dubious ownership' >&2\nexit 128\n")
    git.chmod(0o755)
    assert systems.output(str(git), "describe") == ""
    assert systems.output("sh", "-c", "echo 1.2 >&2") == "1.2"
