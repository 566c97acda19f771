"""Sockets inside a host's network namespace, opened from the driver.

The driver's REST calls travel over the host's own loopback: they neither wait in a
shaped queue nor take bandwidth from the experiment. A socket keeps the namespace it
was made in, so only the making happens inside.
"""

import http.client
import json
import os
import socket
import threading
import time
from typing import Any, Callable, Dict, Optional, Tuple

from .space import setns


def connect(pid: int, address: Tuple[str, int], timeout: float) -> socket.socket:
    """A TCP connection made in the network namespace of process `pid`."""
    home = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)
    try:
        away = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        try:
            setns(away)
            try:
                sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            finally:
                setns(home)
        finally:
            os.close(away)
    finally:
        os.close(home)
    sock.settimeout(timeout)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


class Http(http.client.HTTPConnection):
    """An HTTP connection whose socket lives in a host's namespace."""

    def __init__(self, host: Any, port: int, address: Optional[str] = None, timeout: float = 10):
        super().__init__(address or host.ip, port, timeout=timeout)
        self._pid = host.pid

    def connect(self) -> None:
        self.sock = connect(self._pid, (self.host, self.port), self.timeout or 10)

    def call(self, method: str, path: str, body: Any = None,
             headers: Optional[Dict[str, str]] = None) -> Tuple[int, bytes]:
        """One request; returns (status, bytes)."""
        self.send_call(method, path, body, headers)
        return self.read_answer()

    def send_call(self, method: str, path: str, body: Any = None,
                  headers: Optional[Dict[str, str]] = None) -> None:
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        self.request(method, path, body=body, headers=headers)

    def read_answer(self) -> Tuple[int, bytes]:
        answer = self.getresponse()
        return answer.status, answer.read()

    def allow(self, timeout: float) -> None:
        """Set how long the next read or write may take."""
        self.timeout = timeout
        if self.sock:
            self.sock.settimeout(timeout)


def get(host: Any, port: int, path: str, address: Optional[str] = None, timeout: float = 5) -> Tuple[int, bytes]:
    conn = Http(host, port, address, timeout)
    try:
        return conn.call("GET", path)
    finally:
        conn.close()


def wait_until(condition: Callable[[], Any], timeout: float, what: str, interval: float = 0.02) -> None:
    """Poll until condition() is true; TimeoutError names what did not happen."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            if condition():
                return
        except (OSError, http.client.HTTPException):
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} within {timeout:g} s")
        time.sleep(interval)
