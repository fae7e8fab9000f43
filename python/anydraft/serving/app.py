"""The routes."""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from anydraft.serving.errors import RequestError, as_request_error, client_gone
from anydraft.serving.listener import while_there
from anydraft.serving.metrics import TYPE
from anydraft.serving.requests import ChatRequest, CompletionRequest, read
from anydraft.serving.service import Service

LARGEST = 16 * 1024 * 1024
"""Bytes of a body."""


def app(service: Service, api_key: str | None = None) -> Starlette:
    """The server's routes; with ``api_key`` those of the interface ask for it."""

    async def chat(request: Request) -> Response:
        return await answer(service, request, ChatRequest)

    async def complete(request: Request) -> Response:
        return await answer(service, request, CompletionRequest)

    async def models(request: Request) -> Response:
        name = request.path_params.get("name", service.name)
        if name != service.name:
            said = f"got the model {name!r}; expected {service.name!r}, the one that is served here"
            raise RequestError(said, status=404, param="model", code="model_not_found")
        one = {"id": name, "object": "model", "created": service.created, "owned_by": "anydraft"}
        return as_json(one if "name" in request.path_params else {"object": "list", "data": [one]})

    async def health(_: Request) -> Response:
        alive = service.scheduler.alive
        return as_json({"status": "ok" if alive else "stopped"}, 200 if alive else 503)

    async def metrics(_: Request) -> Response:
        return Response(service.metrics.text(), headers={"Content-Type": TYPE})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/completions", complete, methods=["POST"]),
            Route("/v1/models", models),
            Route("/v1/models/{name:path}", models),
            Route("/health", health),
            Route("/metrics", metrics),
        ],
        middleware=[] if api_key is None else [Middleware(KeyGuard, key=api_key)],
        exception_handlers={
            RequestError: _failed,
            HTTPException: lambda _, error: refusal(_not_found(error)),
            Exception: _failed,
        },
    )


async def answer(
    service: Service, request: Request, kind: type[ChatRequest] | type[CompletionRequest]
) -> Response:
    """One request. The status waits for the first token, so that what cannot be served is told by it."""
    call = None
    try:
        wanted = read(await body(request), kind, service.name)
        call = await while_there(request.receive, service.begin(wanted))
        if not wanted.stream:
            return as_json(await while_there(request.receive, call.whole()))
        first = await while_there(request.receive, call.first())
        made = EventStream(call.parts(first), call.leave)
        call = None
        return made
    except Exception as error:
        if call is None:
            service.refused(error)
        return refusal(as_request_error(error))
    finally:
        if call is not None:
            call.leave()


async def body(request: Request) -> bytes:
    """The JSON of a request.

    Raises:
        RequestError: another type, which a page in a browser could send without asking; too many bytes; or
            a client that went away.
    """
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise RequestError(f"got the content type {kind!r}; expected application/json", status=415)
    found = bytearray()
    try:
        async for part in request.stream():
            found += part
            if len(found) > LARGEST:
                raise RequestError(f"got a body of more than {LARGEST} bytes; expected fewer", status=413)
    except ClientDisconnect:
        raise client_gone() from None
    return bytes(found)


class EventStream(StreamingResponse):
    """Server-sent events; whatever ends them, ``leave`` is called."""

    def __init__(self, parts: AsyncIterable[bytes], leave: Callable[[], None]) -> None:
        """``parts``: as they are sent."""
        super().__init__(parts, headers={"Cache-Control": "no-cache"}, media_type="text/event-stream")
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


class KeyGuard:
    """Asks for a key at everything under ``/v1``."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        """``key``: what clients must send as ``Authorization: Bearer ...``."""
        self._app = app
        self._expected = f"bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        if scope["type"] == "http" and scope["path"].startswith("/v1") and not self._allowed(scope):
            error = RequestError(
                "got no API key, or a wrong one; expected the header 'Authorization: Bearer KEY'",
                status=401,
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
            await refusal(error)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _allowed(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, key = given.partition(b" ")
        return hmac.compare_digest(scheme.lower() + b" " + key, self._expected)


def as_json(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON in ASCII: what a client sent may be quoted in it, whatever it is."""
    return Response(json.dumps(data), status, headers, "application/json")


def refusal(error: RequestError) -> Response:
    """What a client is told instead of an answer."""
    return as_json(error.body, error.status, error.headers)


async def _failed(_: Request, error: Exception) -> Response:
    return refusal(as_request_error(error))


def _not_found(error: HTTPException) -> RequestError:
    said = "; expected /v1/chat/completions, /v1/completions, /v1/models, /health or /metrics"
    return RequestError(f"{error.detail}{said}", status=error.status_code)
