"""Prefect's temporary server, which Prefect itself ends only where Python ends in good order."""

from __future__ import annotations

import atexit
import subprocess
import sys

#: ends the server (``$1``) when the standard input closes without a word, as after a SIGKILL
WATCHDOG = 'read -r over || kill "$1"'

_watched: set[int] = set()


def end_with_us() -> None:
    """However this process ends, the temporary servers that Prefect started for it do, too."""
    # where a server was given, Prefect doesn't load its own, and nor do we: that takes seconds
    module = sys.modules.get("prefect.server.api.server")
    if module is None:
        return
    for server in module.SubprocessASGIServer._instances.values():
        process = server.server_process
        if process is None or process.pid in _watched:
            continue
        _watched.add(process.pid)
        watchdog = subprocess.Popen(
            ["/bin/sh", "-c", WATCHDOG, "sh", str(process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        # before Prefect's own, which ends the server
        atexit.register(watchdog.communicate, b"over\n")
