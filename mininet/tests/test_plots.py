"""The figures: what they show, that nothing hides anything, and that axes say what they are."""

import json
import os
import subprocess
import sys

import pytest
import synthetic

from lab import REPO, figures, plots, results, stats, units

BUSY = "processors 99 % busy"


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draws a made-up sweep; returns {name: figure}."""
    def draw(points, **how):
        found = {}
        save = figures.Page._save

        def keep(page, fig, name, *rest):
            save(page, fig, name, *rest)
            found[name + page._suffix] = fig
        monkeypatch.setattr(figures.Page, "_save", keep)
        config = synthetic.sweep(str(tmp_path), points, **how)
        files = plots.draw(str(tmp_path), config)
        assert {os.path.basename(f) for f in files} == {f"{n}.{kind}" for n in found for kind in ("png", "svg")}
        assert all(os.path.getsize(f) > 2000 for f in files)
        return found
    return draw


def panels(fig):
    return [ax for ax in fig.axes if ax.axison and ax.get_label() != "<colorbar>"]


def ys(ax, label):
    """The values of the line that the legend calls so, wherever it is drawn."""
    return {round(y, 9) for line in ax.lines if line.get_label() == label for y in line.get_ydata()}


def names(fig):
    return [text.get_text() for legend in fig.legends for text in legend.get_texts()]


SWEEPS = {
    "report": dict(points=synthetic.report(), axis="hosts", repeat=2),
    "rivals": dict(points=synthetic.rivals(), repeat=2),
    "coinciding": dict(points=synthetic.coinciding(), axis="hosts", repeat=2),
    "single": dict(points=synthetic.single(), repeat=2),
    "kill": dict(points=synthetic.kill(), repeat=2),
    "join": dict(points=synthetic.join(), repeat=2),
    "hundred": dict(points=[synthetic.point("swarm", 100)], repeat=1),
    "much at once": dict(points=[synthetic.point(s, 8, uplinks=(100.0,) * 4 + (20.0,) * 4, kill=units.Event(1, 0.5),
                                                 join=units.Event(2, 0.5), delay_ms=20.0, loss=0.1, cc="cubic")
                                 for s in ("swarm", "aria2")], repeat=2),
    "few": dict(points=[synthetic.point(s, n) for n in (1, 2, 4) for s in ("direct", "swarm")], repeat=2),
    "one peer": dict(points=[synthetic.point("swarm", 1)], repeat=1),
    "regimes": dict(points=synthetic.regimes(), repeat=2),
}


@pytest.mark.parametrize("what", SWEEPS)
def test_nothing_hides_anything_and_axes_say_what_they_are(drawn, what):
    for name, fig in drawn(**SWEEPS[what]).items():
        fig.canvas.draw()
        boxes = [ax.get_tightbbox() for ax in panels(fig)]
        for legend in fig.legends:
            box = legend.get_window_extent()
            assert box.x0 >= 0 and box.x1 <= fig.bbox.x1, f"{name}: the legend is cut"
            assert not any(box.overlaps(b) for b in boxes), f"{name}: the legend lies on the axes"
        heads = [t.get_window_extent() for t in fig.texts]
        assert all(h.x1 <= fig.bbox.x1 and h.y1 <= fig.bbox.y1 for h in heads), f"{name}: the title is cut"
        assert heads and not any(h.overlaps(b) for h in heads for b in boxes), f"{name}: the title lies on the axes"
        for ax in panels(fig):
            assert not ax.get_legend()
            for scale, label in ((ax.get_xscale(), ax.get_xlabel()), (ax.get_yscale(), ax.get_ylabel())):
                assert label and (scale == "linear" or "log" in label), f"{name}: {label!r} is {scale}"
            left, right = ax.get_xlim()
            bottom, top = ax.get_ylim()
            for line in ax.lines:
                if line.get_marker() not in ("None", None, ""):
                    assert not line.get_clip_on() or len(line.get_ydata()) == 0 or line.get_marker() == "_", name
                for x, y in zip(line.get_xdata(), line.get_ydata()):
                    if line.get_transform() == ax.transData:
                        assert left <= x <= right and bottom <= y <= top, f"{name}: {x}, {y} is not to be seen"
        assert "1 peers" not in str([t.get_text() for t in fig.findobj(lambda a: hasattr(a, "get_text"))])


def test_a_mean_has_the_bound_of_means(drawn):
    found = drawn(**SWEEPS["report"])
    points = {p.peers: p for p in synthetic.report((100.0,)) if p.system == "direct"}
    for name, label, of in (("mean-client-server-100M", "bound of the mean of client/server", "mean_bound"),
                            ("client-server-vs-p2p-100M", "bound of client/server", "bound")):
        want = {round(getattr(stats.Row([synthetic.record(p)]), of).median, 9) for p in points.values()}
        assert ys(panels(found[name])[0], label) == want
    first = panels(found["mean-client-server-100M"])[0]
    assert not ys(first, "bound of client/server")
    assert "bound of the mean of client/server" not in names(found["client-server-vs-p2p-100M"])


def test_a_latecomers_mean_has_no_bound(drawn):
    found = drawn([synthetic.point("swarm", n, join=units.Event(1, 0.5)) for n in (4, 8)], repeat=2)
    assert names(found["mean-p2p"]) == ["fanout swarm"]


def test_the_reports_three_figures_for_both_links(drawn):
    found = drawn(**SWEEPS["report"])
    for link in ("100M", "no-rate"):
        for name in ("mean-client-server", "mean-p2p", "means"):
            assert f"{name}-{link}" in found
    both = found["means-100M"]
    assert {"fanout direct", "fanout static, one chunk per peer", "fanout swarm"} <= set(names(both))
    assert len(panels(both)) == 2 and "another scale" in panels(both)[1].get_title()
    assert not [n for n in names(found["means-no-rate"]) if "bound" in n]
    assert "ratio-no-rate" not in found
    assert panels(both)[0].get_xlabel() == "hosts"


def test_a_line_that_another_covers_is_wider(drawn):
    ax = panels(drawn(**SWEEPS["coinciding"])["client-server-vs-p2p"])[0]
    widths = [line.get_linewidth() for line in ax.lines if line.get_label().startswith(("fanout", "my", "other"))]
    assert widths == sorted(widths, reverse=True) and len(set(widths)) == 5


def test_every_system_looks_different(drawn):
    ax = panels(drawn(**SWEEPS["coinciding"])["ratio"])[0]
    looks = {(line.get_color(), line.get_marker()) for line in ax.lines if line.get_label() in (
        "fanout direct", "fanout static", "fanout swarm", "my-program", "other")}
    assert len({c for c, _ in looks}) == len({m for _, m in looks}) == 5


def test_many_curves_have_a_colour_bar_and_few_have_names(drawn):
    found = drawn(**SWEEPS["hundred"])["curves-swarm"]
    assert len(found.axes) == 2 and names(found) == ["bound of the last peer"]


def test_thirteen_curves_have_names(drawn):
    found = drawn(**SWEEPS["report"])["curves-swarm-100M"]
    assert names(found) == [f"h{i}" for i in range(2, 15)] + ["bound of the last peer"]


def test_curves_are_of_one_run_and_say_which(drawn):
    found = drawn(**SWEEPS["few"])
    texts = [t.get_text() for t in found["curves-swarm"].texts]
    assert any(", the most typical" in t for t in texts) and not any("median" in t for t in texts)


def test_bounds_that_differ_by_system_are_lines_of_their_own(drawn):
    found = drawn([synthetic.point(s, n, join=units.Event(1, 0.5)) for s in ("swarm", "aria2") for n in (4, 8)],
                  repeat=2)["distribution"]
    bounds = [line for line in panels(found)[0].lines if line.get_label().startswith("bound")]
    assert [line.get_label() for line in bounds] == ["bound of fanout swarm", "bound of aria2"]
    assert all(list(line.get_xdata()) == [4, 8] for line in bounds)  # one value for each number of peers
    assert [line.get_color() for line in bounds] == [figures.STYLE[s][0] for s in ("swarm", "aria2")]


def test_a_users_systems_look_like_no_other():
    looks = [figures.own_style(i) for i in range(12)]
    assert len({look[:2] for look in looks}) == 12 and len({look[0] for look in looks[:4]}) == 4
    known = list(figures.STYLE.values())
    assert not {c for c, _, _ in looks} & {c for c, _, _ in known}
    assert not {m for _, m, _ in looks} & {m for _, m, _ in known}


def test_a_point_of_which_all_runs_were_disturbed_is_hollow(drawn):
    found = drawn(**SWEEPS["few"], exhausted=lambda p, r: "processors 99 % busy" if p.peers == 4 else None)["ratio"]
    hollow = [line for line in panels(found)[0].lines if line.get_markerfacecolor() == "white"]
    assert {tuple(line.get_xdata()) for line in hollow} == {(4,)} and len(hollow) == 2
    assert "hollow: processors disturbed all runs" in names(found)


@pytest.mark.parametrize("values, most, want", [
    (range(2, 15), 14, list(range(2, 15))), ([1, 2, 4], 7, [1, 2, 4]), ([1, 2, 4, 8, 16, 32], 7, [1, 4, 8, 16, 32]),
    ([5], 7, [5]), ([1, 100], 7, [1, 100])])
def test_ticks_do_not_touch_and_the_ends_have_theirs(values, most, want):
    assert figures.thinned(list(values), most) == want


def test_the_map_of_regimes(drawn):
    found = drawn(**SWEEPS["regimes"])
    assert set(found) == {"regimes"}
    fig = found["regimes"]
    assert [ax.get_title() for ax in panels(fig)] == ["1 MiB", "4 MiB", "64 MiB"]
    assert panels(fig)[0].get_ylabel() == "rate of the links (Mbit/s)"
    cells = [t.get_text() for t in panels(fig)[2].texts]
    seconds = [c for c in cells if c.endswith("s")]
    assert len(seconds) == 3 * 5  # the links without a rate, which have no bound
    for ax in panels(fig):
        cell = ax.transData.transform([(0, 0), (0.96, 0)])
        assert all(t.get_window_extent().width < cell[1][0] - cell[0][0] for t in ax.texts)
    assert any("without a rate, distribution time" in t.get_text() for t in fig.texts)
    assert len(cells) == 3 * 4 * 5 and any(c.startswith("direct 15.") or c.startswith("direct 16.") for c in cells)


def test_a_winner_within_the_others_interval_is_none(tmp_path, monkeypatch):
    page = figures.Page(str(tmp_path))
    page.begin("", "")
    kept = []
    monkeypatch.setattr(figures.Page, "_save", lambda page, fig, *rest: kept.append(fig))
    page.regimes("t", "map", {(1 << 20, 5.0, n): rivals for n, rivals in (
        (2, [figures.Rival("swarm", 1.1, 1.0, 1.3, False, False),
             figures.Rival("static", 1.2, 1.15, 1.4, False, False)]),
        (4, [figures.Rival("swarm", 1.1, 1.0, 1.12, False, False),
             figures.Rival("static", 1.2, 1.15, 1.4, True, False)]))})
    left, right, clear = [tuple(p.get_facecolor()[:3]) for p in kept[0].axes[0].patches]
    swarm, static = (figures.tint(figures.STYLE[s][0]) for s in ("swarm", "static"))
    assert left == pytest.approx(static) and right == pytest.approx(swarm) and clear == pytest.approx(swarm)
    assert "static 1.20 ○" in [t.get_text() for t in kept[0].axes[0].texts]
    page._plt.close(kept[0])


@pytest.mark.parametrize("repeat, exhausted, hatched", [(2, 0, True), (3, 0, False), (4, 1, False), (4, 2, True)])
def test_few_runs_are_no_clear_winner(drawn, repeat, exhausted, hatched):
    points = [synthetic.point(s, n, 1 << 20, bw)
              for bw in (5.0, 20.0, 100.0) for n in (2, 4) for s in ("static", "swarm")]
    fig = drawn(points, repeat=repeat, exhausted=lambda p, r: BUSY if r <= exhausted else None)["regimes"]
    assert {bool(p.get_hatch()) for p in panels(fig)[0].patches} == {hatched}
    assert ("hatched: fewer than 3 undisturbed runs" in names(fig)) == hatched


def test_curves_cut_short_are_left_out(tmp_path):
    config = synthetic.sweep(str(tmp_path), [synthetic.point("swarm", 2)], repeat=1)
    for text in ('{"times": [0', "[]", '{"times": [], "received": {}}'):
        for name in os.listdir(tmp_path / "curves"):
            (tmp_path / "curves" / name).write_text(text)
        assert not [f for f in plots.draw(str(tmp_path), config) if "curves-" in os.path.basename(f)]


def test_figures_of_runs_that_are_gone_go_too(tmp_path):
    config = synthetic.sweep(str(tmp_path), [synthetic.point("swarm", 2)], repeat=1)
    (tmp_path / "mine.png").touch()
    assert plots.draw(str(tmp_path), config)
    (tmp_path / results.RESULTS).unlink()
    assert plots.draw(str(tmp_path), config) == []
    assert [f.name for f in tmp_path.glob("*.*g")] == ["mine.png"]


def test_a_users_settings_of_matplotlib_are_not_ours(tmp_path):
    config = synthetic.sweep(str(tmp_path), [synthetic.point("swarm", 2)], repeat=1)
    (tmp_path / results.CONFIG).write_text(json.dumps(config))
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nsavefig.dpi: 10\n")
    done = subprocess.run([sys.executable, os.path.join(REPO, "mininet", "sweep.py"), "plot", "."], cwd=tmp_path,
                          text=True, capture_output=True, check=False, env={**os.environ, "MPLBACKEND": "nosuch"})
    assert done.returncode == 0, done.stderr
    assert os.path.getsize(tmp_path / "ratio.png") > 10_000
