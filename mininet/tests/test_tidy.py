import csv
import re

import pytest
import synthetic
from synthetic import point, record

from lab import results, tidy, units

UNITS = re.compile(r"_(seconds|bytes|segments|packets|percent|ratio|milliseconds|mbit_per_second|seconds_per_gib|"
                   r"gib|minute|peers|hosts|runs)$")
BARE = re.compile(r"^(run|system|title|kind|peers|hosts|runs|scenario|repeat|position|seed|\w+_at|fanout_version|"
                  r"machine|kernel|command|prometheus|kill|freeze|join|hostile|hostile_deeds|direct_measured|"
                  r"topology|switch|status|error|error_of_peer|"
                  r"origin_sent_source|disturbed_by|congestion_control|cpus|cpu_model|versions|host|role|verified)$")


@pytest.fixture(name="sweep")
def sweep_of_three_runs(tmp_path):
    for r in (record(point("swarm", 3)), record(point("direct", 2)), record(point("swarm", 3), 2, status="failed"),
              record(point("swarm", 2, bw=None))):
        results.append(tmp_path, r)
    results.write(tmp_path, {"command": "sweep.py --x"})
    return tmp_path


def read(directory, name):
    with open(directory / name, encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


@pytest.mark.parametrize("name,rows", [("summary.csv", 3), ("runs.csv", 4), ("peers.csv", 7), ("hosts.csv", 13)])
def test_each_file_has_its_rows(sweep, name, rows):
    assert len(read(sweep, name)) == rows


@pytest.mark.parametrize("name", tidy.FILES)
def test_every_column_has_a_meaning_and_its_unit(name):
    columns = tidy.FILES[name][1]
    names = [column for column, _, _ in columns]
    assert len(set(names)) == len(names)
    for column, meaning, _ in columns:
        assert len(meaning) > 5 and "|" not in meaning
        assert UNITS.search(column) or BARE.match(column), f"{column} does not say its unit"


def test_columns_of_the_same_name_mean_the_same_in_runs_peers_and_hosts():
    runs = {c: m for c, m, _ in tidy.RUNS}
    for columns in (tidy.PEERS, tidy.HOSTS):
        assert not {c for c, _, _ in columns} & set(runs)


def test_the_dictionary_names_every_column(sweep):
    text = (sweep / tidy.DICTIONARY).read_text(encoding="utf-8")
    for name, (_, columns) in tidy.FILES.items():
        section = text.split(f"## {name}")[1].split("\n## ")[0]
        assert all(f"| `{column}` | {meaning} |" in section for column, meaning, _ in columns)


def test_a_run_has_its_figures_and_where_it_comes_from(sweep):
    row = read(sweep, "runs.csv")[0]
    assert row["run"] == "swarm-n3-10485760B-100M-r1"
    assert (row["fanout_version"], row["machine"], row["kernel"], row["seed"], row["command"]) == (
        "abc1234", "labhost", "6.1", "7", "sweep.py --x")
    assert row["link_mbit_per_second"] == "100" and row["machine_busy_percent"] == "40"
    assert float(row["mean_ratio"]) == pytest.approx(float(row["mean_seconds"]) / float(row["mean_bound_seconds"]))


def test_a_failed_run_is_a_row_without_figures(sweep):
    row = read(sweep, "runs.csv")[2]
    assert (row["status"], row["error"], row["distribution_seconds"]) == ("failed", "network: no bridge", "")


def test_links_without_a_rate_leave_rate_and_bounds_empty(sweep):
    row = read(sweep, "runs.csv")[3]
    assert row["link_mbit_per_second"] == row["bound_seconds"] == row["distribution_ratio"] == row["mean_ratio"] == ""


def test_a_line_a_host_with_its_counters(sweep):
    rows = read(sweep, "hosts.csv")[:5]
    assert [(r["host"], r["role"]) for r in rows] == [
        ("h1", "origin"), ("tracker", "tracker"), ("h2", "peer"), ("h3", "peer"), ("h4", "peer")]
    for column in ("received_bytes", "sent_bytes", "cpu_seconds", "host_retransmitted_segments"):
        assert all(r[column] for r in rows)


def test_the_summary_says_how_it_compares_with_direct(tmp_path):
    for r in (record(point("direct"), seconds=2.0), record(point("swarm"), seconds=1.0), record(point("swarm", 4))):
        results.append(tmp_path, r)
    results.write(tmp_path, {})
    rows = read(tmp_path, "summary.csv")
    assert [(r["direct_ratio"], r["direct_measured"]) for r in rows[:2]] == [("1", "1"), ("0.5", "1")]
    assert rows[2]["direct_measured"] == "0" and 0 < float(rows[2]["direct_ratio"]) < 1


def test_links_that_differ_and_when_the_fastest_had_the_file(tmp_path):
    results.append(tmp_path, record(point(peers=3, links=(100.0, 100.0, 5.0))))
    results.write(tmp_path, {})
    row, = read(tmp_path, "runs.csv")
    summary, = read(tmp_path, "summary.csv")
    assert row["links_mbit_per_second"] == "100x2,5x1" and row["uplinks_mbit_per_second"] == ""
    assert 0 < float(row["fast_seconds"]) == float(summary["fast_seconds"])


def test_every_origin_has_a_line(tmp_path):
    second = {"host": "o2", **synthetic.traffic(0, 1 << 20)}
    results.append(tmp_path, record(point(peers=1, origins=(40.0, 40.0)), more_origins=[second]))
    results.write(tmp_path, {})
    assert read(tmp_path, "runs.csv")[0]["origins_mbit_per_second"] == "40x2"
    assert [(r["host"], r["role"]) for r in read(tmp_path, "hosts.csv")] == [
        ("h1", "origin"), ("o2", "origin"), ("tracker", "tracker"), ("h2", "peer")]


def test_hostile_members_and_the_liars_of_earlier_versions(tmp_path):
    new = record(point(peers=1, hostile=units.Hostile("mute", 3)),
                 hostile=[{"host": "x1", "deeds": 6, **synthetic.traffic(0, 1)}])
    old = record(point(peers=1), 2, liars=[{"host": "x1", "lies": 2, **synthetic.traffic(0, 1)}])
    old["point"].pop("hostile")
    old["point"]["corrupt"] = 1
    for r in (new, old):
        results.append(tmp_path, r)
    results.write(tmp_path, {})
    assert [(r["hostile"], r["hostile_deeds"]) for r in read(tmp_path, "runs.csv")] == [("mute:3", "6"), ("liar:1", "")]
    assert [r["host"] for r in read(tmp_path, "hosts.csv") if r["role"] == "hostile"] == ["x1", "x1"]


def test_a_seeder_has_a_line(tmp_path):
    results.append(tmp_path, record(point(peers=1, seeder=5.0), seeder={"host": "seeder", **synthetic.traffic(0, 1)}))
    results.write(tmp_path, {})
    assert read(tmp_path, "runs.csv")[0]["seeder_mbit_per_second"] == "5"
    assert [(r["host"], r["role"]) for r in read(tmp_path, "hosts.csv")][-1] == ("seeder", "seeder")


def test_killed_and_late_peers_say_when_and_at_which_share(tmp_path):
    synthetic.sweep(tmp_path, synthetic.kill()[:1] + synthetic.join()[:1], repeat=1)
    results.write(tmp_path, {})
    rows = read(tmp_path, "peers.csv")
    assert rows[0]["role"] == "killed" and rows[0]["killed_at_percent"] == "50" and rows[0]["verified"] == "0"
    late = [r for r in rows if r["role"] == "late"]
    assert late and all(r["joined_at_percent"] == "50" and float(r["started_seconds"]) > 0 for r in late)


def test_pandas_reads_and_joins_them(sweep):
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    runs, peers, hosts = (pd.read_csv(sweep / f"{n}.csv") for n in ("runs", "peers", "hosts"))
    assert runs["run"].is_unique
    joined = peers.merge(runs)  # on all columns of the same name
    assert len(joined) == len(peers) and (joined["driver_seconds"] <= joined["distribution_seconds"] + 1e-6).all()
    only = peers.merge(runs[["run", "mean_seconds"]], on="run")
    assert only.groupby("run")["driver_seconds"].mean().values == pytest.approx(
        only.groupby("run")["mean_seconds"].first().values)
    assert set(hosts["run"]) == set(peers["run"])
