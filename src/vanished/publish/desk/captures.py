"""The captures' own origin: bytes of strangers, as files to save, and nothing else.

In: an observatory's folder and the key of a post. Out: its captures as WACZ. They hold pages with
scripts of whoever wrote them; so they stand at another port than the dashboard, which to a browser
is another site, under a policy that lets nothing of them run, and are saved, never shown. What an
author may have taken down is not given, nor what is sealed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from threading import Semaphore
from typing import Final

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from vanished.archive.exporting import export_wacz
from vanished.clock import SystemClock
from vanished.errors import UsageError, VanishedError
from vanished.publish.desk.state import Desk

HEADERS: Final = {
    "content-security-policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
AT_ONCE: Final = 2  # exports; each reads the log


def make_captures_app(desk: Desk, hosts: Sequence[str]) -> Starlette:
    """The application of the captures of `desk`, for requests to `hosts`."""
    room = Semaphore(AT_ONCE)

    async def wacz(request: Request) -> Response:
        return await run_in_threadpool(_export, desk, room, request.path_params["post"])

    async def nothing(request: Request, error: Exception) -> Response:
        return _refused("Captures are had from the page of a loss.", 404)

    return Starlette(
        routes=[Route("/{post}.wacz", wacz, methods=["GET"])],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[*hosts])],
        exception_handlers={404: nothing, 405: nothing},
    )


def _export(desk: Desk, room: Semaphore, post: str) -> Response:
    row = desk.shelf().loss(post)
    if row is None or row["withheld"]:
        return _refused("There are no captures to be had of that.", 404)
    if not room.acquire(blocking=False):
        return _refused("Others are being exported; try again in a moment.", 503)
    file = tempfile.NamedTemporaryFile(  # noqa: SIM115 -- removed when it was sent
        prefix="vanished-", suffix=".wacz", delete=False
    )
    file.close()
    path = Path(file.name)
    try:
        export_wacz(
            desk.folder, path, now=SystemClock().now(), keys=[post], sparing=True,
            everything=desk.settings.everything,
        )  # fmt: skip
    except VanishedError as error:
        path.unlink(missing_ok=True)
        return _refused(str(error), 404 if isinstance(error, UsageError) else 503)
    finally:
        room.release()
    return FileResponse(
        path, media_type="application/wacz", filename=f"{post}.wacz", headers=HEADERS,
        content_disposition_type="attachment",
        background=BackgroundTask(path.unlink, missing_ok=True),
    )  # fmt: skip


def _refused(says: str, status: int) -> Response:
    return PlainTextResponse(f"{says}\n", status, headers=HEADERS)
