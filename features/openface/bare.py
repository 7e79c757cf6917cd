"""A container per clip, for an image without a shell, where nothing can wait for clips."""

from __future__ import annotations

from dataclasses import dataclass

from features.openface.backend import Call, arguments, confined, container_name, mount
from features.openface.errors import NoEngine
from features.openface.process import Finished, run_watched

#: on this machine: removes the container (``$1``) when the standard input closes, be it by the
#: kernel after a SIGKILL; else the engine does when the program ends
WATCHDOG = (
    'name=$1; shift; exec 3<&0; "$@" </dev/null 3<&- & client=$!; '
    '{ cat <&3; docker rm --force "$name"; kill -9 0; } >/dev/null 2>&1 & '
    "wait $client; code=$?; kill -9 $! 2>/dev/null; exit $code"
)
#: exit codes by which ``docker run`` tells that the program never ran
NOT_STARTED = range(125, 128)


@dataclass(frozen=True)
class Bare:
    """An image whose programs are started by the engine itself."""

    image: str
    folder: str

    def run(self, call: Call) -> Finished:
        """In a container that ends with the program, or with this process.

        Raises:
            NoEngine: the engine couldn't.
        """
        name = container_name()
        inside = f"/input/{call.inside}"
        command = [
            *("docker", "run", *confined(name, call.memory)),
            *("--mount", mount(call.media, inside, "readonly")),
            *("--mount", mount(call.out, "/output")),
            *("--entrypoint", f"{self.folder}/{call.program}", self.image),
            *arguments(call, inside, "/output"),
        ]
        done = run_watched(
            ["/bin/sh", "-c", WATCHDOG, "sh", name, *command],
            call.seconds,
            overfull=call.limit.overfull,
        )
        if done.code in NOT_STARTED and not done.stopped:
            raise NoEngine(
                f"{call.media.name}: docker couldn't run {call.program} of {self.image}: "
                f"{done.log.strip() or 'no reason given'}",
                log=done.log,
            )
        return done
