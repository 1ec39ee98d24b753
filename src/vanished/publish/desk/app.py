"""The dashboard's web server: addresses, languages, and what no page may do.

In: a desk. Out: an ASGI application. Pages come with a policy that lets
a browser load nothing but our own style and pictures and run no script; the server answers only to
the names that it was told, so that no page elsewhere can read it through a name of its own.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

from jinja2 import Environment
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vanished.errors import UsageError, VanishedError
from vanished.publish.api.routes import PLACE, make_api
from vanished.publish.desk import pages, reviewing, words
from vanished.publish.desk.asked import Asked, Page, failed
from vanished.publish.desk.forms import COOKIE, MOST, ForgedError
from vanished.publish.desk.links import Links
from vanished.publish.desk.state import Desk
from vanished.publish.moments import iso
from vanished.publish.templates import environment
from vanished.publish.tongues import NAMES, Tongue, chosen

POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",  # with none, a form's Origin would be null
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"private, no-cache",
}
Answering = Callable[..., Awaitable[Response]]
LANGUAGE: Final = "lang"
_TYPES: Final = {"css": "text/css", "svg": "image/svg+xml"}


class Guarded:
    """Puts HEADERS on every answer, and says how long the server took."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                took = f"app;dur={(time.perf_counter() - begun) * 1000:.1f}".encode()
                own = [(key, value) for key, value in HEADERS.items()]
                kept = [pair for pair in message["headers"] if pair[0].lower() not in HEADERS]
                message["headers"] = [*kept, *own, (b"server-timing", took)]
            await send(message)

        await self._app(scope, receive, sent)


def make_app(desk: Desk, hosts: Sequence[str]) -> Starlette:
    """The application over `desk`, for requests to `hosts`."""
    rooms = {tag: _room(tag) for tag in NAMES}

    def page(make: Page) -> Answering:
        async def answered(request: Request, error: Exception | None = None) -> Response:
            return await run_in_threadpool(_answer, desk, rooms, make, request)

        return answered

    routes: list[BaseRoute] = [
        Route(path, page(make), methods=["GET", "HEAD"]) for path, make in pages.ROUTES.items()
    ]

    async def decided(request: Request) -> Response:
        return await _decided(desk, page, request)

    routes += [
        Route("/review", decided, methods=["POST"]),
        Mount(PLACE, app=make_api(desk)),
        Route("/static/{name}", _static),
        Route("/language/{tag}", _language),
    ]
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(Guarded),
            Middleware(TrustedHostMiddleware, allowed_hosts=[*hosts]),
            Middleware(GZipMiddleware, minimum_size=1024, compresslevel=4),
        ],
        exception_handlers={
            404: page(partial(failed, status=404)),
            405: page(partial(failed, status=405)),
        },
    )


def _answer(
    desk: Desk,
    rooms: Mapping[str, Environment],
    make: Page,
    request: Request,
) -> Response:
    tag = _tag(request)
    asked = _asked(desk, request)
    try:
        shown = make(asked)
    except UsageError as error:
        shown = failed(asked, status=400, why=str(error))
    except VanishedError as error:
        shown = failed(asked, status=503, why=str(error))
    if isinstance(shown, Response):
        return shown
    context = {
        "t": asked.tongue, "link": asked.links, "w": words, "languages": NAMES,
        "trouble": desk.trouble, "everything": desk.settings.everything,
        "names": desk.names, "page": shown.name, "review_of": desk.decisions.reviews(), "iso": iso,
        **shown.values,
    }  # fmt: skip
    text = rooms[tag].get_template(f"{shown.name}.html").render(context)
    answer = Response(text, shown.status, media_type="text/html; charset=utf-8")
    if "token" in shown.values and request.cookies.get(COOKIE) != asked.cookie:
        answer.set_cookie(COOKIE, asked.cookie, httponly=True, samesite="strict")
    return answer


def _asked(desk: Desk, request: Request) -> Asked:
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return Asked(
        desk, Tongue(_tag(request)), Links(here), request.query_params, request.path_params,
        request.url.hostname or "", request.cookies.get(COOKIE) or desk.forms.fresh(),
        request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"),
    )  # fmt: skip


async def _decided(desk: Desk, page: Callable[[Page], Answering], request: Request) -> Response:
    """Take up a form of the review, and lead back to where it stood."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST:
            break
    headers = {key.lower(): value for key, value in request.headers.items()}

    def done() -> str:
        form = desk.forms.read(headers, request.cookies, body)
        return reviewing.decide(_asked(desk, request), form)

    try:
        return RedirectResponse(await run_in_threadpool(done), 303)
    except ForgedError as error:
        wrong = partial(failed, status=403, why=str(error))
    except UsageError as error:
        wrong = partial(failed, status=400, why=str(error))
    except VanishedError as error:
        wrong = partial(failed, status=503, why=str(error))
    return await page(wrong)(request)


def _room(tag: str) -> Environment:
    """Templates in one language."""
    return environment(tag, "vanished.publish.desk")


def _tag(request: Request) -> str:
    for given in (request.query_params.get(LANGUAGE), request.cookies.get(LANGUAGE)):
        if given in NAMES:
            return given
    return chosen(request.headers.get("accept-language", ""))


async def _language(request: Request) -> Response:
    """Remember a language and go back; never anywhere but to a page of ours."""
    tag, to = request.path_params["tag"], request.query_params.get("to", "/")
    parts = urlsplit(to)
    if (
        tag not in NAMES
        or parts.scheme
        or parts.netloc
        or not to.startswith("/")
        or to[1:2] in "/\\"
    ):
        to = "/"
    answer = RedirectResponse(to, 303)
    if tag in NAMES:
        answer.set_cookie(LANGUAGE, tag, max_age=31_536_000, httponly=True, samesite="lax")
    return answer


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    file = files("vanished.publish.desk").joinpath(f"static/{name}")
    kind = _TYPES.get(name.rpartition(".")[2])
    if kind is None or "/" in name or "\\" in name or not file.is_file():
        return PlainTextResponse("There is no such file.", 404)
    return Response(file.read_bytes(), media_type=kind)
