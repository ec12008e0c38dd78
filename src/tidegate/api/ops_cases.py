"""Cases for operators: what a person has to look at, and what was done about it."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from sqlalchemy import Connection

from tidegate.api.cursors import Cursor, Limit, Page, cut, decode_cursor
from tidegate.api.deps import deps
from tidegate.api.guard import GuardedRoute
from tidegate.api.identity import IsOperator
from tidegate.api.limits import limit_writes
from tidegate.api.openapi import answer, problems
from tidegate.api.ops_bodies import Act, Assign
from tidegate.api.ops_common import ACT, LIST, ORIGIN, SHOW, Row, act, instant
from tidegate.api.ops_models import CASE_EXAMPLE, Case, CaseStory
from tidegate.cases.readings import actions_on, list_cases, show_case
from tidegate.cases.store import AssignCase, CloseCase, NoteAction
from tidegate.db.committer import Operation, Unit
from tidegate.errors import Conflict, NotFound

__all__ = ["router"]

router = APIRouter(prefix="/api/ops/cases", tags=["operators"], route_class=GuardedRoute)

_LIST: Final = "ops_cases"
_CURSOR: Final = "case_"
_WRITES: Final = [Depends(limit_writes)]
_MOMENTS: Final = ("opened_at", "last_seen_at", "closed_at")
_STORY: Final = {**CASE_EXAMPLE, "actions": []}
_CaseId = Annotated[int, Path(ge=1, le=2**53, examples=[CASE_EXAMPLE["id"]])]


@router.get(
    "",
    summary="List cases",
    responses={
        **answer(200, "Newest first.", {"data": [CASE_EXAMPLE], "next_cursor": None}),
        **problems(*LIST),
    },
)
async def cases(
    request: Request,
    identity: IsOperator,
    limit: Limit = 20,
    cursor: Cursor = None,
    state: Literal["open", "closed"] | None = "open",
    kind: Annotated[str | None, Query(max_length=64)] = None,
) -> Page[Case]:
    """The open ones, unless another `state` is asked for."""
    after = decode_cursor(_LIST, cursor)
    before_id = None if after is None else int(after.removeprefix(_CURSOR))
    rows = await deps(request).app.database.fetch(
        lambda c: list_cases(c, state=state, kind=kind, before_id=before_id, limit=limit + 1)
    )
    page, next_cursor = cut(rows, limit, _LIST, lambda row: f"{_CURSOR}{row['id']}")
    return Page[Case](
        data=[Case.model_validate(_view(row)) for row in page], next_cursor=next_cursor
    )


@router.get(
    "/{case_id}",
    summary="Show a case",
    responses={
        **answer(200, "With what was done about it.", _STORY),
        **problems(*SHOW),
    },
)
async def case(request: Request, identity: IsOperator, case_id: _CaseId) -> CaseStory:
    """What is the matter, what to look at, and what operators did about it and its subject."""
    return await _story(request, case_id)


@router.post(
    "/{case_id}/assign",
    summary="Give a case to somebody",
    dependencies=_WRITES,
    responses={
        **answer(200, "The case.", {**_STORY, "owner": "ada"}),
        **problems(*ACT),
    },
)
async def assign(
    request: Request, identity: IsOperator, case_id: _CaseId, body: Assign
) -> CaseStory:
    """An open one only."""
    before = await _open(request, case_id)
    deed = AssignCase(case_id, body.owner)
    columns = {"owner": before.owner}, {"owner": body.owner}
    await _do(request, identity.user_id, case_id, "case.assign", body.reason, *columns, deed)
    return await _story(request, case_id)


@router.post(
    "/{case_id}/note",
    summary="Write a note on a case",
    dependencies=_WRITES,
    responses={**answer(200, "The case.", _STORY), **problems(*ACT)},
)
async def note(request: Request, identity: IsOperator, case_id: _CaseId, body: Act) -> CaseStory:
    """The `reason` is the note; notes are never changed."""
    await _story(request, case_id)
    await _do(request, identity.user_id, case_id, "case.note", body.reason, None, None)
    return await _story(request, case_id)


@router.post(
    "/{case_id}/close",
    summary="Close a case",
    dependencies=_WRITES,
    responses={
        **answer(200, "The case.", {**_STORY, "state": "closed"}),
        **problems(*ACT),
    },
)
async def close(request: Request, identity: IsOperator, case_id: _CaseId, body: Act) -> CaseStory:
    """The `reason` says what was found and done. It changes nothing else: what the case is about
    stays as it is."""
    await _open(request, case_id)
    by, reason = identity.user_id, body.reason
    deed = CloseCase(case_id, by, reason)
    columns = {"state": "open"}, {"state": "closed"}
    await _do(request, by, case_id, "case.close", reason, *columns, deed)
    return await _story(request, case_id)


async def _do(
    request: Request,
    by: str,
    case_id: int,
    action: str,
    reason: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    *deeds: Operation,
) -> None:
    log = NoteAction(by, ORIGIN, action, f"case:{case_id}", reason, before, after)
    await act(request, Unit([*deeds, log]))


async def _open(request: Request, case_id: int) -> CaseStory:
    found = await _story(request, case_id)
    if found.state != "open":
        raise Conflict(f"Case {case_id} was closed before, by {found.closed_by}.")
    return found


async def _story(request: Request, case_id: int) -> CaseStory:
    def read(connection: Connection) -> tuple[Row, list[Row]]:
        row = show_case(connection, case_id)
        if row is None:
            raise NotFound("There is no such case.")
        done = [
            *actions_on(connection, f"case:{case_id}"),
            *actions_on(connection, row["subject"]),
        ]
        return row, sorted(done, key=lambda each: int(each["id"]))

    row, done = await deps(request).app.database.read(read)
    actions = [{**each, "at": instant(each["at"])} for each in done]
    return CaseStory.model_validate({**_view(row), "actions": actions})


def _view(row: Row) -> dict[str, Any]:
    return {**row, **{name: instant(row[name]) for name in _MOMENTS}}
