import json
import re

import pytest
from synthetic import ENV, MIB, point, record

from lab import results, stats, units


def run(system="swarm", peers=2, repeat=1, seconds=1.0, **more):
    return record(point(system, peers), repeat, seconds=seconds, **more)


BUSY = "processors 99 % busy"


def test_the_last_record_of_a_run_counts_and_a_torn_line_does_not(tmp_path):
    results.append(tmp_path, run(status="failed"))
    results.append(tmp_path, run(repeat=2))
    results.append(tmp_path, run())
    with open(tmp_path / results.RESULTS, "a", encoding="ascii") as f:
        f.write('{"key": "swarm-n2-10')
    assert [(r["repeat"], r["status"]) for r in results.load(tmp_path)] == [(1, "ok"), (2, "ok")]


@pytest.mark.parametrize("line", [
    b"[]", b"5", b"\xff\xfe", b"{}", b'{"key": "x"}', b'{"key": "x", "status": "ok"}', b"null"])
def test_a_line_that_is_no_run_is_skipped(tmp_path, line):
    with open(tmp_path / results.RESULTS, "wb") as f:
        f.write(line + b"\n" + json.dumps(run()).encode() + b"\n")
    assert [r["key"] for r in results.load(tmp_path)] == [run()["key"]]


def test_no_results_yet(tmp_path):
    assert results.load(tmp_path) == []
    assert "No run" in results.markdown({}, [])


def test_resume_repeats_what_failed_and_again_what_ran_out_of_cpu():
    good, failed, spent = run(), run(repeat=2, status="failed"), run(repeat=3, exhausted=BUSY)
    assert results.done([good, failed, spent], again=False) == {good["key"], spent["key"]}
    assert results.done([good, failed, spent], again=True) == {good["key"]}


def test_rows_are_in_the_order_in_which_the_sweep_names_its_systems():
    records = [run("swarm", 2), run("direct", 3), run("mine", 1), run("direct", 1)]
    config = {"points": [point(s).as_dict() for s in ("mine", "direct", "swarm")]}
    assert ([(r.system, r.point.peers) for r in stats.rows(records, config)]
            == [("mine", 1), ("direct", 1), ("direct", 3), ("swarm", 2)])
    assert [r.system for r in stats.rows(records)] == ["swarm", "direct", "direct", "mine"]


def test_rows_of_a_system_go_by_scenario_size_link_and_peers():
    points = [point(peers=1), point(peers=2, kill=units.Event(1, 0.5)), point(bw=None), point(bw=20.0),
              point(bw=20.0, peers=1), point(size=MIB)]
    rows = stats.rows([record(p) for p in points])
    assert [r.point for r in rows] == [points[i] for i in (5, 4, 3, 0, 2, 1)]


def test_peers_that_began_apart_are_noted():
    late = {**record(point(), seconds=1.0), "start_skew_seconds": 0.2}
    assert re.search("peers began up to (19|20) % of the time apart", stats.Row([late, record(point(), 2)]).notes())
    assert not stats.Row([record(point())]).notes()


def test_cpu_time_is_of_all_runs_or_of_none():
    short, long = record(point(), 1), record(point(), 2)
    short["cpu"].update(daemon_seconds=0.15, daemon_seconds_per_gib=1.5)
    long["cpu"].update(daemon_seconds=0.46, daemon_seconds_per_gib=4.6)
    assert stats.Row([short, long]).cpu.median is None and stats.Row([long]).cpu.median == 4.6


def test_a_point_is_one_though_an_earlier_version_knew_less_of_it():
    old, new = record(point(), 1), record(point(), 2)
    del old["point"]["loss"], old["point"]["queue_ms"]
    assert [r.distribution.n for r in stats.rows([old, new])] == [2]


def test_the_median_leaves_disturbed_runs_out():
    records = [run(repeat=i, seconds=s, exhausted=e) for i, (s, e) in enumerate(
        ((1.0, None), (9.0, BUSY), (1.2, None), (8.0, BUSY), (1.1, None)), 1)]
    row = stats.Row(records)
    assert row.distribution.median == 1.1 and row.distribution.n == 3
    assert not row.disturbed and row.notes() == "2 of 5 disturbed, left out"


def test_where_all_runs_were_disturbed_the_median_is_over_them_and_marked():
    row = stats.Row([run(repeat=i, seconds=s, exhausted=BUSY) for i, s in enumerate((1.0, 3.0, 2.0), 1)])
    assert row.disturbed and row.distribution.median == 2.0 and row.notes() == "all 3 disturbed"
    assert "○" in results.table([row])


def test_half_the_runs_disturbed_is_no_reason_to_call_the_median_so():
    row = stats.Row([run(repeat=1, exhausted=BUSY), run(repeat=2)])
    assert not row.disturbed and "○" not in results.table([row])


@pytest.mark.parametrize("values,low,high", [
    ((1.0, 1.0, 1.0), 1.0, 1.0),
    ((1.0, 2.0, 3.0, 4.0, 5.0), 1.0, 5.0),  # 6 % of the resamples have their median at an end
])
def test_interval_of_a_median(values, low, high):
    stat = stats.Stat(values)
    assert (stat.low, stat.high) == (low, high)


def test_the_interval_of_many_runs_is_narrower_than_their_spread_and_always_the_same():
    values = tuple(float(i) for i in range(1, 22))
    low, high = stats.interval(values)
    assert 1 < low < 11 < high < 21
    stats.interval.cache_clear()
    assert stats.interval(values) == (low, high)


def test_the_fast_ones_have_a_column_only_where_links_differ():
    assert "fast ones" not in results.table([stats.Row([run()])])
    slow = record(point(peers=4, links=(100.0, 100.0, 5.0, 5.0)), seconds=9.0)
    slow["fast_seconds"] = 1.25
    lines = results.table([stats.Row([run()]), stats.Row([slow])]).splitlines()
    at = lines[0].split(" | ").index("fast ones (s)")
    assert [line.split(" | ")[at] for line in lines[2:]] == ["–", "1.25"]


def column(text, name):
    lines = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [line[lines[0].index(name)] for line in lines[1:]]


def test_times_are_compared_with_directs_where_it_was_measured_and_else_with_its_bound():
    rows = stats.rows([*(run("direct", repeat=i, seconds=s) for i, s in enumerate((2.0, 4.0, 2.5), 1)),
                       run("swarm", seconds=1.0), run("swarm", 4, seconds=1.0)])
    assert column(results.table(rows), "÷ direct") == ["1.00", "0.40", f"{1 / (4 * 0.877):.2f} †"]
    text = "\n".join(results.comparison(rows))
    assert "† `direct` was not measured" in text and "Warning" not in text
    assert results.comparison(rows[:2]) == []
    free = stats.rows([record(point(bw=None))])
    assert column(results.table(free), "÷ direct") == ["–"] and results.comparison(free) == []


def test_what_is_worse_than_direct_is_named():
    scenario = dict(peers=2, hostile=units.Hostile("mute", 20))
    times = {"direct": 2.0, "swarm": 2.05, "static": 2.03, "nginx": 9.0}
    rows = stats.rows([*(record(point(name, **scenario), seconds=s) for name, s in times.items()),
                       run("direct", seconds=2.0), run("swarm", seconds=1.0)])
    line, = (line for line in results.comparison(rows) if line)
    assert line == ("**Warning: worse than direct:** fanout swarm, 2 peers, 10 MiB, 100 Mbit/s, hostile mute:20 "
                    "(1.02 ×).")
    assert "1 peer, 10 MiB, 100 Mbit/s (1.14 × †)." in results.comparison(stats.rows([run(peers=1, seconds=1.0)]))[-2]
    records = [r for row in rows for r in row.records]
    assert line in results.markdown({}, records) and line in results.section("x", {}, records)


def test_one_run_has_no_interval():
    assert stats.Stat([1.5]).text() == "1.50" and stats.Stat([]).text() == "–"


def test_availability_counts_every_peer_of_every_run():
    ok, failed = run(repeat=1), run(repeat=2, status="failed")
    assert stats.Row([ok]).availability() == "2/2 (100%)"
    assert stats.Row([ok, run(repeat=2)]).availability() == "2/2 (100%)"
    assert stats.Row([failed]).availability() == "0/2 (0%)"
    assert stats.Row([ok, failed]).availability() == "1/2 (50.0%)"


def test_a_system_without_a_title_goes_by_its_name():
    bare = run("mine")
    del bare["title"]
    assert stats.Row([bare]).title == "mine" and stats.Row([run("swarm")]).title == "fanout swarm"


def test_size_and_link_have_columns_where_they_vary():
    plain = results.table(stats.rows([record(point())]))
    several = results.table(stats.rows([record(point()), record(point(bw=None)), record(point(size=MIB))]))
    assert "| link |" not in plain and "| size |" not in plain
    assert "| size | link |" in several and "| 10 MiB | no rate |" in several and "| 1 MiB | 100 Mbit/s |" in several
    assert "| – | – |" in several  # no bound, no ratio


def test_summary_file(tmp_path):
    for r in (run("direct", 2), run(), run(repeat=2, status="failed"), run("direct", 1, exhausted=BUSY)):
        results.append(tmp_path, r)
    results.write(tmp_path, {"command": "sweep.py --x", "seed": 7})
    text = (tmp_path / results.SUMMARY_MD).read_text()
    for part in ("# 10 MiB at 100 Mbit/s", "average", "available", "2/2 (100%)", "1 of 2 failed", "○", BUSY,
                 "network: no bridge", "`sweep.py --x`, seed 7", "Linux 6.1, cubic", "fanout abc1234",
                 "1 peer, 10 MiB, 100 Mbit/s (1 of 1 run"):
        assert part in text
    assert "1 peers" not in text and "Warning" not in text


def test_every_version_that_took_part_is_named():
    other = {**ENV, "host": "other", "versions": {**ENV["versions"], "fanout": "def5678"}}
    records = [run(repeat=i, env=other if i > 2 else ENV) for i in (1, 2, 3)]
    text = results.markdown({}, records)
    assert "fanout abc1234 (2 runs), def5678 (1 run), Mininet 2.3.0" in text
    assert "labhost: 2 × Test, 8 GiB (2 runs), other: 2 × Test, 8 GiB (1 run)" in text
    assert "**Warning: not all runs had the same machine, fanout.**" in text


def test_a_section_says_what_was_run_where():
    text = results.section("rivals", {"command": "sweep.py --x"}, [run()])
    assert text.startswith("## rivals\n\n`sweep.py --x`, 2026-01-02 03:04 to 03:04 UTC, on labhost: 2 × Test")
    assert "| fanout swarm | 3 | 2 |" in text


def test_a_sweep_over_midnight_says_both_days():
    late = {**run(repeat=2), "ended_at": "2026-01-03T00:10:00.000+00:00"}
    assert "2026-01-02 03:04 to 2026-01-03 00:10 UTC" in results.provenance({}, [run(), late])


def test_records_survive_the_file(tmp_path):
    results.append(tmp_path, run())
    assert json.dumps(results.load(tmp_path)[0]) == json.dumps(run())
