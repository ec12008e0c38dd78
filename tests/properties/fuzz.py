"""Fuzz one target, guided by the code it reaches: ``python -m tests.properties.fuzz TARGET``.

A target is a name in ``tests.properties.targets``, or of another module as ``module:name``. What
follows it goes to libFuzzer (``-max_total_time=60 -seed=1``). The run starts from the target's good
inputs and ends with 0 when its time is over; when the target raises, it ends with the traceback
and the input in base64. The fuzzer is Atheris, which has wheels for Linux on x86-64 only, and not
for every Python.
"""

from __future__ import annotations

import sys
import tempfile
from importlib import import_module
from pathlib import Path

import structlog

__all__ = ["main"]

# What counts as reached: our code, the other side's reading that it is compared with, and what
# the libraries make of dates, addresses, tokens and files of settings.
_GUIDED = ["tidegate", "tests.properties", "email", "urllib", "ipaddress", "dotenv", "jwt"]


def main(arguments: list[str]) -> None:
    """Fuzz until libFuzzer's limits end the process."""
    spelt, *options = arguments
    module, _, name = spelt.rpartition(":")
    # By name: it has no types, and is not there on every machine.
    atheris = import_module("atheris")
    # Nothing is logged: a million refusals are no news.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    atheris.enabled_hooks.add("str")  # what a text is compared with is tried
    with atheris.instrument_imports(include=_GUIDED):
        target = import_module(module or "tests.properties.targets").TARGETS[name]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number, seed in enumerate(target.seeds):
            Path(corpus, f"seed-{number}").write_bytes(seed)
        bounds = [f"-artifact_prefix={folder}/", "-timeout=20", "-max_len=4096"]
        if target.words:
            words = Path(folder, "words")
            words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
            bounds.append(f"-dict={words}")
        atheris.Setup([sys.argv[0], str(corpus), *bounds, *options], target.check)
        atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main(sys.argv[1:])
