"""First Token with a part that can be held, so that what is short can be seen.

`slow_frame` makes an app in which only that part is replaced: its first line imports this module,
and calls one of the functions below. A test holds the app there with `hold`, as long as it needs.
"""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import GenerationError
from engine.llm.base import LLM, ContextFormat, GenerationOptions, LLMMetadata
from engine.retrieving import HybridRetriever
from engine.run import Phase, Run
from engine.schema import ChatMessage, NodeWithScore
from engine.settings import Settings
from engine.timing import CallRecord
from engine.workspace import workspace
from engine.workspace.adding import Adder
from engine.workspace.ingestion import Upload

if TYPE_CHECKING:
    from tests.browser import RunningApp  # the app has no use for a browser

ROOT = Path(__file__).resolve().parent.parent

SECONDS = 0.3  # of each phase but the writing, where nothing holds it
HELD_AT = 20  # the word at which an answer waits while the writing is held
PROMPT, SLICES = 480, 12  # tokens, and in how many steps they are read
WORDS = (
    "The lamp of Cold Ness Light gives two white flashes every fifteen seconds. "
    "A friendly whale was seen beside it, which no handbook mentions. "
) * 2
FAILS = "Fail, please"  # a question that asks for a fault after ten words


def slow_frame(folder: Path, install: str = "slow_answers") -> Path:
    """Make `folder` the real app, but for what the function `install` of this module replaces."""
    folder.mkdir()
    for name in (".streamlit", "static", "engine", "pages", "samples", "tests"):
        (folder / name).symlink_to(ROOT / name)
    source = (ROOT / "streamlit_app.py").read_text(encoding="utf-8")
    before = f"import tests.slow\n\ntests.slow.{install}()\n"
    (folder / "streamlit_app.py").write_text(before + source, encoding="utf-8")
    return folder


def hold(app: "RunningApp", phase: str) -> None:
    """Let this app wait in that phase until another one is held; "" holds none."""
    (app.log.parent / "held").write_text(phase, encoding="utf-8")


def is_held(phase: str) -> bool:
    held = Path(os.environ["DATA_DIR"]) / "held"
    return held.exists() and held.read_text(encoding="utf-8") == phase


# Each is called with every run of the page, and puts its parts in place once.


def slow_answers() -> None:
    """A slow model and a slow search. The phases of an answer can be held.

    A page that other programs slow down may fail to renew its hold on an answer for seconds.
    """
    if HybridRetriever.retrieve is not _slow_search:
        workspace.LEASE = 120.0
        Settings.llm = SlowLLM()
        HybridRetriever.retrieve = _slow_search  # type: ignore[method-assign]


def hold_rebuilding() -> None:
    """The phase "rebuilding" comes before each document that is indexed again."""
    if Adder.add_again is not _held_rebuild:
        Adder.add_again = _held_rebuild  # type: ignore[method-assign]


_rebuild = Adder.add_again


def _held_rebuild(self: Adder, upload: Upload) -> None:
    while is_held("rebuilding"):
        time.sleep(0.01)
    _rebuild(self, upload)


_search = HybridRetriever.retrieve


def _slow_search(
    self: HybridRetriever, question: str, run: Run | None = None, earlier: str = ""
) -> list[NodeWithScore]:
    run = run or Run()
    _wait(run, SECONDS, Phase.SEARCHING)
    return _search(self, question, run, earlier)


class SlowLLM(LLM):
    """Waits behind two others, reads in slices, writes a word at a time."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata("slow", 2000, context_format=ContextFormat.SENTENCES)

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        return sum(len(message.content.split()) for message in messages)

    def stream_chat(
        self,
        messages: Sequence[ChatMessage],
        options: GenerationOptions = GenerationOptions(),
        run: Run | None = None,
        call: CallRecord | None = None,
    ) -> Iterator[str]:
        run = run or Run()
        call = call or run.trace.begin_call("chat")
        call.prompt_tokens = PROMPT
        for ahead in (2, 1):
            run.report(Phase.QUEUED, ahead)
            _wait(run, SECONDS / 2, Phase.QUEUED)
        with run.span("prefill"):
            for done in range(0, PROMPT, PROMPT // SLICES):
                run.report(Phase.READING, done, PROMPT)
                _wait(run, SECONDS / SLICES, Phase.READING)
        for number, word in enumerate(WORDS.split(), start=1):
            if number > 10 and FAILS in messages[-1].content:
                raise GenerationError("The model failed in the middle. Ask again.")
            _wait(run, 0.05, Phase.WRITING if number == HELD_AT else None)
            call.token_times.append(run.trace.now())
            call.output_tokens = number
            run.report(Phase.WRITING, number)
            yield f"{word} "


def _wait(run: Run, seconds: float, phase: Phase | None) -> None:
    """Wait this long, and while the phase is held, unless the answer is stopped."""
    until = time.monotonic() + seconds
    while time.monotonic() < until or (phase and is_held(phase)):
        run.check()
        time.sleep(0.01)
