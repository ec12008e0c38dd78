"""What the operators' routes take, with examples for ``/docs``."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = ["Act", "Assign", "Resolve", "ResolveOrder"]

_WHY: Final = "The processor's support confirmed it by telephone"

_Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000)]
_Reason = Annotated[_Sentence, Field(description="Why; kept in the operators' log for ever.")]


class _Taken(BaseModel):
    """What is sent to us: no field but these, each of its own type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Act(_Taken):
    """An action and its reason."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": _WHY}]})
    reason: _Reason


class Resolve(_Taken):
    """An ending, which can only be failed: success is the processor's word alone."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"as": "failed", "reason": _WHY, "evidence": "No object in the dashboard, ticket 7"}
            ]
        }
    )
    ending: Annotated[Literal["failed"], Field(alias="as")]
    reason: _Reason
    evidence: Annotated[_Sentence, Field(description="Where it was looked up, what was found.")]


class ResolveOrder(_Taken):
    """What becomes of a held order; the PSP is asked first, and has to allow it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "as": "paid",
                    "reason": "Lenco's support confirmed it by telephone",
                    "evidence": "Statement of 21 November, line 7",
                    "psp_id": "b3e1a8c2-4d5f-4a6b-9c7d-8e9f0a1b2c3d",
                }
            ]
        }
    )
    ruling: Annotated[Literal["resumed", "paid", "unpaid"], Field(alias="as")]
    reason: _Reason
    evidence: Annotated[_Sentence, Field(description="Where it was looked up, what was found.")]
    psp_id: Annotated[
        Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128)]
        | None,
        Field(description="The PSP's own id of the transfer; for `paid`."),
    ] = None


class Assign(_Taken):
    """A case's new owner; null for nobody."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"owner": "ada", "reason": "Knows this bank"}]}
    )
    owner: Annotated[
        Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
        | None,
        Field(description="A name, or the id of a user."),
    ]
    reason: _Reason
