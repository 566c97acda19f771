#!/usr/bin/env python3
"""Sends a file to whoever connects: server.py FILE. What a first attempt looks like.

sudo mininet/sweep.py --peers 1,2,4 --system \
    first='python3 mininet/examples/server.py {file}','python3 mininet/examples/client.py {server} {out}',nginx
"""

import socket
import sys
import threading

PORT = 9000


def send(connection: socket.socket, path: str) -> None:
    with connection, open(path, "rb") as f:
        while piece := f.read(1 << 16):
            connection.sendall(piece)


def main() -> None:
    with socket.create_server(("", PORT), backlog=1024) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=send, args=(connection, sys.argv[1])).start()


if __name__ == "__main__":
    main()
