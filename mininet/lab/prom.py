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

from .procs import tail
from .systems import output, which

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


def config(sd_url, driver, interval=INTERVAL):
    return CONFIG.format(interval=f"{interval * 1000:.0f}ms", sd=sd_url, driver=driver)


def free_port(wanted=PORT):
    """The wanted port of the loopback, or any other that is free."""
    for port in (wanted, 0):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return s.getsockname()[1]
            except OSError:
                continue
    raise OSError("no free port on the loopback")


def command(directory, port):
    home = os.path.join(directory, "prometheus")
    return [which("prometheus"), f"--config.file={home}/prometheus.yml",
            f"--storage.tsdb.path={home}/data", "--storage.tsdb.retention.time=100y",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]


class Prometheus:
    """Runs in the root namespace, which has an unshaped link to the switch."""

    def __init__(self, directory, sd_url, driver, port=PORT):
        self._log = os.path.join(directory, "prometheus", "prometheus.log")
        os.makedirs(os.path.join(directory, "prometheus", "data"), exist_ok=True)
        with open(os.path.join(directory, "prometheus", "prometheus.yml"), "w",
                  encoding="ascii") as f:
            f.write(config(sd_url, driver))
        self.port = free_port(port)
        with open(self._log, "ab") as log:
            self._proc = subprocess.Popen(command(directory, self.port), stdin=subprocess.DEVNULL,
                                          stdout=log, stderr=log, start_new_session=True)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def wait_ready(self, timeout=20):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self._proc.poll() is not None:
                break
            try:
                with urllib.request.urlopen(self.url + "/-/ready", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("Prometheus did not start: " + (tail(self._log, 1) or "no log"))

    def stop(self):
        """SIGTERM lets it write down what it holds in memory."""
        if self._proc.poll() is None:
            self._proc.terminate()
            try:
                self._proc.wait(10)
            except subprocess.TimeoutExpired:
                self._proc.kill()
                self._proc.wait()


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

    def __init__(self):
        self._values = {}
        self._lock = threading.Lock()

    def set(self, name, value, **labels):
        with self._lock:
            self._values[name, tuple(sorted(labels.items()))] = value

    def add(self, name, **labels):
        with self._lock:
            k = (name, tuple(sorted(labels.items())))
            self._values[k] = self._values.get(k, 0) + 1

    def clear(self, name):
        with self._lock:
            self._values = {k: v for k, v in self._values.items() if k[0] != name}

    def text(self):
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


def _escape(value):
    return re.sub(r'(["\\])', r"\\\1", str(value)).replace("\n", r"\n")


def serve(metrics):
    """Serve metrics on a free port of the loopback; returns (server, 'host:port')."""
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = metrics.text().encode()
            self.send_response(200 if self.path == "/metrics" else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, "127.0.0.1:%d" % server.server_address[1]


def version():
    return output("prometheus", "--version").split(" ")[2:3]


def reopen(directory, port):
    """Run Prometheus on a finished sweep's data, in the foreground, without scraping."""
    data = os.path.join(directory, "prometheus", "data")
    if not os.path.isdir(data):
        raise ValueError(f"{directory}: no Prometheus data there")
    port = free_port(port)
    quiet = os.path.join(directory, "prometheus", "reopen.yml")
    with open(quiet, "w", encoding="ascii") as f:
        f.write("scrape_configs: []\n")
    argv = command(directory, port)
    argv[1] = f"--config.file={quiet}"
    print(f"Prometheus with the data of {directory}: http://127.0.0.1:{port} (Ctrl-C ends it)",
          file=sys.stderr)
    os.execv(argv[0], argv)
