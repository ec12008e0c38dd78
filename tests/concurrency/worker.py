"""The processes of a crowd: ``python -m tests.concurrency.worker <socket> <socket> ...``.

Each socket (a file descriptor that is handed down) gets a process of its own, forked once
everything is imported. It is told what to play, a line of JSON a scene, and answers: ``ready`` when
the scene is open; after the line ``go`` what its actors ``did``, or an ``error``. It ends with its
socket.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import IO, Any

from tests.concurrency.scene import cast, play
from tests.concurrency.scenes import SCENES


def main(sockets: Sequence[int]) -> None:
    for mine in sockets:
        if os.fork() == 0:
            for other in sockets:
                if other != mine:
                    os.close(other)  # or its process would never see its end
            with socket.socket(fileno=mine) as line:
                _serve(line)
            return
    for each in sockets:
        os.close(each)
    for _ in sockets:
        os.wait()


def _serve(line: socket.socket) -> None:
    with line.makefile("r") as asked, line.makefile("w") as told:
        while job := asked.readline():
            asyncio.run(_answer(json.loads(job), asked, told))


async def _answer(job: Mapping[str, Any], asked: IO[str], told: IO[str]) -> None:
    try:
        said: dict[str, Any] = {"did": await _play(job, asked, told)}
    except Exception:  # the test process raises it
        said = {"error": traceback.format_exc()}
    _say(told, said)


async def _play(job: Mapping[str, Any], asked: IO[str], told: IO[str]) -> list[Any]:
    scene = await SCENES[job["scene"]](job["url"], job["given"])
    try:
        _say(told, {"ready": True})
        await asyncio.to_thread(asked.readline)  # go
        return await play(scene, cast(job["numbers"], job["seed"], job["pause_ms"]))
    finally:
        await scene.close()


def _say(told: IO[str], said: Mapping[str, Any]) -> None:
    told.write(json.dumps(said) + "\n")
    told.flush()


if __name__ == "__main__":
    main([int(each) for each in sys.argv[1:]])
