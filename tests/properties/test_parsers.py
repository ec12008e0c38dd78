"""No parser raises anything but its own errors, whatever it is given.

The targets say what else must be true. Here they are tried by chance, for a second or two each;
``test_fuzz`` tries them for longer, guided by what they reach.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.json_bodies import any_body
from tests.properties.targets import TARGETS, Target

_JUNK = st.binary(max_size=40)


@st.composite
def inputs(draw: st.DrawFn, target: Target) -> bytes:
    """A good input with a few pieces of it replaced, repeated, or moved; or anything at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(_JUNK | any_body())
    pieces = st.sampled_from(target.words) if target.words else _JUNK
    data = draw(st.sampled_from(target.seeds))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        middle = draw(
            st.one_of(
                pieces,
                _JUNK,
                st.text(max_size=6).map(lambda text: text.encode()),
                st.integers(0, len(data)).map(_twelve_of(data)),
            )
        )
        data = data[:start] + middle + data[end:]
    return data


def _twelve_of(data: bytes) -> Callable[[int], bytes]:
    return lambda at: data[at : at + 12]


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_any_input_is_read_or_refused(name: str) -> None:
    """As the target says, for good inputs, damaged ones and noise."""
    target = TARGETS[name]
    for seed in target.seeds:
        target.check(seed)

    @settings(max_examples=120)
    @given(inputs(target))
    def check(data: bytes) -> None:
        target.check(data)

    check()
