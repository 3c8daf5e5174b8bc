"""What callers send, checked: the parameters of OpenAI's API that First Token has, and its own.

A parameter that OpenAI has and First Token cannot honour is accepted with the value that changes
nothing, and refused otherwise. A name that nobody knows is refused, as OpenAI does.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.requests import Request
from starlette.types import Receive

from engine.api.filtering import DocumentFilters
from engine.api.problems import Problem
from engine.config import default_config
from engine.llm.base import ContextFormat, GenerationOptions
from engine.schema import ChatMessage
from engine.synthesis import ResponseMode

Parameters = TypeVar("Parameters", bound="Body")


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Part(BaseModel):
    """A part of a message. Only text can be read."""

    type: str
    text: str = ""


class Message(BaseModel):
    """`role` and text; other fields of OpenAI's messages are ignored."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None

    @field_validator("content")
    @classmethod
    def _only_text(cls, content: str | list[Part] | None) -> str | list[Part] | None:
        if isinstance(content, list):
            other = [part.type for part in content if part.type not in ("text", "refusal")]
            if other:
                raise ValueError(f"First Token reads text only, and this is {other[0][:40]}")
        return content

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


# Parameters of OpenAI's that First Token does not have
NEUTRAL = (
    *("n", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs"),
    *("tools", "tool_choice", "functions", "response_format", "modalities"),
    "rewrite_query",
)


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(Body):
    """POST /v1/chat/completions."""

    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    seed: int | None = None

    # First Token's own
    passages: Annotated[int, Field(ge=1, le=10)] = 3
    filters: DocumentFilters | None = None
    response_mode: ResponseMode = ResponseMode.COMPACT
    first_token_budget: Annotated[float, Field(ge=0)] | None = None  # None: .env's; 0: no limit
    context_format: ContextFormat | None = None  # None: what suits the model
    ignore_eos: bool = False  # for measuring: exactly max_tokens tokens are written
    cache_prompt: bool = True  # for measuring: without it, kept prompt states are not used
    trace: bool = False  # for measuring: the answer carries every stage and the time of each token

    # Accepted, and without effect
    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    parallel_tool_calls: bool | None = None
    # Accepted with the value that changes nothing (NEUTRAL)
    n: Literal[1] | None = None
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    presence_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None
    logprobs: Literal[False] | None = None
    top_logprobs: Literal[0] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    functions: Annotated[list[Any], Field(max_length=0)] | None = None
    response_format: dict[Literal["type"], Literal["text"]] | None = None
    modalities: list[Literal["text"]] | None = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def question(self) -> str:
        """The last message of the user.

        Raises:
            Problem: there is none.
        """
        for message in reversed(self.messages):
            if message.role == "user":
                return message.text
        raise Problem(400, "No message is from the user. Send the question.", param="messages")

    @property
    def history(self) -> list[ChatMessage]:
        """What was said before the question."""
        last = max(place for place, each in enumerate(self.messages) if each.role == "user")
        return [
            ChatMessage("user" if each.role == "user" else "assistant", each.text)
            for each in self.messages[:last]
            if each.role in ("user", "assistant") and each.text
        ]

    @property
    def budget(self) -> float | None:
        """The longest wait for the first word, in seconds; None: no limit."""
        chosen = self.first_token_budget
        return (default_config().first_token_budget if chosen is None else chosen) or None

    @property
    def options(self) -> GenerationOptions:
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        default = GenerationOptions()
        return GenerationOptions(
            max_tokens=self.max_completion_tokens or self.max_tokens or default.max_tokens,
            temperature=self.temperature or 0.0,
            top_p=self.top_p or default.top_p,
            seed=(self.seed or 0) % 2**32,
            stop=tuple(text for text in stop if text),
            reuse=self.cache_prompt,
            ignore_eos=self.ignore_eos,
        )


async def read(request: Request, kind: type[Parameters]) -> Parameters:
    """The body of a request.

    Raises:
        Problem: it is not JSON, or a parameter cannot be used. What was sent is not repeated.
    """
    try:
        return kind.model_validate_json(await request.body())
    except ValidationError as fault:
        error = fault.errors(include_input=False, include_url=False)[0]
    param = ".".join(str(part) for part in error["loc"]) or None
    match error["type"]:
        case "json_invalid":
            raise Problem(400, "The body of the request is not JSON.") from None
        case "extra_forbidden":
            message = f"Unrecognized request argument supplied: {param}"
            raise Problem(400, message, param=param, code="unknown_parameter") from None
        case "missing":
            message = f"Missing required parameter: {param}"
            raise Problem(400, message, param=param, code="missing_required_parameter") from None
        case _ if error["loc"] and error["loc"][0] in NEUTRAL:
            message = f"First Token does not support {error['loc'][0]}. Leave it out."
            param = str(error["loc"][0])
            raise Problem(400, message, param=param, code="unsupported_parameter") from None
        case _:
            message = f"{param or 'The body'} cannot be used: {error['msg']}."
            raise Problem(400, message, param=param, code="invalid_value") from None


@asynccontextmanager
async def stopped_when_left(receive: Receive, stop: Callable[[], None]) -> AsyncIterator[None]:
    """Call `stop` when the caller closes the connection. The request's body has been read."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        stop()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
