"""Search models: embedders and rerankers of fastembed's list, fetched from the hub when chosen.

    chosen name → files in the hub's cache, verified → Embedding, Reranker

Where the files of each are is kept in `search-models.json`, so that a model that was fetched once
is opened without asking the hub.
"""

import functools
import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.config import Config
from engine.durable import write_whole
from engine.embedding import (
    BgeEmbedding,
    CrossEncoder,
    Embedding,
    OnnxEmbedding,
    OnnxReranker,
    Reranker,
)
from engine.errors import ConfigError
from engine.models.asking import Hub
from engine.models.background import BackgroundSwitch, Step
from engine.models.choosing import SearchChoice, save_search_choice
from engine.run import Run

log = logging.getLogger(__name__)

PLACES = "search-models.json"
_WANTED = ("tokenizer.json", "config.json", "tokenizer_config.json", "special_tokens_map.json")
_LANGUAGES = {"English": "en", "German": "de", "Spanish": "es", "Chinese": "zh"}
_MANY = re.compile(r"multi-?lingual", re.IGNORECASE)

OnProgress = Callable[[int, int], None]
"""Called with the bytes that have arrived, and the total."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A model of fastembed's list. languages: ISO 639-1, empty for many. gigabytes: of its files,
    about. dimension: 0 for a reranker."""

    name: str
    repository: str
    model_file: str
    licence: str
    gigabytes: float
    languages: frozenset[str]
    dimension: int = 0


@functools.cache
def embedders() -> tuple[Offered, ...]:
    """Those that work without words of their own before each text, many languages first.

    The default comes with First Token and is not among them.
    """
    from fastembed import TextEmbedding

    found = [
        _offered(each)
        for each in TextEmbedding.list_supported_models()
        if re.search(r"Unimodal.*not necessary", each["description"]) and _is_usable(each)
    ]
    others = [each for each in found if each.name != BgeEmbedding.name]
    return tuple(sorted(others, key=lambda each: (bool(each.languages), each.gigabytes)))


@functools.cache
def rerankers() -> tuple[Offered, ...]:
    from fastembed.rerank.cross_encoder import TextCrossEncoder

    found = [
        _offered(each) for each in TextCrossEncoder.list_supported_models() if _is_usable(each)
    ]
    return tuple(sorted(found, key=lambda each: (bool(each.languages), each.gigabytes)))


def _is_usable(description: dict[str, object]) -> bool:
    """For text, in one ONNX file: onnxruntime refuses further files that are links, and in the
    hub's cache all are."""
    repository = description["sources"].get("hf")  # type: ignore[attr-defined]
    onnx = str(description["model_file"]).endswith(".onnx")
    custom = str(description["model"]).endswith(" in a folder")  # our own
    return bool(repository and onnx and not custom and not description.get("additional_files"))


def _offered(description: dict[str, object]) -> Offered:
    said = str(description["description"])
    named = re.search(r"[Mm]ultilingual \(([A-Z][\w, ]*)\)", said)
    mixed = re.search(r"mixed (\w+)-(\w+)", said)
    names = named[1].split(", ") if named else list(mixed.groups()) if mixed else []
    languages = frozenset(_LANGUAGES[each] for each in names if each in _LANGUAGES)
    if not languages and not _MANY.search(said):
        languages = frozenset(["zh" if "Chinese" in said else "en"])
    return Offered(
        str(description["model"]),
        str(description["sources"]["hf"]),  # type: ignore[index]
        str(description["model_file"]),
        str(description["license"]),
        float(str(description["size_in_GB"])),
        languages,
        int(str(description.get("dim", 0))),
    )


class SearchModels:
    """Fetches and opens them. Safe to use from any thread."""

    def __init__(self, folder: Path, hub: Hub, weights: Callable[[], tuple[Path, Path]]) -> None:
        """`weights` gives the folders of the default embedder and reranker."""
        self._file, self._hub, self._weights = folder / PLACES, hub, weights

    def embedder(
        self, name: str, run: Run | None = None, on_progress: OnProgress = lambda *_: None
    ) -> Embedding:
        """By its name; empty for the default one. Fetched where it is not here.

        Raises:
            ConfigError: there is no model of this name.
            WeightsError: it could not be fetched, or not opened.
            Cancelled: `run` was cancelled.
        """
        if name in ("", BgeEmbedding.name):
            return BgeEmbedding(self._weights()[0])
        offered = _find(name, embedders(), "EMBED_MODEL")
        folder = self._folder(offered, run or Run(), on_progress)
        return OnnxEmbedding(name, folder, offered.dimension, offered.languages)

    def reranker(
        self, name: str, run: Run | None = None, on_progress: OnProgress = lambda *_: None
    ) -> Reranker:
        """As `embedder`."""
        if name in ("", CrossEncoder.name):
            return CrossEncoder(self._weights()[1])
        offered = _find(name, rerankers(), "RERANK_MODEL")
        return OnnxReranker(
            name, self._folder(offered, run or Run(), on_progress), offered.languages
        )

    def is_here(self, name: str) -> bool:
        """Whether it can be opened without asking the hub."""
        return (
            name in ("", BgeEmbedding.name, CrossEncoder.name)
            or Path(self._places().get(name, "/nowhere")).is_dir()
        )

    def _folder(self, offered: Offered, run: Run, on_progress: OnProgress) -> Path:
        known = Path(self._places().get(offered.name, "/nowhere"))
        if (known / offered.model_file).is_file():
            return known
        facts = self._hub.facts(offered.repository, run)
        wanted = [facts.file(each) for each in (offered.model_file, *_WANTED)]
        files = [each for each in wanted if each]
        total = sum(each.size for each in files)
        arrived = 0
        folder = Path()
        for file in files:
            path = self._hub.fetch(facts, file, run, _from(arrived, total, on_progress))
            if file.name == offered.model_file:
                folder = Path(str(path).removesuffix(offered.model_file))
            arrived += file.size
        if not folder.is_absolute():
            raise ConfigError(f"{offered.repository} has no {offered.model_file} any more.")
        try:
            places = self._places() | {offered.name: str(folder)}
            write_whole(self._file, json.dumps(places).encode())
        except OSError:  # the next start asks the hub again
            log.exception("The place of a search model could not be kept")
        return folder

    def _places(self) -> dict[str, str]:
        try:
            read = json.loads(self._file.read_text("utf-8"))
            return read if isinstance(read, dict) else {}
        except (OSError, ValueError):
            return {}


def _from(before: int, total: int, on_progress: OnProgress) -> Callable[[str, int, int], None]:
    def report(stage: str, done: int, _total: int) -> None:
        if stage == "downloading":  # not "checking", which begins at 0 again
            on_progress(before + done, total)

    return report


def _find(name: str, offered: tuple[Offered, ...], variable: str) -> Offered:
    for each in offered:
        if each.name == name:
            return each
    names = ", ".join(each.name for each in offered)
    raise ConfigError(f"{name} cannot be the {variable}. Choose one of: {names}.")


class SearchSwitch(BackgroundSwitch[SearchChoice]):
    """Exchanges embedder and reranker. `install` makes them the ones that search."""

    busy = "Other search models are being fetched. Stop that, or wait."
    stays = "The search goes on with the models before."

    def __init__(
        self,
        folder: Path,
        config: Config,
        models: SearchModels,
        install: Callable[[Embedding, Reranker], None],
    ) -> None:
        super().__init__(SearchChoice())
        self._folder, self._config, self._models = folder, config, models
        self._install = install
        self.done, self.total = 0, 0  # bytes of a download

    def begin(self, choice: SearchChoice, name: str = "") -> None:
        if self._config.shared_dir:
            raise ConfigError(
                "Other processes search the same documents, and all must use the same search "
                "models. Set EMBED_MODEL and RERANK_MODEL in .env, the same for each, and start "
                "all of them again."
            )
        super().begin(choice, name)

    def _exchange(self, choice: SearchChoice, run: Run) -> None:
        def report(done: int, total: int) -> None:
            self.done, self.total = done, total

        report(0, 0)
        self.step = Step.FETCHING
        embedder = self._models.embedder(choice.embedder, run, report)
        reranker = self._models.reranker(choice.reranker, run, report)
        run.check()
        self.step = Step.LOADING
        self._install(embedder, reranker)

    def _save(self, choice: SearchChoice) -> None:
        save_search_choice(self._folder, self._config, choice)
