"""The API's side of HTTP: routes, errors, rates, what has not changed, and streams.

In: the open desk. Out: an ASGI application to be mounted at /api/1. It answers GET and HEAD; an
error is a problem document (RFC 9457) with one sentence. An answer carries the shelf's version as
its entity tag (RFC 9110), so that who asks again for the same gets 304 and no work is done.
"""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from vanished import __version__
from vanished.errors import UsageError, VanishedError
from vanished.publish.api.endpoints import ENDPOINTS, Endpoint, MissingError, Rows
from vanished.publish.api.fields import carried
from vanished.publish.api.openapi import PROBLEM, document
from vanished.publish.api.parameters import read
from vanished.publish.api.rates import Rates
from vanished.publish.shelf.reading import Shelf
from vanished.publish.table_files import plain

PLACE: Final = "/api/1"
_PART: Final = 1 << 15  # characters of a stream that are sent together


class Holds(Protocol):
    """Who holds the open shelf: the desk."""

    def shelf(self) -> Shelf: ...


def make_api(desk: Holds, rates: Rates | None = None) -> Starlette:
    """The application over what `desk` holds."""
    buckets = rates or Rates()
    written = json.dumps(document(), ensure_ascii=False)

    def route(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        async def answered(request: Request) -> Response:
            client = request.client.host if request.client else ""
            wait_s = buckets.wait_s(client, time.monotonic(), endpoint.cost)
            if wait_s:
                seconds = math.ceil(wait_s)
                why = f"asked too often; ask again in {seconds} s."
                return problem(429, why, {"Retry-After": str(seconds)})
            return await run_in_threadpool(_answer, desk, endpoint, request)

        return answered

    async def stated(request: Request) -> Response:
        return Response(written, media_type="application/json")

    routes = [Route("/openapi.json", stated, methods=["GET"])]
    # "/losses.csv" would be taken for a loss, were it not before it.
    routes += [Route(one.path, route(one), methods=["GET"]) for one in ENDPOINTS]
    return Starlette(routes=routes, exception_handlers={HTTPException: _refused})


def problem(status: int, why: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as RFC 9457 has it."""
    said = {
        "type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": why,
    }  # fmt: skip
    text = json.dumps(said, ensure_ascii=False)
    return Response(text, status, headers=dict(headers or {}), media_type=PROBLEM)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    why = {
        404: f"there is nothing at this address; {PLACE}/openapi.json lists what there is.",
        405: "only GET and HEAD are answered here.",
    }.get(error.status_code, error.detail)
    return problem(error.status_code, why, error.headers)


def _answer(desk: Holds, endpoint: Endpoint, request: Request) -> Response:
    try:
        shelf = desk.shelf()
        given = read(endpoint.parameters, request.query_params.multi_items())
        tag = _tag(shelf)
        if _unchanged(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers={"ETag": tag})
        found = endpoint.make(shelf, {**given, **request.path_params})
    except UsageError as error:
        return problem(400, str(error))
    except MissingError as error:
        return problem(404, str(error))
    except VanishedError as error:
        return problem(503, str(error))
    if isinstance(found, Rows):
        return _stream(endpoint, found, tag, headless=request.method == "HEAD")
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    return Response(text, headers={"ETag": tag}, media_type="application/json")


def _tag(shelf: Shelf) -> str:
    """Weak: the same answer may be packed or not. Ours differ by what is withheld, too."""
    return f'W/"{__version__}.{shelf.version}.{int(shelf.everything)}"'


def _unchanged(asked: str, tag: str) -> bool:
    """Whether If-None-Match names the tag, by weak comparison (RFC 9110, 8.8.3.2)."""
    names = [each.strip().removeprefix("W/") for each in asked.split(",")]
    return "*" in names or tag.removeprefix("W/") in names


def _stream(endpoint: Endpoint, found: Rows, tag: str, *, headless: bool) -> Response:
    name = endpoint.path.rpartition("/")[2]
    headers = {"ETag": tag, "Content-Disposition": f'attachment; filename="{name}"'}
    lines = csv_lines(found) if endpoint.media == "text/csv" else json_lines(found)
    if headless:
        lines = iter(())
    return StreamingResponse(lines, headers=headers, media_type=endpoint.media)


def json_lines(found: Rows) -> Iterator[str]:
    """JSON Lines: an object a row."""
    parts: list[str] = []
    held = 0
    for row in found.rows:
        line = json.dumps(carried(found.fields, row), ensure_ascii=False) + "\n"
        parts.append(line)
        held += len(line)
        if held > _PART:
            yield "".join(parts)
            parts, held = [], 0
    yield "".join(parts)


def csv_lines(found: Rows) -> Iterator[str]:
    """CSV (RFC 4180) that no spreadsheet takes for formulas."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow([field.name for field in found.fields])
    for row in found.rows:
        writer.writerow([_cell(value) for value in carried(found.fields, row).values()])
        if file.tell() > _PART:
            yield file.getvalue()
            file.seek(0)
            file.truncate()
    yield file.getvalue()


def _cell(value: Any) -> Any:
    return plain("|".join(value) if isinstance(value, list) else value)
