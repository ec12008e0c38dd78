"""Plants a bug: one statement of the product reads otherwise for a while."""

from __future__ import annotations
import __future__

import ast
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

__all__ = ["Mutant"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug that is planted in ``where``: its text ``old`` reads ``new``.

    ``loss`` says what goes wrong in the world. ``kept`` is a cache of what the function makes.
    """

    name: str
    loss: str
    where: Any
    old: str
    new: str
    kept: dict[Any, Any] | None = None

    @contextmanager
    def planted(self) -> Iterator[None]:
        """While inside, the bug is there for everybody who holds the function.

        Raises ``ValueError`` unless ``old`` stands there exactly once: a bug that can not be
        planted any more must not look like one that is found.
        """
        function, kept = _function(self.where), dict(self.kept or {})
        sound = function.__code__
        function.__code__ = _compiled(function, self)
        _forget(self.kept)
        try:
            yield
        finally:
            function.__code__ = sound
            _forget(self.kept)
            if self.kept is not None:
                self.kept.update(kept)


def _function(where: Any) -> FunctionType:
    found = where.fget if isinstance(where, property) else where
    assert isinstance(found, FunctionType)
    return found


def _compiled(function: FunctionType, mutant: Mutant) -> CodeType:
    source = textwrap.dedent(inspect.getsource(function))
    if (times := source.count(mutant.old)) != 1:
        raise ValueError(f"{mutant.name}: its text stands {times} times in {function.__qualname__}")
    tree = ast.parse(source.replace(mutant.old, mutant.new))
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef)
    definition.decorator_list = []
    flags = __future__.annotations.compiler_flag
    module = compile(tree, function.__code__.co_filename, "exec", flags, dont_inherit=True)
    code = next(
        one
        for one in module.co_consts
        if isinstance(one, CodeType) and one.co_name == function.__name__
    )
    assert code.co_freevars == function.__code__.co_freevars
    return code


def _forget(cache: dict[Any, Any] | None) -> None:
    if cache is not None:
        cache.clear()
