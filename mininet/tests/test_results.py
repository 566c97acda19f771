import csv
import json

from lab import plan, plots, results

ENV = {"kernel": "6.1", "cpus": 2, "cpu_model": "Test", "memory_gib": 8, "congestion_control": "cubic",
       "versions": {"fanout": "abc"}}


def record(system="swarm", peers=2, repeat=1, seconds=1.0, status="ok", exhausted=None):
    p = plan.Point(system, peers, 1 << 20, 100.0)
    kind = "client-server" if system == "direct" else "p2p"
    head = {"key": plan.Run(p, repeat).key, "repeat": repeat, "kind": kind, "point": p.as_dict(),
            "status": status, "error": None, "env": ENV, "ended_at": "2026-01-02T03:04:05+00:00"}
    if status != "ok":
        return {**head, "error": "network: no bridge"}
    link = {"rx_bytes": 1, "tx_bytes": 1, "retransmits": 0, "cpu_seconds": 0.1, "received_payload": 1 << 20}
    return {**head, "bound_seconds": 0.8, "distribution_seconds": seconds, "mean_seconds": seconds * 0.9,
            "ratio": seconds / 0.8, "available": peers, "expected": peers, "retransmits": 3,
            "peers": [{"host": f"h{i + 2}", "role": "peer", "verified": True, "error": None,
                       "started": 0.0, "driver_seconds": seconds, "daemon_seconds": seconds - 0.01,
                       "bytes_from_origin": 1, "bytes_from_peers": 2, **link} for i in range(peers)],
            "origin": {"sent_bytes": 1 << 20, "sent_source": "system", **link}, "tracker": link,
            "cpu": {"daemon_seconds": 0.1, "daemon_seconds_per_gib": 7.5, "machine_seconds": 1,
                    "busy": 0.4, "busy_max": 0.5, "full_windows": 0, "softirq": 0, "steal": 0,
                    "exhausted": exhausted}}


def test_the_last_record_of_a_run_counts_and_a_torn_line_does_not(tmp_path):
    results.append(tmp_path, record(status="failed"))
    results.append(tmp_path, record(repeat=2))
    results.append(tmp_path, record())
    with open(tmp_path / results.RESULTS, "a", encoding="ascii") as f:
        f.write('{"key": "swarm-n2-10')
    assert [(r["repeat"], r["status"]) for r in results.load(tmp_path)] == [(1, "ok"), (2, "ok")]


def test_no_results_yet(tmp_path):
    assert results.load(tmp_path) == []
    assert "No run" in results.markdown({}, [])


def test_rows_take_medians_and_are_in_order():
    rows = results.rows([record(repeat=i, seconds=s) for i, s in enumerate((1.0, 3.0, 1.2), 1)]
                        + [record("direct", 1), record("direct", 3)])
    assert [(r.system, r.point.peers) for r in rows] == [("direct", 1), ("direct", 3), ("swarm", 2)]
    assert (rows[2].distribution.median, rows[2].distribution.low, rows[2].distribution.high) == (1.2, 1.0, 3.0)


def test_availability_counts_every_peer_of_every_run():
    ok, failed = record(repeat=1), record(repeat=2, status="failed")
    assert results.Row([ok]).availability() == "2/2 (100%)"
    assert results.Row([ok, record(repeat=2)]).availability() == "2/2 (100%)"
    assert results.Row([failed]).availability() == "0/2 (0%)"
    assert results.Row([ok, failed]).availability() == "1/2 (50.0%)"


def test_out_of_cpu_when_half_the_runs_were():
    spent = [record(repeat=i, exhausted="processors 99 % busy") for i in (1, 2)]
    good = [record(repeat=i) for i in (3, 4, 5)]
    assert results.Row(spent + good[:2]).out_of_cpu
    assert not results.Row(spent[:1] + good).out_of_cpu


def test_resume_repeats_what_failed_and_again_what_ran_out_of_cpu():
    good, failed = record(), record(repeat=2, status="failed")
    spent = record(repeat=3, exhausted="processors 99 % busy")
    assert results.done([good, failed, spent], again=False) == {good["key"], spent["key"]}
    assert results.done([good, failed, spent], again=True) == {good["key"]}


def test_summary_files(tmp_path):
    for r in (record("direct", 2), record(), record(repeat=2, status="failed"),
              record("direct", 4, exhausted="processors 99 % busy")):
        results.append(tmp_path, r)
    results.write(tmp_path, {"command": "sweep.py --x"})
    text = (tmp_path / results.SUMMARY_MD).read_text()
    for part in ("average", "available", "2/2 (100%)", "1 of 2 failed", "○", "processors 99 % busy",
                 "network: no bridge", "sweep.py --x", "Linux 6.1, cubic", "fanout abc"):
        assert part in text
    with open(tmp_path / results.SUMMARY_CSV, encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    assert [r["system"] for r in rows] == ["direct", "direct", "swarm"]
    assert rows[2]["distribution_s"] == "1.0000" and rows[2]["hosts"] == "3"


def test_a_section_says_what_was_run_where():
    text = results.section("rivals", {"command": "sweep.py --x"}, [record()])
    assert text.startswith("## rivals\n\n`sweep.py --x`, 2026-01-02 03:04 to 03:04 UTC, on 2 × Test")
    assert "| fanout swarm | 3 | 2 |" in text


def test_plots_are_drawn_from_results_alone(tmp_path):
    for n in (1, 2, 4):
        for s in ("direct", "swarm"):
            results.append(tmp_path, record(s, n, seconds=n * 0.9 if s == "direct" else 1.0))
    (tmp_path / "curves").mkdir()
    (tmp_path / "curves" / (record("swarm", 4)["key"] + ".json")).write_text(json.dumps(
        {"times": [0, 0.5, 1], "received": {f"h{i}": [0, 1 << 19, 1 << 20] for i in range(2, 6)}}))
    names = {f.rpartition("/")[2] for f in plots.draw(str(tmp_path), {"axis": "peers"})}
    for want in ("client-server-vs-p2p", "mean-p2p", "mean-client-server", "time-by-system", "ratio",
                 "origin-upload", "cpu", "curves-swarm"):
        assert {want + ".png", want + ".svg"} <= names


def test_nothing_to_draw(tmp_path):
    results.append(tmp_path, record(status="failed"))
    assert plots.draw(str(tmp_path), {}) == []
