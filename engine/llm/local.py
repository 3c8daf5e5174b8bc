"""LlamaCpp: a GGUF model on this machine, behind the LLM protocol.

    messages → tokens → job → runtime → pieces of text

It does not know what is asked, and keeps no conversation; kept states are the runtime's.
"""

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.config import Config, load_config
from engine.cores import cores
from engine.errors import LLMError, PromptTooLongError
from engine.llm.base import LLM, GenerationOptions, LLMMetadata, Packing, current_call
from engine.llm.binding import VERSION
from engine.llm.job import Job
from engine.llm.model import Model
from engine.llm.probe import physical_memory, probe
from engine.llm.runtime import Runtime
from engine.llm.sampling import Sampler
from engine.llm.states import StateStore
from engine.llm.template import PromptTemplate
from engine.llm.text import COMBINING, TextAssembler
from engine.llm.tuning import Tuning, tuned
from engine.run import Run
from engine.schema import ChatMessage
from engine.weights import RECORD, ensure_weights

# Parameters below which a model answers best from a sentence or two. Measured at 135 million
# (0.62 of answers right from one sentence, 0.44 from the paragraph); the bound is a guess.
SMALL = 1_000_000_000


class LlamaCpp(LLM):
    """A local model. Safe to use from many threads; `close` frees it.

    `model_path` None means CHAT_MODEL of .env, else the default weights. `tuning` None means what
    suits the machine and .env.

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
        path = Path(
            model_path or config.chat_model or ensure_weights(config.weights_dir).chat_model
        )
        found = probe(path, cores(), config.weights_dir / RECORD, config.gpu_layers)
        self._tuning = tuning or tuned(
            found, cores().total, physical_memory(), config.context_window
        )
        switches = found.switches
        switches.apply()
        self._gpu_layers = config.gpu_layers if switches.gpu else 0
        self._switched_off = switches.off
        self._model = Model(path, self._gpu_layers, switches.extra_buffers)
        self._template = PromptTemplate(self._model)
        states = StateStore(config.state_cache_mb * 2**20, self._model.keeps_every_token)
        self._runtime = Runtime(self._model, self._tuning, states, cores())
        weakref.finalize(self, self._runtime.close)  # at the latest, where the process ends

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(
            self._model.name,
            self._tuning.window,
            packing=Packing.SENTENCES if self._model.parameters < SMALL else Packing.PASSAGES,
            model_file=self._model.path,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """How it runs here, for pages and traces. Threads and slices are chosen step by step,
        and stand in each trace."""
        return {
            "model": self._model.path.name,
            "llama_cpp": VERSION,
            "cores": self._runtime.cores.total,
            "gpu_layers": self._gpu_layers,
            "switched_off": ", ".join(self._switched_off),
            **asdict(self._tuning),
        }

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        return len(self._template.tokens(messages))

    def stream_chat(
        self,
        messages: Sequence[ChatMessage],
        options: GenerationOptions = GenerationOptions(),
        run: Run | None = None,
    ) -> Iterator[str]:
        yield from self._pieces(self._job(messages, options, run or Run()))

    def prepare(self, messages: Sequence[ChatMessage], run: Run | None = None) -> None:
        """Read the beginning of prompts to come, while nobody asks, and keep its state.

        The last message's text may go on in those prompts. Waits until it is done; a question
        interrupts it, and it goes on from there afterwards.

        Raises:
            Cancelled: `run` was cancelled, or the model closed.
        """
        run = run or Run()
        tokens = self._template.beginning(messages)[: self._tuning.window]
        if self._runtime.states.kept(tokens) < len(tokens):
            job = Job(tokens, GenerationOptions(), run, current_call(run), self._common(messages))
            for _ in self._pieces(job):
                pass

    def prepared(self, messages: Sequence[ChatMessage]) -> float:
        """The share of such a beginning whose state is kept, 0 to 1."""
        tokens = self._template.beginning(messages)
        return self._runtime.states.kept(tokens) / len(tokens)

    def forget(self) -> None:
        """Drop all kept states, and the texts with them."""
        self._runtime.states.clear()

    def close(self) -> None:
        """Stop every answer, end the threads, free the memory."""
        self._runtime.close()

    def _pieces(self, job: Job) -> Iterator[str]:
        forget = job.run.on_cancel(lambda: self._runtime.stop(job))
        try:
            self._runtime.submit(job)
            yield from job.pieces.read()
        finally:
            self._runtime.stop(job)  # nothing where it has ended
            forget()

    def _job(self, messages: Sequence[ChatMessage], options: GenerationOptions, run: Run) -> Job:
        record = current_call(run)
        record.settings = self.settings
        try:
            with run.span("tokenise"):
                prompt = self._template.tokens(messages)
                common = self._common(messages) if options.reuse else 0
            record.prompt_tokens = len(prompt)
            if len(prompt) > self._tuning.window:
                raise PromptTooLongError(len(prompt), self._tuning.window)
            sampler = Sampler(self._model, options)
        except LLMError:
            record.finish_reason = "error"
            raise
        room = self._tuning.window - len(prompt) + 1  # the last token need not be read again
        limit = min(options.max_tokens, room)
        combining = any(COMBINING.search(message.content) for message in messages)
        assembler = TextAssembler(options.stop, combining)
        return Job(prompt, options, run, record, common, limit, sampler, assembler)

    def _common(self, messages: Sequence[ChatMessage]) -> int:
        """The length of the system message's part, which most prompts share."""
        if not messages or messages[0].role != "system":
            return 0
        return len(self._template.beginning(messages[:1]))
