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


class Server(uvicorn.Server):
    """Serves until SIGINT or SIGTERM: then requests in flight end after the round that runs."""

    def __init__(
        self,
        service: Service,
        api_key: str | None,
        ready: Callable[[], None],
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """``ready`` is called when connections are taken, ``ended`` when the last request has ended."""
        config = uvicorn.Config(
            app(service, api_key),
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_PATIENCE,
        )
        super().__init__(config)
        self._service, self._ready, self._ended = service, ready, ended

    def serve_at(self, bound: socket.socket) -> None:
        """Take connections there, until told to stop."""
        try:
            self.run([bound])
        finally:
            self._service.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what is in flight, tell its clients, and close."""
        self._service.scheduler.close()
        await super().shutdown(sockets)
        self._service.close()
        self._ended()  # here, because what comes next is the signal once more
