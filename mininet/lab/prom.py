"""A real Prometheus beside the sweep, and the driver's own metrics for it to scrape."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Dict, List, Tuple

from .procs import tail, which

PORT = 9090
INTERVAL = 1.0
CONFIG = """\
# Written by mininet/sweep.py. Every daemon is found at the tracker (GET /v1/sd).
global:
  scrape_interval: {interval}
  scrape_timeout: {interval}
  evaluation_interval: {interval}
  external_labels: {{lab: mininet}}
scrape_configs:
  - job_name: lab
    static_configs: [{{targets: ['{driver}']}}]
  - job_name: fanout
    http_sd_configs:
      - url: {sd}
        refresh_interval: {interval}
"""


def config(sd_url: str, driver: str, interval: float = INTERVAL) -> str:
    return CONFIG.format(interval=f"{interval * 1000:.0f}ms", sd=sd_url, driver=driver)


def listen(wanted: int = PORT) -> socket.socket:
    """A listening socket at the wanted port of the loopback, or any other that is free."""
    for port in (wanted, 0):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
            sock.listen()
            return sock
        except OSError:
            sock.close()
    raise OSError("no free port on the loopback")


def address(sock: socket.socket) -> str:
    return "http://127.0.0.1:%d" % sock.getsockname()[1]


def command(directory: str, port: int, config_file: str = "prometheus.yml") -> List[str]:
    home = os.path.join(directory, "prometheus")
    return [which("prometheus"), f"--config.file={home}/{config_file}",
            f"--storage.tsdb.path={home}/data", "--storage.tsdb.retention.time=100y",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]


class PrometheusError(RuntimeError):
    """It does not run."""


class Prometheus:
    """Runs in the sweep's own network, with an unshaped link to the switch. `outside` is a socket
    of the machine's network that listens for whoever wants to watch."""

    def __init__(self, directory: str, sd_url: str, driver: str, outside: socket.socket):
        self._log = os.path.join(directory, "prometheus", "prometheus.log")
        os.makedirs(os.path.join(directory, "prometheus", "data"), exist_ok=True)
        with open(os.path.join(directory, "prometheus", "prometheus.yml"), "w",
                  encoding="ascii") as f:
            f.write(config(sd_url, driver))
        with open(self._log, "ab") as log:
            self._proc = subprocess.Popen(command(directory, PORT), stdin=subprocess.DEVNULL,
                                          stdout=log, stderr=log, start_new_session=True)
        threading.Thread(target=relay, args=(outside, ("127.0.0.1", PORT)), daemon=True).start()

    def wait_ready(self, timeout: float = 20) -> None:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self._proc.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/-/ready", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        raise PrometheusError("Prometheus did not start: " + (tail(self._log, 1) or "no log"))

    def stop(self) -> None:
        """SIGTERM lets it write down what it holds in memory."""
        if self._proc.poll() is None:
            self._proc.terminate()
            try:
                self._proc.wait(10)
            except subprocess.TimeoutExpired:
                self._proc.kill()
                self._proc.wait()


def relay(outside: socket.socket, inside: Tuple[str, int]) -> None:
    """Every connection to `outside` is carried to an address of this process's own network, until it is closed."""
    while True:
        try:
            client, _ = outside.accept()
        except OSError:
            return
        try:
            server = socket.create_connection(inside, timeout=5)
        except OSError:
            client.close()
            continue
        server.settimeout(None)
        for a, b in ((client, server), (server, client)):
            threading.Thread(target=pump, args=(a, b), daemon=True).start()


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for sock in (source, sink):
            sock.close()


class Metrics:
    """The driver's /metrics: a handful of gauges and counters, without a library."""
    HELP = {
        "fanout_lab_point_info": ("gauge", "The run going on now, in its labels."),
        "fanout_lab_distribution_seconds": ("gauge", "Last distribution time measured."),
        "fanout_lab_mean_seconds": ("gauge", "Last mean transfer time measured."),
        "fanout_lab_bound_seconds": ("gauge", "Least distribution time possible."),
        "fanout_lab_origin_sent_ratio": ("gauge", "Bytes the origin sent, in files."),
        "fanout_lab_cpu_busy_ratio": ("gauge", "How busy the emulating machine was."),
        "fanout_lab_runs_total": ("counter", "Runs that ended, by outcome."),
        "fanout_lab_runs_planned": ("gauge", "Runs in this sweep."),
    }

    def __init__(self) -> None:
        self._values: Dict[Tuple[str, Tuple[Tuple[str, Any], ...]], float] = {}
        self._lock = threading.Lock()

    def set(self, name: str, value: float, **labels: Any) -> None:
        with self._lock:
            self._values[name, tuple(sorted(labels.items()))] = value

    def add(self, name: str, **labels: Any) -> None:
        with self._lock:
            k = (name, tuple(sorted(labels.items())))
            self._values[k] = self._values.get(k, 0) + 1

    def clear(self, name: str) -> None:
        with self._lock:
            self._values = {k: v for k, v in self._values.items() if k[0] != name}

    def text(self) -> str:
        with self._lock:
            values = dict(self._values)
        lines = []
        for name, (kind, help_text) in self.HELP.items():
            lines += [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
            for (n, labels), value in values.items():
                if n == name:
                    inner = ",".join(f'{k}="{_escape(v)}"' for k, v in labels)
                    lines.append(f"{name}{{{inner}}} {value}" if inner else f"{name} {value}")
        return "\n".join(lines) + "\n"


def _escape(value: Any) -> str:
    return re.sub(r'(["\\])', r"\\\1", str(value)).replace("\n", r"\n")


def serve(metrics: Metrics) -> Tuple[ThreadingHTTPServer, str]:
    """Serve metrics on a free port of the loopback; returns (server, 'host:port')."""
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = metrics.text().encode()
            self.send_response(200 if self.path == "/metrics" else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, "127.0.0.1:%d" % server.server_address[1]


def reopen(directory: str, port: int) -> None:
    """Run Prometheus on a finished sweep's data, in the foreground, without scraping."""
    data = os.path.join(directory, "prometheus", "data")
    if not os.path.isdir(data):
        raise ValueError(f"{directory}: no Prometheus data there")
    with listen(port) as sock:
        port = sock.getsockname()[1]
    with open(os.path.join(directory, "prometheus", "reopen.yml"), "w", encoding="ascii") as f:
        f.write("scrape_configs: []\n")
    argv = command(directory, port, "reopen.yml")
    print(f"Prometheus with the data of {directory}: http://127.0.0.1:{port} (Ctrl-C ends it)",
          file=sys.stderr)
    os.execv(argv[0], argv)
