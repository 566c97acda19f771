"""One libtorrent peer or seed, a process of its own, told what to do on stdin.

    lt_peer.py peer|seed TORRENT DIR IP QUEUE

A peer prints "ready", waits for a line, downloads, and prints the seconds it took.
A seed seeds. Both end when their stdin does.
"""

import sys
import time
from typing import Any

import libtorrent as lt


def session(ip: str, queue: int) -> Any:
    return lt.session({
        "listen_interfaces": f"{ip}:6881", "outgoing_interfaces": ip,
        "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
        "enable_incoming_utp": False, "enable_outgoing_utp": False,
        "in_enc_policy": 2, "out_enc_policy": 2, "prefer_rc4": False,   # 2: disabled
        "allow_multiple_connections_per_ip": True, "announce_to_all_trackers": True,
        "connections_limit": 1000, "unchoke_slots_limit": -1, "active_limit": -1,
        "upload_rate_limit": 0, "download_rate_limit": 0, "torrent_connect_boost": 255,
        "connection_speed": 200, "min_reconnect_time": 1,
        "max_out_request_queue": queue, "max_allowed_in_request_queue": 2000,
        "auto_manage_interval": 1, "min_announce_interval": 1, "tick_interval": 100,
        "mixed_mode_algorithm": 0, "rate_limit_ip_overhead": False,
        "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.error_notification,
    })


def add(ses: Any, torrent: str, directory: str, flags: int = 0) -> Any:
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(torrent)
    params.save_path = directory
    params.flags = (params.flags | flags) & ~(lt.torrent_flags.auto_managed
                                              | lt.torrent_flags.paused)
    return ses.add_torrent(params)


def main() -> None:
    mode, torrent, directory, ip, queue = sys.argv[1:]
    ses = session(ip, int(queue))
    if mode == "seed":
        add(ses, torrent, directory, lt.torrent_flags.seed_mode)
        sys.stdin.readline()
        return
    print("ready", flush=True)
    sys.stdin.readline()
    begin = time.monotonic()
    handle = add(ses, torrent, directory)
    while not handle.status().is_seeding:
        ses.wait_for_alert(200)
        for alert in ses.pop_alerts():
            if isinstance(alert, lt.torrent_error_alert):
                sys.exit(alert.message())
    print(f"{time.monotonic() - begin:.6f}", flush=True)
    sys.stdin.readline()  # goes on seeding until it is stopped


main()
