"""LlamaCpp: a GGUF model on this machine, behind the LLM protocol.

    messages → tokens → job → runtime → pieces of text

It does not know what is asked, and keeps no conversation; kept states are the runtime's.
"""

import atexit
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.config import Config, load_config
from engine.cores import cores
from engine.errors import PromptTooLongError
from engine.llm.base import LLM, GenerationOptions, LLMMetadata, Packing
from engine.llm.binding import Model
from engine.llm.job import Job
from engine.llm.runtime import Runtime
from engine.llm.sampling import Sampler
from engine.llm.states import StateStore
from engine.llm.template import PromptTemplate
from engine.llm.text import COMBINING, TextAssembler
from engine.llm.tuning import Tuning
from engine.run import Run
from engine.schema import ChatMessage
from engine.timing import CallRecord
from engine.weights import ensure_weights


class LlamaCpp(LLM):
    """A local model. Safe to use from many threads; `close` frees it.

    Raises:
        LLMError: the file is no chat model that llama.cpp can run, or memory is short.
    """

    def __init__(
        self,
        model_path: str | Path | None = None,
        *,
        tuning: Tuning | None = None,
        config: Config | None = None,
    ) -> None:
        config = config or load_config()
        path = Path(model_path or config.chat_model or _default_weights(config))
        model = Model(path, config.gpu_layers)
        self._template = PromptTemplate(model)
        self._tuning = tuning or Tuning()
        self._model = model
        states = StateStore(config.state_cache_mb * 2**20)
        self._runtime = Runtime(model, self._tuning, states, cores())
        atexit.register(_close, weakref.ref(self))

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(self._model.name, self._tuning.window, packing=Packing.SENTENCES)

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        return len(self._template.tokens(messages))

    def stream_chat(
        self,
        messages: Sequence[ChatMessage],
        options: GenerationOptions = GenerationOptions(),
        run: Run | None = None,
    ) -> Iterator[str]:
        run = run or Run()
        job = self._job(messages, options, run)
        forget = run.on_cancel(lambda: self._runtime.stop(job))
        try:
            self._runtime.submit(job)
            yield from job.pieces.read()
        finally:
            self._runtime.stop(job)  # nothing where it has ended
            forget()

    def forget(self) -> None:
        self._runtime.states.clear()

    def close(self) -> None:
        """Stop every answer, end the threads, free the memory."""
        self._runtime.close()

    def _job(self, messages: Sequence[ChatMessage], options: GenerationOptions, run: Run) -> Job:
        record = _record(run)
        with run.span("tokenise"):
            prompt = self._template.tokens(messages)
        record.prompt_tokens = len(prompt)
        if len(prompt) > self._tuning.window:
            raise PromptTooLongError(len(prompt), self._tuning.window)
        room = self._tuning.window - len(prompt) + 1  # the last token need not be read again
        combining = any(COMBINING.search(message.content) for message in messages)
        return Job(
            prompt,
            options,
            run,
            record,
            min(options.max_tokens, room),
            Sampler(self._model, options),
            TextAssembler(options.stop, combining),
        )


def _record(run: Run) -> CallRecord:
    """The call that the layer above has begun, or a new one."""
    calls = run.trace.calls
    return calls[-1] if calls and not calls[-1].finish_reason else run.trace.begin_call("chat")


def _default_weights(config: Config) -> Path:
    return ensure_weights(config.weights_dir).chat_model


def _close(reference: "weakref.ref[LlamaCpp]") -> None:
    if llm := reference():
        llm.close()
