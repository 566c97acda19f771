#!/usr/bin/env python3
"""Fetches the file from server.py: client.py ADDRESS OUT. Ends with status 0 once it is there."""

import os
import socket
import sys

PORT = 9000


def main() -> None:
    address, out = sys.argv[1:]
    with socket.create_connection((address, PORT)) as connection, open(out + ".part", "wb") as f:
        while piece := connection.recv(1 << 16):
            f.write(piece)
    os.rename(out + ".part", out)


if __name__ == "__main__":
    main()
