"""What a client is told when a request cannot be served, in the shape that OpenAI's clients read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anydraft.errors import AnydraftError


class RequestError(AnydraftError):
    """A request that is not served, with its status in HTTP."""

    def __init__(
        self,
        said: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """``said``: the sentence; ``param``: the field at fault; ``code``: a word that programs compare."""
        super().__init__(said)
        self.status, self.param, self.code = status, param, code
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object of it."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


def as_request_error(error: Exception) -> RequestError:
    """Any error as what the client is told: one of anydraft's arguments is the client's, others are not."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, AnydraftError) and isinstance(error, ValueError):
        return RequestError(str(error))
    return RequestError(
        f"the model failed ({type(error).__name__}: {error}); the server goes on. Try again, or ask its "
        "operator to look at its log",
        status=500,
        code="model_error",
    )


def shutting_down() -> RequestError:
    """For requests that a server which stops does not finish."""
    return RequestError(
        "the server is shutting down; what came so far is not the whole answer. Try again later",
        status=503,
        code="shutting_down",
    )


def client_gone() -> RequestError:
    """For a request whose client does not wait for the answer; nobody reads it."""
    return RequestError("the client went away", status=499, code="client_gone")
