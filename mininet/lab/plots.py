"""The figures of a sweep, as PNG and SVG, from its results alone.

Colours are Okabe and Ito's, which the colour-blind can tell apart; markers and line styles
say the same again. A hollow marker is a point for which the machine ran out of CPU.
"""

import glob
import json
import os

from . import registry, results, units

STYLE = {  # colour, marker, line
    "direct": ("#D55E00", "s", "-"),
    "static": ("#E69F00", "^", "-"),
    "swarm": ("#0072B2", "o", "-"),
    "nginx": ("#CC79A7", "D", "--"),
    "aria2": ("#009E73", "v", "-."),
    "libtorrent": ("#56B4E9", ">", (0, (4, 1.5, 1, 1.5, 1, 1.5))),
}
BOUND = {"client-server": ("#777777", (0, (1, 1.5)), "bound of client/server"),
         "p2p": ("#000000", (0, (5, 2)), "bound of peer-to-peer")}
SIZE, DPI = (9, 5.6), 130


def draw(directory, config):
    """Draw everything there is data for; returns the names of the files."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    plt.rcParams.update({"font.size": 15, "axes.titlesize": 15, "axes.grid": True,
                         "grid.alpha": 0.3, "lines.linewidth": 2.2, "lines.markersize": 8,
                         "legend.fontsize": 13, "axes.spines.top": False,
                         "axes.spines.right": False, "svg.hashsalt": "fanout"})
    records = results.load(directory)
    rows = [r for r in results.rows(records, config) if r.ok]
    if not rows:
        return []
    axis = Axis(rows, config.get("axis", "peers"))
    page = Page(directory, plt, subtitle(rows))
    for kind, name, what in (("client-server", "mean-client-server", "Client/server"),
                             ("p2p", "mean-p2p", "Peer-to-peer")):
        chosen = [r for r in rows if r.kind == kind]
        if chosen and not axis.single:
            page.lines(f"{what}: mean transfer time", name, axis, chosen, "mean",
                       "mean transfer time (s)", bounds=True)
    page.lines("Client/server against peer-to-peer: distribution time", "client-server-vs-p2p",
               axis, rows, "distribution", "distribution time (s)", bounds=True)
    if not axis.single:
        page.panels("Mean and distribution time", "time-by-system", axis, rows)
    page.lines("Distance from the physical limit", "ratio", axis, rows, "ratio",
               "distribution time ÷ bound", floor=1.0)
    page.lines("What the origin had to send", "origin-upload", axis, rows, "origin",
               "bytes sent by the origin ÷ file size", floor=1.0)
    page.lines("CPU time of all daemons", "cpu", axis, rows, "cpu", "CPU seconds per GiB delivered",
               zero=True)
    for system in dict.fromkeys(r.system for r in rows):
        page.curves(directory, [r for r in rows if r.system == system])
    return page.files


def subtitle(rows):
    p = rows[0].point
    scenarios = sorted({r.point.scenario() for r in rows} - {""})
    n = max(len(r.ok) for r in rows)
    text = f"{units.human_size(p.size)}, links of {units.human_rate(p.bw)}"
    if scenarios:
        text += ", " + " / ".join(scenarios)
    return text + (f"; median of {n}, whiskers min–max" if n > 1 else "; one run")


class Axis:
    """The horizontal axis: hosts as in the report, or peers; doubling lists on a log scale.

    A sweep with one number of peers only has its systems there instead.
    """

    def __init__(self, rows, what):
        self.single = len({r.point.peers for r in rows}) == 1
        self._names = {(g[0].system, g[0].point.scenario()): name_of(g) for g in grouped(rows)}
        self._place = {k: i for i, k in enumerate(self._names)}
        self.add = 1 if what == "hosts" else 0
        self.label = ("hosts (the origin and N = hosts − 1 peers)" if self.add
                      else "peers N (beside the origin)")
        self.values = sorted({r.point.peers + self.add for r in rows})
        peers = [v - self.add for v in self.values]
        self.log = len(peers) > 2 and all(b >= 2 * a for a, b in zip(peers, peers[1:]))

    def x(self, row):
        if self.single:
            return self._place[row.system, row.point.scenario()]
        return row.point.peers + self.add

    def apply(self, ax):
        if self.single:
            ax.set_xticks(range(len(self._names)))
            ax.set_xticklabels(self._names.values())
            ax.set_xlim(-0.6, len(self._names) - 0.4)
            ax.set_xlabel(f"{self.values[0]} {'hosts' if self.add else 'peers'}")
            return
        if self.log:
            ax.set_xscale("log", base=2)
        ax.set_xticks(self.values)
        ax.set_xticklabels([str(v) for v in self.values])
        ax.minorticks_off()
        ax.set_xlabel(self.label)


class Page:
    """Draws and saves one figure after another."""

    def __init__(self, directory, plt, sub):
        self._dir, self._plt, self._sub = directory, plt, sub
        self.files = []

    def _figure(self, title, ncols=1, nrows=1):
        size = SIZE if ncols * nrows == 1 else (5 * ncols, 3.9 * nrows + 0.9)
        fig, axes = self._plt.subplots(nrows, ncols, figsize=size, dpi=DPI, squeeze=False)
        inch = 1 / size[1]
        fig.text(0.02, 1 - 0.30 * inch, title, fontsize=18, fontweight="bold", va="center")
        fig.text(0.02, 1 - 0.62 * inch, self._sub, fontsize=13, color="#555555", va="center")
        self._top = 1 - 0.78 * inch
        return fig, axes

    def _save(self, fig, name, legend=None):
        """legend: axes whose entries go below the figure, where they hide nothing."""
        bottom = 0.0
        if legend:
            handles, labels = legend_order(legend)
            ncol = min(3, len(labels))
            bottom = -(-len(labels) // ncol) * 0.27 / fig.get_size_inches()[1] + 0.01
            fig.legend(handles, labels, loc="lower center", ncol=ncol, frameon=False,
                       columnspacing=1.5, handlelength=2.6)
        fig.tight_layout(rect=(0, bottom, 1, self._top))
        for kind in ("png", "svg"):
            path = os.path.join(self._dir, f"{name}.{kind}")
            fig.savefig(path, metadata={"Date": None} if kind == "svg" else None)
            self.files.append(path)
        self._plt.close(fig)

    def lines(self, title, name, axis, rows, field, label, bounds=False, floor=None, zero=False):
        fig, axes = self._figure(title)
        ax = axes[0][0]
        shown = [v for v in (series(ax, axis, g, field) for g in grouped(rows)) if v]
        if not shown:
            self._plt.close(fig)
            return
        values = [v for vs in shown for v in vs]
        if bounds:
            values += bound_lines(ax, axis, rows)
        if floor is not None:
            ax.axhline(floor, color="#000000", linestyle=(0, (5, 2)), linewidth=1.5)
        if max(values) > 12 * min(values) and axis.log:
            ax.set_yscale("log")
            plain_log(ax, values)
        else:
            ax.set_ylim(bottom=0 if floor is None or zero else min(floor, min(values)) * 0.9)
            if floor is not None:
                ax.set_ylim(top=max(floor * 1.3, max(values) * 1.08))
        ax.set_ylabel(label)
        axis.apply(ax)
        hollow_note(ax, rows)
        self._save(fig, name, legend=ax)

    def panels(self, title, name, axis, rows):
        """A panel a system: its mean, its last peer, its bound."""
        groups = grouped(rows)
        ncols = min(3, len(groups))
        nrows = -(-len(groups) // ncols)
        fig, axes = self._figure(title, ncols, nrows)
        for i, group in enumerate(groups):
            ax = axes[i // ncols][i % ncols]
            values = series(ax, axis, group, "distribution", label="last peer")
            values += series(ax, axis, group, "mean", label="mean", pale=True)
            bound_lines(ax, axis, group, label="bound")
            ax.set_ylim(0, max(values) * 1.15)
            ax.set_title(name_of(group), color=STYLE.get(group[0].system, ("k",))[0])
            ax.set_ylabel("seconds")
            axis.apply(ax)
            ax.set_xlabel(axis.label.split(" (")[0])
            if len(axis.values) > 8:
                ax.set_xticks(axis.values[::2])
                ax.set_xticklabels([str(v) for v in axis.values[::2]])
            ax.legend(frameon=False, fontsize=12, loc="best")
        for i in range(len(groups), ncols * nrows):
            axes[i // ncols][i % ncols].axis("off")
        self._save(fig, name)

    def curves(self, directory, rows):
        """What each peer has over time, in the most typical run with the most peers."""
        row = max(rows, key=lambda r: r.point.peers)
        record = min(row.ok, key=lambda r: abs(r["distribution_seconds"] - row.distribution.median))
        paths = glob.glob(os.path.join(directory, "curves", glob.escape(record["key"]) + ".json"))
        if not paths:
            return
        with open(paths[0], encoding="ascii") as f:
            curves = json.load(f)
        fig, axes = self._figure(f"{registry.systems()[row.system].title}: every peer over time")
        ax = axes[0][0]
        shades = self._plt.get_cmap("viridis")
        n = len(record["peers"])
        for i, peer in enumerate(record["peers"]):
            colour = shades(0.9 * i / max(1, n - 1))
            share = [100 * b / row.point.size for b in curves["received"][peer["host"]]]
            ax.plot(curves["times"], share, color=colour, linewidth=1.6, alpha=0.9,
                    label=peer["host"] + {"late": " (late)", "killed": " (killed)"}.get(peer["role"], ""))
            if peer["verified"]:
                ax.plot(peer["started"] + peer["driver_seconds"], 100, "o", color=colour, markersize=6,
                        markeredgecolor="white", clip_on=False, zorder=5)
        ax.axvline(record["bound_seconds"], color="#000000", linestyle=(0, (5, 2)), linewidth=1.5)
        ax.annotate(" bound", (record["bound_seconds"], 3), fontsize=12)
        ax.axhline(100, color="#777777", linewidth=1)
        ax.set_xlim(left=0)
        ax.set_ylim(bottom=0)
        ax.set_xlabel("seconds from the common start (dot: verified and renamed)")
        ax.set_ylabel("payload received (% of the file)")
        if n <= 16:
            ax.legend(frameon=False, fontsize=10, ncol=1 if n <= 10 else 2, loc="lower right")
        self._save(fig, f"curves-{row.system}")


def grouped(rows):
    """Rows by system and scenario, in table order."""
    groups = {}
    for r in rows:
        groups.setdefault((r.system, r.point.scenario()), []).append(r)
    several = len({s for _, s in groups}) > 1
    out = list(groups.values())
    for g in out:
        g.sort(key=lambda r: r.point.peers)
        for r in g:
            r.several = several
    return out


def name_of(group):
    title = registry.systems()[group[0].system].title
    scenario = group[0].point.scenario()
    return f"{title}, {scenario}" if getattr(group[0], "several", False) and scenario else title


def series(ax, axis, group, field, label=None, pale=False):
    """One line with whiskers; returns the values drawn."""
    rows = [r for r in group if getattr(r, field).median is not None]
    if not rows:
        return []
    colour, marker, line = STYLE.get(group[0].system, ("#000000", "x", "-"))
    stats = [getattr(r, field) for r in rows]
    xs, ys = [axis.x(r) for r in rows], [s.median for s in stats]
    err = [[s.median - s.low for s in stats], [s.high - s.median for s in stats]]
    alpha = 0.55 if pale else 1.0
    ax.errorbar(xs, ys, yerr=err, color=colour, linestyle=":" if pale else line, capsize=3,
                elinewidth=1.2, alpha=alpha, label=label or name_of(group), zorder=3,
                marker="." if pale else marker)
    for x, y, r in zip(xs, ys, rows):
        if r.disturbed and not pale:
            ax.plot(x, y, marker=marker, color=colour, markerfacecolor="white",
                    markeredgewidth=1.8, linestyle="none", zorder=4)
    return ys


def bound_lines(ax, axis, rows, label=None):
    """A line for every kind of bound among the rows; returns its values."""
    drawn = []
    for kind, (colour, dash, text) in BOUND.items():
        points = sorted({(axis.x(r), r.bound.median) for r in rows if r.kind == kind})
        if not points:
            continue
        xs, ys = zip(*points)
        if axis.single:
            ax.hlines(ys, [x - 0.25 for x in xs], [x + 0.25 for x in xs], color=colour,
                      linestyle=dash, linewidth=1.8, label=label or text, zorder=2)
        else:
            ax.plot(xs, ys, color=colour, linestyle=dash, linewidth=1.8, label=label or text, zorder=2)
        drawn += ys
    return drawn


def plain_log(ax, values):
    """Numbers instead of powers of ten on a logarithmic axis."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter
    ticks = [m * 10 ** e for e in range(-3, 6) for m in (1, 2, 5)]
    low, high = min(values) * 0.8, max(values) * 1.25
    ax.set_ylim(low, high)
    ax.yaxis.set_major_locator(FixedLocator([t for t in ticks if low <= t <= high]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def legend_order(ax):
    """Systems first, then bounds and notes."""
    pairs = list(zip(*ax.get_legend_handles_labels()))
    pairs.sort(key=lambda p: p[1].startswith(("bound", "hollow")))
    return [h for h, _ in pairs], [label for _, label in pairs]


def hollow_note(ax, rows):
    if any(r.disturbed for r in rows):
        ax.plot([], [], "o", color="#555555", markerfacecolor="white", markeredgewidth=1.8,
                label="hollow: out of CPU")
