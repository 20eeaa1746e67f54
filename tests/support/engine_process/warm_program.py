"""The program that forks `squareoff` commands: it imports what `squareoff run` imports, once.

Most of an engine's start is imports. A command forked from here has done them and nothing else:
no thread, loop, file or connection of squareoff's is opened at import. It is a process of its own,
with its own words, folder, environment and output, and it ends as any Python program does.
"""

import gc
import json
import os
import signal
import socket
import sys
from typing import Any

import squareoff.cli.engine_program  # noqa: F401 - loaded late by `squareoff run`
from squareoff.cli.main import main

_OUTPUTS = (1, 2)


def serve(line: socket.socket, message_bytes_max: int) -> list[str] | None:
    """Answer until the other side is gone (None); return its words in each process forked."""
    while True:
        message, outputs, _, _ = socket.recv_fds(line, message_bytes_max, len(_OUTPUTS))
        if not message:
            return None
        asked = json.loads(message)
        if "start" in asked:
            pid = os.fork()
            if pid == 0:
                line.close()
                return _become(asked["start"], outputs)
            for descriptor in outputs:
                os.close(descriptor)
            answer: int | None = pid
        else:
            answer = _status_of(asked["status"])
        line.send(json.dumps(answer).encode())


def _become(start: dict[str, Any], outputs: list[int]) -> list[str]:
    os.chdir(start["folder"])
    os.environ.clear()
    os.environ.update(start["environment"])
    for descriptor, number in zip(outputs, _OUTPUTS, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    words: list[str] = start["words"]
    return words


def _status_of(pid: int) -> int | None:
    """Return how a process ended, as `subprocess` counts; None while it runs."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


if __name__ == "__main__":
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page
    words = serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
    if words is not None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["squareoff", *words]
        main()
