"""The LLM protocol: messages in, chunks of text out.

An LLM yields text while it writes, in whole characters, and stops when its run is cancelled. It
keeps no conversation.
"""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from engine.budget import Rate
from engine.run import Run
from engine.schema import ChatMessage
from engine.timing import CallRecord


class ContextFormat(StrEnum):
    """The part of the passages in a prompt: the most relevant sentences, or whole passages."""

    SENTENCES = "sentences"
    PASSAGES = "passages"


@dataclass(frozen=True, slots=True)
class LLMMetadata:
    """Facts about a model. `context_window`: tokens of prompt and answer together. `model_file`:
    the GGUF file, if the model runs on this machine. `parameters`: how many it has, if known."""

    model_name: str
    context_window: int
    can_stream: bool = True
    native_tools: bool = False
    context_format: ContextFormat = ContextFormat.PASSAGES
    model_file: Path | None = None
    parameters: int | None = None


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How to write an answer. `temperature` 0 is greedy.

    max_tokens: of the answer. stop: texts that end the answer and are not part of it. json_schema:
    the answer is JSON that fits this schema. grammar: the answer fits this GBNF grammar. For
    measuring: without `reuse`, kept prompt states are not used; with `ignore_eos`, the answer has
    exactly max_tokens tokens.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    json_schema: dict[str, Any] | None = None
    grammar: str | None = None
    reuse: bool = True
    ignore_eos: bool = False


class LLM(ABC):
    """A language model. Safe to use from many threads at once."""

    @property
    @abstractmethod
    def metadata(self) -> LLMMetadata: ...

    @abstractmethod
    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """The length of the prompt of these messages in tokens, including the template."""

    def unread(self, messages: Sequence[ChatMessage]) -> int:
        """The number of tokens of the prompt that are in no kept state."""
        return self.count_tokens(messages)

    @property
    def reading_rate(self) -> Rate | None:
        """The time to the first token at the present load. None while it is not known."""
        return None

    @abstractmethod
    def stream_chat(
        self,
        messages: Sequence[ChatMessage],
        options: GenerationOptions = GenerationOptions(),
        run: Run | None = None,
        call: CallRecord | None = None,
    ) -> Iterator[str]:
        """Write the next message, chunk by chunk. Chunks are never empty.

        Fills `call`, the record of this call in `run.trace`; None begins a new record. Reports
        progress, and raises Cancelled soon after `run.cancel()`. Closing the iterator stops the
        model. A model that cannot stream yields one chunk.

        Raises:
            PromptTooLongError: before anything is computed.
            GenerationError, ServerError: after all chunks that came before.
        """

    def write_chat(
        self,
        write: Callable[[str], None],
        messages: Sequence[ChatMessage],
        options: GenerationOptions = GenerationOptions(),
        run: Run | None = None,
        call: CallRecord | None = None,
    ) -> None:
        """Like `stream_chat`, but pass each chunk to `write`, and return at the end.

        A model that computes on its own threads calls `write` on them, so that no further thread
        delays a chunk. `write` must not block.
        """
        for chunk in self.stream_chat(messages, options, run, call):
            write(chunk)

    def prepare(self, messages: Sequence[ChatMessage], run: Run | None = None) -> None:  # noqa: B027
        """Read the beginning of future prompts, while no question is asked, and keep its state.

        In those prompts, the last message may have more text. This blocks until the beginning is
        read. Questions interrupt the reading, which continues afterwards. If the model keeps no
        states, this does nothing.

        Raises:
            Cancelled: `run` was cancelled, or the model closed.
        """

    def prepared(self, messages: Sequence[ChatMessage]) -> float:  # noqa: ARG002
        """The share of the beginning whose state is kept, 0 to 1."""
        return 0.0

    @property
    def state_room(self) -> float:
        """The share of the memory for kept states that is free, 0 to 1."""
        return 1.0

    def keep_states(self, folder: Path) -> None:
        """Keep what `prepare` has read in files of this folder, and use those that are there.

        A model that keeps nothing deletes them: nobody would delete them with their documents.
        """
        shutil.rmtree(folder, ignore_errors=True)

    def forget(self) -> None:  # noqa: B027 - most models keep nothing
        """Drop the states of earlier prompts, which may contain text of deleted documents."""

    def chat(
        self,
        messages: Sequence[ChatMessage],
        options: GenerationOptions = GenerationOptions(),
        run: Run | None = None,
    ) -> ChatMessage:
        """Write the whole next message."""
        return ChatMessage("assistant", "".join(self.stream_chat(messages, options, run)))

    def complete(self, prompt: str, options: GenerationOptions = GenerationOptions()) -> str:
        """Write the answer to one user message."""
        return self.chat([ChatMessage("user", prompt)], options).content
