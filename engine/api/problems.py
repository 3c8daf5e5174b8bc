"""Errors in OpenAI's shape: {"error": {"message", "type", "param", "code"}}, with our sentences."""

import logging
import secrets
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from engine.errors import (
    ConfigError,
    DocumentError,
    DuplicateDocumentError,
    FirstTokenError,
    PromptTooLongError,
    QuestionError,
    ServerError,
    StoreInUseError,
    WeightsError,
)

log = logging.getLogger(__name__)


class Problem(Exception):  # noqa: N818 - an answer to a request
    """A request that is refused: its HTTP status, and what OpenAI's shape says of it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.kind = status, message, kind
        self.param, self.code, self.headers = param, code, headers

    @property
    def body(self) -> dict[str, Any]:
        error = {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }
        return {"error": error}

    def response(self) -> JSONResponse:
        return JSONResponse(self.body, self.status, self.headers)


def problem_of(error: BaseException) -> Problem:
    """What the caller is answered. An error that nobody expected is logged with an id."""
    match error:
        case Problem():
            return error
        case QuestionError():
            return Problem(400, str(error), param="messages")
        case PromptTooLongError():
            code = "context_length_exceeded"
            return Problem(400, str(error), param="messages", code=code)
        case DuplicateDocumentError():
            return Problem(409, str(error), param="file")
        case DocumentError():
            return Problem(400, str(error), param="file")
        case ConfigError() | WeightsError() | StoreInUseError():
            return Problem(503, str(error), kind="server_error")
        case ServerError():
            return Problem(502, str(error), kind="server_error")
        case FirstTokenError():
            return Problem(500, str(error), kind="server_error")
        case HTTPException(status_code=405):
            return Problem(405, "This address does not take this method.", headers=error.headers)  # type: ignore[arg-type]
        case HTTPException(status_code=404):
            return Problem(404, "There is nothing at this address. GET /v1/models answers.")
        case HTTPException():
            return Problem(error.status_code, error.detail)
        case _:
            error_id = secrets.token_hex(4)
            log.error("Error %s in the API", error_id, exc_info=error)
            return Problem(
                500,
                f"Something went wrong ({error_id} in the log). Try again.",
                kind="server_error",
            )
