"""The process around the routes: its socket, its start and its end."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from anydraft.errors import ArgumentError
from anydraft.serving.app import app
from anydraft.serving.service import Service

_PATIENCE = 5
"""Seconds that open connections have after the server was told to stop."""


def bind(host: str, port: int) -> socket.socket:
    """A socket that nobody can connect to yet; ``port`` 0: any free one.

    Raises:
        ArgumentError: no such address here, or one that is taken.
    """
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except (OSError, OverflowError) as error:
        made.close()
        raise ArgumentError(
            f"got the address {host} and the port {port}, which cannot be bound ({error}); expected an "
            "address of this machine and a free port; --port 0 takes any"
        ) from error
    return made


def run(service: Service, bound: socket.socket, api_key: str | None, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; ``ready`` is called when connections are taken.

    Then requests in flight end after the round that runs, and their clients are told.
    """
    config = uvicorn.Config(
        app(service, api_key),
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE,
    )
    try:
        _Server(config, service, ready).run([bound])
    finally:
        service.close()
        service.scheduler.join(_PATIENCE)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._ready = service, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.close()
        await super().shutdown(sockets)
