"""Prefect's temporary server, which Prefect itself ends only where Python ends in good order."""

from __future__ import annotations

import atexit
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from features.errors import RequestError

#: ends the server (``$1``) when the standard input closes without a word, as after a SIGKILL
WATCHDOG = 'read -r over || kill "$1"'

#: seconds between looks for a server that is being started
LOOK = 0.05


class PrefectUnreachable(RequestError):
    """No server of Prefect's answers: it isn't there, doesn't start, or ended during the run."""

    code = "prefect_unreachable"


_watched: set[int] = set()
_looking = threading.Lock()


@contextmanager
def ended_with_us() -> Iterator[None]:
    """``end_with_us`` from the moment on at which Prefect starts a server within the block."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK):
            end_with_us()

    watching = threading.Thread(target=look, name="prefect-server", daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()


@contextmanager
def reached() -> Iterator[None]:
    """Tell in one line that the server can't be reached, and what to do about it.

    Raises:
        PrefectUnreachable: instead of what Prefect and its HTTP client raise then, and before a
            server of its own would be waited for in vain.
    """
    from httpx import HTTPError

    if server_url() is None:
        _check_home()
    try:
        yield
    except (HTTPError, RuntimeError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        url = server_url()
        whose = f"at {url} (PREFECT_API_URL)" if url else "of its own"
        do = "start it" if url else "let PREFECT_HOME name a folder that it can write to"
        raise PrefectUnreachable(
            f"Prefect doesn't reach the server {whose}: {why}; {do}, or go on with --no-prefect: "
            "what is published stays"
        ) from error


def server_url() -> str | None:
    """The server that the environment or the user's profile names; None for a temporary one."""
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


def _check_home() -> None:
    """A temporary server keeps its database in Prefect's folder, and says nothing if it can't."""
    from prefect.settings import get_current_settings

    home = get_current_settings().home
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        raise PrefectUnreachable(
            f"Prefect can't write to its folder {home} ({error.strerror}); let PREFECT_HOME name a "
            "folder that it can write to, or go on with --no-prefect"
        ) from error


def end_with_us() -> None:
    """However this process ends, the temporary servers that Prefect started for it do, too."""
    # where a server was given, Prefect doesn't load its own, and nor do we: that takes seconds
    # (while it is being loaded it is there without the class)
    kept = getattr(sys.modules.get("prefect.server.api.server"), "SubprocessASGIServer", None)
    with _looking:
        for server in [] if kept is None else [*kept._instances.values()]:
            _watch(server.server_process)


def _watch(process: subprocess.Popen[bytes] | None) -> None:
    if process is None or process.pid in _watched:
        return
    _watched.add(process.pid)
    watchdog = subprocess.Popen(
        ["/bin/sh", "-c", WATCHDOG, "sh", str(process.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    atexit.register(watchdog.communicate, b"over\n")
