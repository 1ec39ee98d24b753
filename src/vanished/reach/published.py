"""The copy of a measurement that may leave this machine.

In: a measurement and an `Own`. Out: the copy, and its line. Of who measured it says the AS, the
country and the hour, nothing else. Bodies stay here: the copy has their SHA-256, of the body as the
local record has it, so that whoever holds a page can compare. Of headers, names are kept and a few
values that say who answered; raw DNS answers, notes and runtimes are left out. The verdict is in
`x_vanished`; rules that read pages cannot draw it again from the copy.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from urllib.parse import urlsplit

from vanished.reach.ooni_json import to_json
from vanished.reach.own import SCRUBBED, Own
from vanished.reach.record import Control, Measurement, Ours, TestKeys
from vanished.reach.scrub import scrubbed, scrubbed_bytes
from vanished.reach.steps import Exchange, Headers, HeadersList, Query, Request, Response, raw, text

SHOWN = frozenset(
    [
        "content-type",
        "content-length",
        "content-encoding",
        "server",
        "location",
        "status",
        "strict-transport-security",
        "alt-svc",
        "x-powered-by",
    ]
)
"""Headers whose values are kept; they say who answered, and not to whom."""


def published(measurement: Measurement, own: Own) -> Measurement:
    """The copy that may leave."""
    seen = scrubbed(measurement, own)
    keys = seen.keys
    return replace(
        seen,
        measurement_start_time=hour(seen.measurement_start_time),
        test_start_time=hour(seen.test_start_time),
        test_runtime=0.0,
        probe_network_name=None,
        resolver_asn=None,
        resolver_network_name=None,
        report_id="",
        measurement_uid=None,
        annotations=None,
        test_keys=None if seen.test_keys is None else _keys(keys),
    )


def published_line(measurement: Measurement, own: Own) -> bytes:
    """Its line of JSON, without the end; scrubbed a second time."""
    return scrubbed_bytes(to_json(published(measurement, own)), own)


def hour(moment: str) -> str:
    """A time of a record ("YYYY-MM-DD HH:MM:SS") cut to its hour; "" if it is none."""
    return f"{moment[:13]}:00:00" if len(moment) >= 13 else ""


def _keys(keys: TestKeys) -> TestKeys:
    block = keys.x_vanished or Ours()
    exchanges = keys.requests or ()
    hashes = {
        f"requests/{number}": hashlib.sha256(held).hexdigest()
        for number, one in enumerate(exchanges)
        if one.response and (held := raw(one.response.body))
    }
    return replace(
        keys,
        queries=_queries(keys.queries),
        x_dns_duplicate_responses=_queries(keys.x_dns_duplicate_responses),
        control=keys.control and _control(keys.control),
        requests=None if keys.requests is None else tuple(map(_exchange, exchanges)),
        x_vanished=replace(
            block,
            bodies={**(block.bodies or {}), **hashes} or None,
            # A control that only one volunteer uses would tie all reports of one person together.
            control=block.control and replace(block.control, vantage=""),
        ),
    )


def _control(seen: Control) -> Control:
    """The control's page may say where the control, or the far end of a go-around, stands."""
    page = seen.http_request
    return replace(seen, http_request=page and replace(page, headers=_shown(page.headers)))


def _queries(queries: tuple[Query, ...] | None) -> tuple[Query, ...] | None:
    return queries and tuple(replace(one, raw_response=None) for one in queries)


def _exchange(one: Exchange) -> Exchange:
    return replace(
        one,
        request=one.request and _request(one.request),
        response=one.response and _response(one.response),
    )


def _request(asked: Request) -> Request:
    return replace(
        asked,
        body=None,
        headers=_shown(asked.headers),
        headers_list=_shown_list(asked.headers_list),
    )


def _response(answer: Response) -> Response:
    return replace(
        answer,
        body=None,
        headers=_shown(answer.headers),
        headers_list=_shown_list(answer.headers_list),
        locations=answer.locations and tuple(_bare(one) for one in answer.locations),
    )


def _shown(held: Headers | None) -> Headers | None:
    return held and {name: _value(name, text(value)) for name, value in held.items()}


def _shown_list(held: HeadersList | None) -> HeadersList | None:
    return held and tuple((name, _value(text(name), text(value))) for name, value in held)


def _value(name: str, value: str) -> str:
    if name.lower() not in SHOWN:
        return SCRUBBED
    return _bare(value) if name.lower() == "location" else value


def _bare(url: str) -> str:
    """A URL without its query and fragment: block pages are told there who asked for what."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return SCRUBBED
    return parts._replace(query=SCRUBBED if parts.query else "", fragment="").geturl()
