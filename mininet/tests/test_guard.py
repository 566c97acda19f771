import pytest

from lab import guard

HZ = 100


def samples(idle_shares, step=0.1, cores=2):
    """A machine whose cores are idle for these shares of successive steps."""
    out, total, idle = [(0.0, dict(total=0, idle=0, softirq=0, steal=0))], 0.0, 0.0
    for i, share in enumerate(idle_shares, 1):
        total += step * HZ * cores
        idle += step * HZ * cores * share
        out.append((i * step, dict(total=total, idle=idle, softirq=0, steal=0)))
    return out


def test_parse_stat():
    line = "cpu  10 1 20 300 5 2 30 4 7 0"   # guest time is in user already
    assert guard.parse_stat(line) == {"total": 372, "idle": 305, "softirq": 32, "steal": 4}


def test_an_idle_machine_is_believed():
    s = guard.shares(samples([0.7] * 30))
    assert s["busy"] == pytest.approx(0.3) and guard.verdict(s) is None


def test_a_busy_machine_is_not():
    assert "busy" in guard.verdict(guard.shares(samples([0.05] * 30)))


def test_a_run_that_is_full_for_a_third_is_not():
    s = guard.shares(samples([0.9] * 20 + [0.0] * 10))
    assert s["busy"] < 0.5 and "no idle processor" in guard.verdict(s)


def test_a_full_moment_is_forgiven():
    assert guard.verdict(guard.shares(samples([0.5] * 27 + [0.0] * 3))) is None


def test_stolen_time_counts():
    s = guard.shares(samples([0.5] * 10))
    assert "stolen" in guard.verdict({**s, "steal": 0.2})
