"""Draws single figures, as PNG and SVG. Knows lines, panels, curves and maps; not what a sweep is.

Nothing hides anything: legends stand below the axes; markers are drawn whole at the edges; a line that
another covers is wider than it. Axes are linear. Colours are Okabe and Ito's, which the colour-blind can
tell apart; markers and dashes say the same again. A hollow marker is a point whose runs were all disturbed.
"""

import os
import textwrap
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from . import stats, units
from .stats import Row, Stat

Style = Tuple[str, str, Any]
STYLE: Dict[str, Style] = {  # colour, marker, dashes
    "direct": ("#D55E00", "s", "-"),
    "static-one": ("#8C6D00", "P", (0, (6, 1.5))),
    "static": ("#E69F00", "^", "-"),
    "swarm": ("#0072B2", "o", "-"),
    "nginx": ("#CC79A7", "D", "--"),
    "aria2": ("#009E73", "v", "-."),
    "libtorrent": ("#56B4E9", ">", (0, (4, 1.5, 1, 1.5, 1, 1.5))),
}
OWN: Sequence[Style] = (("#7A3E9D", "*", "-"), ("#4D4D4D", "X", "--"), ("#B00020", "h", "-."), ("#5B8C00", "p", ":"))
BOUND: Dict[str, Tuple[str, Any]] = {"client-server": ("#000000", (0, (1, 1.5))), "p2p": ("#000000", (0, (5, 2))),
                                     "mean": ("#777777", (0, (3, 1.5, 1, 1.5)))}
SIZE, DPI = (9.0, 4.6), 130
HEAD = 0.78           # inches, for title and subtitle
LEGEND_ROW = 0.29     # inches
HATCH = "//"
NAMED = 16            # curves that get a name each; more are told apart by a colour bar
SETTINGS = {"font.size": 15, "axes.titlesize": 15, "axes.grid": True, "grid.alpha": 0.3, "legend.fontsize": 13,
            "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "fanout", "axes.axisbelow": True}


class Rival(NamedTuple):
    """A strategy's distribution time at a point of the map, with its interval: as a multiple of the bound or,
    without a rate, in seconds."""
    system: str
    figure: float
    low: float
    high: float
    disturbed: bool  # all its runs
    few: bool        # its undisturbed runs, fewer than stats.FEW


class Line:
    """Rows of one system, or of one kind of bound, along the axis."""

    def __init__(self, rows: Sequence[Row], field: str, label: str, bound: str = "", pale: bool = False,
                 own: bool = False):
        self.rows = [r for r in rows if self.value(r, field).median is not None]
        self.field, self.label, self.bound, self.pale = field, label, bound, pale
        self.own = own  # a bound of this system alone, in its colour

    @staticmethod
    def value(row: Row, field: str) -> Stat:
        found: Stat = getattr(row, field)
        return found

    def values(self) -> List[float]:
        """All that must be visible, whiskers too."""
        found = [v for r in self.rows for s in (self.value(r, self.field),) for v in (s.low, s.median, s.high)]
        return [v for v in found if v is not None]


class Axis:
    """The horizontal axis: hosts as in the report, or peers. A sweep with one number of peers only has its
    systems there instead."""

    def __init__(self, rows: Sequence[Row], what: str):
        self.single = len({r.point.peers for r in rows}) == 1
        groups = stats.grouped(rows)
        self._names = {(g[0].system, g[0].point.scenario()): g[0].title + (
            f"\n{g[0].point.scenario()}" if len({r.point.scenario() for r in rows}) > 1 else "") for g in groups}
        self._place = {k: i for i, k in enumerate(self._names)}
        self.add = 1 if what == "hosts" else 0
        self.label = "hosts (the origin among them)" if self.add else "peers N (beside the origin)"
        self.values = sorted({r.point.peers + self.add for r in rows})
        others = {name: own_style(i) for i, name in enumerate(
            s for s in dict.fromkeys(r.system for r in rows) if s not in STYLE)}
        self.styles = {**STYLE, **others}

    def x(self, row: Row) -> float:
        return self._place[row.system, row.point.scenario()] if self.single else row.point.peers + self.add

    def apply(self, ax: Any, short: bool = False) -> None:
        if self.single:
            ax.set_xticks(range(len(self._names)))
            ax.set_xticklabels([wrapped(n, max(9, 72 // len(self._names))) for n in self._names.values()], fontsize=11)
            ax.set_xlim(-0.6, len(self._names) - 0.4)
            n = self.values[0]
            ax.set_xlabel(units.counted(n, "host" if self.add else "peer"))
            return
        shown = thinned(self.values, 7 if short else 14)
        ax.set_xticks(shown)
        ax.set_xticklabels([str(v) for v in shown])
        ax.set_xlabel(self.label.split(" (")[0] if short else self.label)


def own_style(i: int) -> Style:
    """How a user's i-th system looks: other colours than ours and, once they are used up, other markers. Pure."""
    other = OWN[(i + i // len(OWN)) % len(OWN)]
    return OWN[i % len(OWN)][0], other[1], other[2]


def thinned(values: Sequence[int], most: int) -> List[int]:
    """As many of the ticks as there is room for, the first and the last among them. Pure."""
    least = (values[-1] - values[0]) / most / 1.5
    shown = [values[-1]]
    for v in reversed(values[:-1]):
        if shown[-1] - v >= least:
            shown.append(v)
    if len(values) > 1 and shown[-1] != values[0]:
        shown = [v for v in shown if v - values[0] >= least] + [values[0]]
    return shown[::-1]


def wrapped(text: str, width: int) -> str:
    return "\n".join(part for line in text.split("\n") for part in textwrap.wrap(line, width))


class Page:
    """Draws and saves one figure after another."""

    def __init__(self, directory: str):
        os.environ["MPLBACKEND"] = "Agg"
        import matplotlib
        import matplotlib.pyplot as plt
        matplotlib.rcdefaults()  # a matplotlibrc of the user's, or of the directory's, is for other figures
        plt.rcParams.update(SETTINGS)
        self._dir, self._plt = directory, plt
        self._sub = self._suffix = self._title = ""
        self.files: List[str] = []

    def begin(self, subtitle: str, suffix: str) -> None:
        """The subtitle, and the end of the file names, of all figures from now on."""
        self._sub, self._suffix = subtitle, suffix

    def _figure(self, title: str, ncols: int = 1, nrows: int = 1, panel: Tuple[float, float] = SIZE) -> Tuple[Any, Any]:
        fig, axes = self._plt.subplots(nrows, ncols, figsize=(panel[0] * ncols, panel[1] * nrows), dpi=DPI,
                                       squeeze=False)
        self._title = title
        return fig, axes

    def _save(self, fig: Any, name: str, handles: Sequence[Any] = (), subtitle: str = "") -> None:
        """Makes room above for the title and below for the legend, where they hide nothing."""
        width, height = fig.get_size_inches()
        labels = [h.get_label() for h in handles]
        below = 0.0
        if handles:
            columns = max(1, min(len(labels), int((width - 0.3) / (0.094 * max(map(len, labels)) + 0.85))))
            below = -(-len(labels) // columns) * LEGEND_ROW + 0.08
            fig.legend(handles, labels, loc="lower center", ncol=columns, frameon=False, columnspacing=1.4,
                       handlelength=2.8)
        title = wrapped(self._title, int((width - 0.3) / 0.15)).split("\n")
        sub = wrapped(subtitle or self._sub, int((width - 0.3) / 0.094)).split("\n")
        head = HEAD + 0.30 * (len(title) - 1) + 0.22 * (len(sub) - 1)
        height += head + below
        fig.set_size_inches(width, height)
        for i, text in enumerate(title):
            fig.text(0.13 / width, 1 - (0.28 + 0.30 * i) / height, text, fontsize=17, fontweight="bold", va="center")
        for i, text in enumerate(reversed(sub)):
            fig.text(0.13 / width, 1 - (head - 0.18 - 0.22 * i) / height, text, fontsize=12, color="#555555",
                     va="center")
        fig.tight_layout(rect=(0, below / height, 1, 1 - head / height))
        for kind in ("png", "svg"):
            path = os.path.join(self._dir, f"{name}{self._suffix}.{kind}")
            fig.savefig(path, metadata={"Date": None} if kind == "svg" else None)
            self.files.append(path)
        self._plt.close(fig)

    def lines(self, title: str, name: str, axis: Axis, panels: Sequence[Sequence[Line]], label: str,
              floor: Optional[Tuple[float, str]] = None) -> None:
        """A figure of one panel or two: the second shows some of the first's lines on a scale of their own."""
        wide = len(panels) > 1
        fig, axes = self._figure(title, len(panels), 1, (6.4, 4.0) if wide else SIZE)
        handles: Dict[str, Any] = {}
        for ax, chosen in zip(axes[0], panels):
            shown = [line for line in chosen if line.rows]
            if not shown:
                self._plt.close(fig)
                return
            for line, handle in zip(shown, plot(ax, axis, shown)):
                if line.bound or not axis.single:  # where systems are along the axis, they have their names there
                    handles.setdefault(handle.get_label(), handle)
            top = max(v for line in shown for v in line.values())
            if floor:
                handles.setdefault(floor[1], ax.axhline(floor[0], color="#000000", linestyle=(0, (5, 2)), linewidth=1.5,
                                                        label=floor[1]))
                top = max(top, floor[0])
            ax.set_ylim(0, top * 1.08 or 1.0)
            ax.set_ylabel(label)
            axis.apply(ax, short=wide)
        if wide:
            axes[0][0].set_title("all")
            axes[0][1].set_title("peer-to-peer alone (another scale)")
        if any(line.bound == "" and r.disturbed for p in panels for line in p for r in line.rows):
            handles["hollow"] = hollow(self._plt)
        self._save(fig, name, list(handles.values()))

    def grid(self, title: str, name: str, axis: Axis, panels: Sequence[Tuple[str, Sequence[Line]]], label: str) -> None:
        """A panel per system, each on a scale of its own."""
        ncols = min(3, len(panels))
        fig, axes = self._figure(title, ncols, -(-len(panels) // ncols), (5.0, 3.7))
        handles: Dict[str, Any] = {}
        flat = [ax for line in axes for ax in line]
        for ax, (head, chosen) in zip(flat, panels):
            for handle in plot(ax, axis, chosen, colour="#333333"):
                handles.setdefault(handle.get_label(), handle)
            for line in (c for c in chosen if not c.bound):
                plot(ax, axis, [line])
            ax.set_ylim(0, max(v for line in chosen for v in line.values()) * 1.1)
            ax.set_title(wrapped(head, 44), fontsize=13)
            ax.set_ylabel(label)
            axis.apply(ax, short=True)
        for ax in flat[len(panels):]:
            ax.axis("off")
        self._save(fig, name, list(handles.values()))

    def curves(self, title: str, name: str, record: Dict[str, Any], seen: Dict[str, Any], size: int,
               subtitle: str) -> None:
        """What each peer had received, over time."""
        fig, axes = self._figure(title)
        ax = axes[0][0]
        peers = record["peers"]
        shades = self._plt.get_cmap("viridis")
        handles = []
        for i, peer in enumerate(peers):
            colour = shades(0.9 * i / max(1, len(peers) - 1))
            killed = peer.get("killed_at_seconds")
            points = [(t, 100 * b / size) for t, b in zip(seen["times"], seen["received"][peer["host"]])
                      if killed is None or t <= killed]
            line, = ax.plot(*zip(*points), color=colour, linewidth=1.6, alpha=0.9, label=named(peer))
            handles.append(line)
            if killed is not None:
                ax.plot(*points[-1], "X", color=colour, markersize=10, markeredgecolor="white", clip_on=False, zorder=6)
            if peer["verified"]:
                ax.plot(peer["started"] + peer["driver_seconds"], 100, "o", color=colour, markersize=7,
                        markeredgecolor="white", clip_on=False, zorder=5)
        if record["bound_seconds"]:
            handles.append(ax.axvline(record["bound_seconds"], color="#000000", linestyle=(0, (5, 2)), linewidth=1.5,
                                      label="bound of the last peer"))
        ax.axhline(100, color="#777777", linewidth=1)
        ax.set_xlim(left=0)
        ax.set_ylim(0, max(104.0, 1.04 * max(100 * max(seen["received"][p["host"]]) / size for p in peers)))
        ax.set_xlabel("seconds from the common start (dot: the whole file, under its final name)")
        ax.set_ylabel("payload received (% of the file)")
        if len(peers) > NAMED:
            self._colour_bar(fig, ax, peers)
            handles = [h for h, peer in zip(handles, peers) if peer["role"] != "peer"] + handles[len(peers):]
        self._save(fig, name, handles, subtitle)

    def _colour_bar(self, fig: Any, ax: Any, peers: Sequence[Dict[str, Any]]) -> None:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import ListedColormap, Normalize
        shades = self._plt.get_cmap("viridis")
        colours = ListedColormap([shades(0.9 * i / 255) for i in range(256)])
        bar = fig.colorbar(ScalarMappable(Normalize(0, len(peers) - 1), colours), ax=ax, pad=0.02)
        bar.set_ticks([0, len(peers) - 1])
        bar.set_ticklabels([peers[0]["host"], peers[-1]["host"]])

    def regimes(self, title: str, name: str, cells: Dict[Tuple[int, Optional[float], int], List[Rival]]) -> None:
        """A panel per size; in each cell, of peers and rate, the winner's colour, and each strategy's figure.

        Where the intervals of several meet, none of them is said to win, and all have their colours.
        """
        sizes = sorted({k[0] for k in cells})
        rates = sorted({k[1] for k in cells}, key=stats.link_order)
        peers = sorted({k[2] for k in cells})
        panel = (max(7.5, 1.35 * len(peers) + 1.2), 0.95 * len(rates) + 1.2)
        fig, axes = self._figure(title, 1, len(sizes), panel)
        for ax, size in zip([row[0] for row in axes], sizes):
            ax.grid(False)
            for y, rate in enumerate(rates):
                for x, n in enumerate(peers):
                    self._cell(ax, x, y, sorted(cells.get((size, rate, n), ()), key=lambda c: c.figure), rate)
            ax.set_xlim(-0.5, len(peers) - 0.5)
            ax.set_ylim(-0.5, len(rates) - 0.5)
            ax.set_xticks(range(len(peers)))
            ax.set_xticklabels([str(n) for n in peers])
            ax.set_yticks(range(len(rates)))
            ax.set_yticklabels(["none" if r is None else f"{r:g}" for r in rates])
            ax.set_xlabel("peers N")
            ax.set_ylabel("rate of the links (Mbit/s)")
            ax.set_title(units.human_size(size))
        patches = [self._plt.Rectangle((0, 0), 1, 1, facecolor=tint(STYLE[s][0]), label=f"{s} is fastest")
                   for s in STYLE if any(s == c.system for found in cells.values() for c in found)]
        if any(c.few for found in cells.values() for c in found):
            patches.append(self._plt.Rectangle((0, 0), 1, 1, facecolor="#cccccc", hatch=HATCH, edgecolor="white",
                                               linewidth=0, label=f"hatched: fewer than {stats.FEW} undisturbed runs"))
        if any(c.disturbed for found in cells.values() for c in found):
            patches.append(hollow(self._plt))
        self._save(fig, name, patches)

    def _cell(self, ax: Any, x: int, y: int, found: Sequence[Rival], rate: Optional[float]) -> None:
        if not found:
            return
        places = list(STYLE)
        winners = sorted((r for r in found if r.low <= found[0].high), key=lambda r: places.index(r.system))
        wide = 0.96 / len(winners)
        hatch = HATCH if any(r.few for r in found) else None
        for i, rival in enumerate(winners):
            ax.add_patch(self._plt.Rectangle((x - 0.48 + i * wide, y - 0.47), wide, 0.94,
                                             facecolor=tint(STYLE[rival.system][0]),
                                             hatch=hatch, edgecolor="white", linewidth=0))
        for i, rival in enumerate(found):
            wins = rival in winners
            figure = f"{rival.figure:.2f}" if rate is not None else short_time(rival.figure)
            ax.text(x, y + 0.29 - 0.27 * i, f"{rival.system} {figure}{' ○' if rival.disturbed else ''}",
                    ha="center", va="center", fontsize=11 if wins else 10, color="#000000" if wins else "#444444",
                    fontweight="bold" if wins else "normal")


def plot(ax: Any, axis: Axis, chosen: Sequence[Line], colour: str = "") -> List[Any]:
    """Draws lines; returns what a legend needs. Earlier ones are wider, so that later ones do not hide them."""
    handles, systems = [], [line for line in chosen if not line.bound]
    for line in chosen:
        xs = [axis.x(r) for r in line.rows]
        if line.bound:
            handles.append(draw_bound(ax, axis, line, xs))
        else:
            handles.append(draw_system(ax, axis, line, xs, systems.index(line), len(systems), colour))
    return handles


def draw_bound(ax: Any, axis: Axis, line: Line, xs: List[float]) -> Any:
    shade, dash = BOUND[line.bound]
    if line.own:
        shade = axis.styles[line.rows[0].system][0]
    points = sorted({(x, line.value(r, line.field).median) for x, r in zip(xs, line.rows)})
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    if axis.single:
        return ax.hlines(ys, [x - 0.3 for x in xs], [x + 0.3 for x in xs], color=shade, linestyle=dash, linewidth=1.8,
                         label=line.label, zorder=5)
    found, = ax.plot(xs, ys, color=shade, linestyle=dash, linewidth=1.8, label=line.label, zorder=5,
                     marker="_" if len(xs) == 1 else "")
    return found


def draw_system(ax: Any, axis: Axis, line: Line, xs: List[float], place: int, of: int, colour: str) -> Any:
    behind: float
    shade, marker, dash = axis.styles[line.rows[0].system]
    shade, behind = colour or shade, 0.6 if axis.single else of - 1 - place
    width, size = 1.8 + 1.1 * behind, 6.5 + 1.8 * behind
    if line.pale:
        dash, marker, width, size = ":", ".", 1.8, 8.0
    found = [line.value(r, line.field) for r in line.rows]
    ys = [s.median or 0.0 for s in found]
    err = [[y - (s.low or y) for y, s in zip(ys, found)], [(s.high or y) - y for y, s in zip(ys, found)]]
    if any(s.n > 1 for s in found):
        ax.errorbar(xs, ys, yerr=err, color=shade, linestyle="none", capsize=3 + behind, elinewidth=1.2, clip_on=False,
                    zorder=3 + 0.1 * place)
    ax.plot(xs, ys, color=shade, linestyle="none" if axis.single else dash, linewidth=width, marker=marker,
            markersize=size, clip_on=False, zorder=3 + 0.1 * place)
    empty = [(x, y) for x, y, r in zip(xs, ys, line.rows) if r.disturbed and not line.pale]
    if empty:
        ax.plot(*zip(*empty), marker=marker, color=shade, markerfacecolor="white", markeredgewidth=1.8,
                markersize=size, linestyle="none", clip_on=False, zorder=3.05 + 0.1 * place)
    return ax.plot([], [], color=shade, linestyle="none" if axis.single else dash, linewidth=width, marker=marker,
                   markersize=size, label=line.label)[0]


def hollow(plt: Any) -> Any:
    return plt.Line2D([], [], linestyle="none", marker="o", color="#555555", markerfacecolor="white",
                      markeredgewidth=1.8, label="hollow: processors disturbed all runs")


def named(peer: Dict[str, Any]) -> str:
    return str(peer["host"]) + {"late": " (late)", "killed": " (killed)"}.get(peer["role"], "")


def short_time(seconds: float) -> str:
    """1.284 -> '1.28 s', 0.0204 -> '20 ms': what fits into a cell of the map."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{1000 * seconds:.{0 if seconds >= 0.01 else 1}f} ms"


def tint(colour: str) -> Tuple[float, ...]:
    """A colour light enough to write on."""
    from matplotlib.colors import to_rgb
    return tuple(0.55 + 0.45 * c for c in to_rgb(colour))
