"""The API's document, written from the endpoints that answer.

In: the endpoints. Out: an OpenAPI 3.1 document as an object for JSON. Nothing is stated here that
is not stated there; errors are problem documents (RFC 9457) with one sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from vanished import __version__
from vanished.publish.api.endpoints import ENDPOINTS, Endpoint
from vanished.publish.api.fields import object_of

PROBLEM: Final = "application/problem+json"
PROBLEMS: Final = {
    "400": "What was asked for is not understood.",
    "404": "What was asked for is not here.",
    "405": "Only reading is done here.",
    "429": "Asked too often; Retry-After says in how many seconds to ask again.",
    "503": "The observatory cannot be read now.",
}
PROBLEM_SCHEMA: Final = object_of(
    {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "one sentence: what, where, what to do"},
    },
    "an error (RFC 9457)",
)
_ETAG: Final = {
    "ETag": {
        "description": "Changes when the answer may have; give it back as If-None-Match.",
        "schema": {"type": "string"},
    }
}
_AGAIN: Final = {
    "Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}
}


def document(endpoints: Sequence[Endpoint] = ENDPOINTS) -> dict[str, Any]:
    """The document of these endpoints."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Vanished",
            "version": __version__,
            "description": "What an observatory of censorship found, read only, for its team.",
        },
        "servers": [{"url": "/api/1"}],
        "paths": {one.path: {"get": _operation(one)} for one in endpoints},
        "components": {"schemas": {"Problem": PROBLEM_SCHEMA}},
    }


def _operation(one: Endpoint) -> dict[str, Any]:
    return {
        "operationId": one.name,
        "summary": one.says,
        "parameters": [parameter.stated for parameter in one.parameters],
        "responses": {
            "200": {
                "description": one.says,
                "headers": _ETAG,
                "content": {one.media: _form(one)},
            },
            "304": {"description": "Nothing changed since If-None-Match.", "headers": _ETAG},
            **{
                status: {
                    "description": says,
                    "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
                    **({"headers": _AGAIN} if status == "429" else {}),
                }
                for status, says in PROBLEMS.items()
            },
        },
    }


def _form(one: Endpoint) -> dict[str, Any]:
    """What is sent; OpenAPI 3.1 has no word for the lines of a stream, so ours stands beside."""
    if one.media == "application/jsonl":
        return {"schema": {"type": "string"}, "x-each-line": dict(one.schema)}
    return {"schema": dict(one.schema)}
