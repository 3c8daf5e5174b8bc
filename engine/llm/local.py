"""LlamaCpp: a GGUF model on this machine, behind the LLM protocol.

    messages → tokens → job → scheduler → chunks of text
"""

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.budget import Rate, RateEstimate
from engine.config import Config, default_config
from engine.cores import cores
from engine.errors import LLMError, PromptTooLongError
from engine.llm.base import LLM, ContextFormat, GenerationOptions, LLMMetadata
from engine.llm.binding import VERSION
from engine.llm.job import Job
from engine.llm.model import Model
from engine.llm.pace import ThreadChoice
from engine.llm.probe import physical_memory, probe
from engine.llm.sampling import Sampler
from engine.llm.scheduler import Scheduler
from engine.llm.state_files import StateFiles
from engine.llm.states import StateStore
from engine.llm.template import PromptTemplate
from engine.llm.text import COMBINING, TextAssembler
from engine.llm.tuning import Figures, Tuning, tuned
from engine.machine import fingerprint
from engine.run import Run
from engine.schema import ChatMessage
from engine.timing import CallRecord
from engine.weights import RECORD, ensure_weights

# Models with fewer parameters answer best from one or two sentences. Measured for 135 million
# parameters (0.62 of the answers are right from one sentence, 0.44 from the paragraph). The bound
# is a guess.
SMALL = 1_000_000_000


class LlamaCpp(LLM):
    """A local model. Safe to use from many threads; `close` frees it.

    `model_path`: by default CHAT_MODEL in .env, or the default weights. `tuning`: by default chosen
    for the machine and .env.

    Raises:
        LLMError: llama.cpp cannot run the file as a chat model, or memory is short.
    """

    def __init__(
        self,
        model_path: str | Path | None = None,
        *,
        tuning: Tuning | None = None,
        config: Config | None = None,
    ) -> None:
        config = config or default_config()
        path = Path(
            model_path or config.chat_model or ensure_weights(config.weights_dir).chat_model
        )
        found = probe(path, cores(), config.weights_dir / RECORD, config.gpu_layers)
        self._tuning = tuning or tuned(
            found,
            cores().total,
            physical_memory(),
            config.context_window,
            deterministic=config.deterministic or not found.switches.flash_attention,
        )
        self._figures = found.figures
        switches = found.switches
        switches.apply()
        self._gpu_layers = config.gpu_layers if switches.gpu else 0
        self._switched_off = switches.off
        self._model = Model(path, self._gpu_layers, switches.extra_buffers)
        self._template = PromptTemplate(self._model)
        # A prompt is counted, planned with and then written from
        self._tokens_of = lru_cache(maxsize=8)(self._template.tokens)
        states = StateStore(config.state_cache_mb * 2**20, self._model.keeps_every_token)
        self._restored = threading.Event()
        self._restored.set()
        threads = ThreadChoice({int(n): seconds for n, seconds in found.figures.by_threads})
        self._scheduler = Scheduler(self._model, self._tuning, states, cores(), threads)
        measured = found.figures.prefill
        self._rate = RateEstimate(Rate(found.figures.alone, 1 / measured) if measured else None)
        weakref.finalize(self, self._scheduler.close)  # at the latest when the process ends

    @property
    def metadata(self) -> LLMMetadata:
        small = self._model.parameters < SMALL
        return LLMMetadata(
            self._model.name,
            self._tuning.window,
            context_format=ContextFormat.SENTENCES if small else ContextFormat.PASSAGES,
            model_file=self._model.path,
            parameters=self._model.parameters,
        )

    @property
    def figures(self) -> Figures:
        """What calibration measured on this machine."""
        return self._figures

    @property
    def settings(self) -> dict[str, Any]:
        """The runtime's settings, for pages and traces. Threads and slices are chosen for each
        step, and are in each trace."""
        return {
            "model": self._model.path.name,
            "llama_cpp": VERSION,
            "cores": self._scheduler.cores.total,
            "gpu_layers": self._gpu_layers,
            "switched_off": ", ".join(self._switched_off),
            **asdict(self._tuning),
        }

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        return len(self._tokens(messages))

    def unread(self, messages: Sequence[ChatMessage]) -> int:
        tokens = self._tokens(messages)
        slicing = self._tuning.slicing
        room = slicing.reusable(len(tokens), len(tokens))
        return len(tokens) - slicing.floor(self._scheduler.states.kept(tokens[:room]))

    @property
    def reading_rate(self) -> Rate | None:
        rate = self._rate.rate
        return rate and rate.beside(self.jobs)

    def stream_chat(
        self,
        messages: Sequence[ChatMessage],
        options: GenerationOptions = GenerationOptions(),
        run: Run | None = None,
        call: CallRecord | None = None,
    ) -> Iterator[str]:
        yield from self._chunks(self._job(messages, options, run or Run.begin(), call))

    def write_chat(
        self,
        write: Callable[[str], None],
        messages: Sequence[ChatMessage],
        options: GenerationOptions = GenerationOptions(),
        run: Run | None = None,
        call: CallRecord | None = None,
    ) -> None:
        faults: list[Exception] = []

        def write_or_stop(chunk: str) -> None:
            """Runs on the worker's thread, which an error must not end: it has other answers."""
            try:
                write(chunk)
            except Exception as error:
                faults.append(error)
                job.abandon()

        job = self._job(messages, options, run or Run.begin(), call, write_or_stop)
        try:
            for _ in self._chunks(job):
                pass
        finally:
            if faults:
                raise faults[0]

    def prepare(self, messages: Sequence[ChatMessage], run: Run | None = None) -> None:
        """Read the beginning of future prompts, while no question is asked, and keep its state.

        In those prompts, the last message may have more text. This blocks until the beginning is
        read. Questions interrupt the reading, which continues afterwards.

        Raises:
            Cancelled: `run` was cancelled, or the model closed.
        """
        run = run or Run.begin()
        self._restored.wait()  # it may have been read before the last restart
        tokens = self._template.beginning(messages)[: self._tuning.window]
        if self._scheduler.states.kept(tokens) < len(tokens):
            call = run.trace.begin_call("prepare")
            shared_prefix = self._shared_prefix(messages)
            job = Job(tokens, GenerationOptions(), run, call, shared_prefix)
            for _ in self._chunks(job):
                pass

    def prepared(self, messages: Sequence[ChatMessage]) -> float:
        """The share of the beginning whose state is kept, 0 to 1."""
        tokens = self._template.beginning(messages)
        return self._scheduler.states.kept(tokens) / len(tokens)

    @property
    def state_room(self) -> float:
        states = self._scheduler.states
        return 1 - states.size / states.budget if states.budget else 0.0

    def keep_states(self, folder: Path) -> None:
        store, model, tuning = self._scheduler.states, self._model, self._tuning
        file = model.path.stat()
        key = [
            model.path.name, file.st_size, file.st_mtime_ns, model.chat_template, VERSION,
            fingerprint(), self._gpu_layers, model.extra_buffers, tuning.slicing,
            tuning.flash_attention, tuning.cache_type,
        ]  # fmt: skip
        files = StateFiles(folder, key, store.budget)

        def restore() -> None:
            try:
                store.keep_in(files)
            finally:
                self._restored.set()

        self._restored.clear()
        threading.Thread(target=restore, name="states", daemon=True).start()

    def forget(self) -> None:
        """Drop all kept states with their texts."""
        self._tokens_of.cache_clear()
        self._scheduler.states.clear()

    @property
    def jobs(self) -> int:
        """The number of running and waiting answers, without background jobs."""
        return self._scheduler.interactive_jobs

    @property
    def idle(self) -> bool:
        """Whether no job is running or waiting, including background jobs."""
        return self._scheduler.idle

    def close(self) -> None:
        """Stop every answer, end the threads, free the memory."""
        self._scheduler.close()

    def _chunks(self, job: Job) -> Iterator[str]:
        began, alone = job.run.trace.now(), not self.jobs
        forget = job.run.on_cancel(lambda: self._scheduler.stop(job))
        try:
            self._scheduler.submit(job)
            yield from job.chunks.read()
        finally:
            self._scheduler.stop(job)  # does nothing if it has ended
            forget()
            if alone and job.record.token_times:
                seconds = job.record.token_times[0] - began
                self._rate.record(job.prompt_length - job.reused, seconds)

    def _job(
        self,
        messages: Sequence[ChatMessage],
        options: GenerationOptions,
        run: Run,
        call: CallRecord | None,
        write: Callable[[str], None] | None = None,
    ) -> Job:
        record = call or run.trace.begin_call("chat")
        record.settings = self.settings
        try:
            with run.span("tokenise"):
                prompt = self._tokens(messages)
                shared_prefix = self._shared_prefix(messages) if options.reuse else 0
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
        return Job(
            prompt, options, run, record, shared_prefix, limit, sampler, assembler, write
        )

    def _tokens(self, messages: Sequence[ChatMessage]) -> list[int]:
        return self._tokens_of(tuple(messages))

    def _shared_prefix(self, messages: Sequence[ChatMessage]) -> int:
        """The length of the system message's part, which most prompts share."""
        if not messages or messages[0].role != "system":
            return 0
        return len(self._template.beginning(messages[:1]))
