"""Another embedder: from a hub; documents are embedded again while the old index answers."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

from engine.config import Config
from engine.embedding import BgeEmbedding, OnnxEmbedding, OnnxReranker, Vectors
from engine.errors import ConfigError
from engine.models.asking import Hub
from engine.models.choosing import SearchChoice, load_search_choice
from engine.models.searching import SearchModels, embedders, rerankers
from engine.run import Run
from engine.settings import Settings
from engine.workspace import Stage, Workspace
from engine.workspace import indexes as indexes_module
from tests.hub_server import FakeHub, hub_server
from tests.scripted import ScriptedLLM

SECONDS = 90.0
MANY = "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"


class Reversed(BgeEmbedding):
    """Another model, with other vectors than the default one. `go_on` holds it before a text."""

    def __init__(self) -> None:
        super().__init__(Settings.weights.embedder)
        self.name = "reversed"
        self.go_on = threading.Event()
        self.go_on.set()
        self.embedded: list[str] = []

    def embed(self, texts, run=None, on_progress=None) -> Vectors:  # type: ignore[no-untyped-def]
        assert self.go_on.wait(SECONDS)
        self.embedded += texts
        return np.ascontiguousarray(super().embed(texts, run, on_progress)[:, ::-1])

    def embed_query(self, text: str) -> Vectors:
        return np.ascontiguousarray(super().embed_query(text)[::-1])


@pytest.fixture(autouse=True)
def default_models() -> Iterator[None]:
    """What a test chooses ends with it."""
    kept = Settings.llm, Settings.embed_model, Settings.reranker, Settings.node_parser
    yield
    Settings.llm, Settings.embed_model, Settings.reranker, Settings.node_parser = kept


def opened(folder: Path, other: BgeEmbedding | None = None) -> Workspace:
    """A workspace that can open the other model by its name."""
    workspace = Workspace(folder, Config(data_dir=folder), ScriptedLLM())
    if other:
        real = workspace.search_models.embedder
        indexes = workspace.library._indexes
        indexes._open_embedding = lambda name: other if name == other.name else real(name)
    return workspace


def until(reached: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def add(workspace: Workspace, *names: str) -> None:
    for name in names:
        text = f"The {name} mill was built by Ana {name.title()} in 1887."
        upload = workspace.ingestor.add("default", f"{name}.txt", text.encode())
        until(lambda upload=upload: upload.stage.ended)  # type: ignore[misc]
        assert upload.stage is Stage.READY


def first(workspace: Workspace, question: str) -> str:
    return workspace.library.index("default").as_retriever(1).retrieve(question)[0].text


def test_the_old_index_answers_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes_module, "STILL_SEARCHED", 0.0)
    workspace = opened(tmp_path)
    library = workspace.library
    add(workspace, "tide", "wind", "steam")
    other = Reversed()
    other.go_on.clear()
    workspace._install_search(other, Settings.reranker)
    assert library.reembedder.pending == ["default"]
    assert library.index("default").embed_model.name == BgeEmbedding.name
    assert "Wind" in first(workspace, "Who built the wind mill?")
    add(workspace, "water")  # goes into the index that answers, and then into the new one
    gone = next(each for each in library.documents("default") if each.file_name == "steam.txt")
    workspace.delete_documents("default", [gone.source_id])
    other.go_on.set()
    until(lambda: not library.reembedder.pending)
    assert library.index("default").embed_model is other
    names = {each.file_name for each in library.documents("default")}
    assert names == {"tide.txt", "wind.txt", "water.txt"}
    assert "Wind" in first(workspace, "Who built the wind mill?")
    until(lambda: library._store.embeddings("default") == ["reversed"])
    assert library.collections() == ["default"]
    workspace.close()


def test_an_interrupted_change_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    workspace = opened(tmp_path)
    add(workspace, "tide", "wind", "steam")
    other = Reversed()
    library = workspace.library
    library._indexes._before["default"] = Settings.embed_model
    Settings.embed_model = other
    _, new = library._indexes.old_and_new("default")
    source = library.documents("default")[-1]
    new.insert(library._reread("default", source.source_id, Run()), added_at=source.added_at)
    workspace.close()
    other.embedded.clear()
    again = opened(tmp_path, other)
    until(lambda: not again.library.reembedder.pending)
    assert len(other.embedded) == 2
    assert {each.added_at for each in again.library.documents("default")} >= {source.added_at}
    assert len(again.library.documents("default")) == 3
    again.close()


def test_an_index_of_another_model_is_never_searched_with_this_one(tmp_path: Path) -> None:
    workspace = opened(tmp_path)
    add(workspace, "tide")
    workspace.close()
    Settings.embed_model = Reversed()
    Settings.embed_model.go_on.clear()
    again = opened(tmp_path)
    assert again.library.index("default").embed_model.name == BgeEmbedding.name
    assert "Tide" in first(again, "Who built the tide mill?")
    Settings.embed_model.go_on.set()
    again.close()


# Fetched from a hub


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeHub]:
    """The default embedder and reranker, under the names of models for many languages."""
    weights = Settings.weights
    served = {}
    for name, folder, offered in (
        (MANY, weights.embedder, embedders()),
        ("BAAI/bge-reranker-v2-m3-int8", weights.reranker, rerankers()),
    ):
        model = next(each for each in offered if each.name == name)
        files = {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}
        files[model.model_file] = files.pop("model.onnx")
        served[model.repository] = files
    with hub_server(served) as running:
        yield running


@pytest.fixture
def models(tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> SearchModels:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    hub.asked.clear()
    weights = Settings.weights
    places = weights.embedder, weights.reranker
    return SearchModels(tmp_path, Hub(Config(hf_endpoint=hub.url)), lambda: places)


def test_a_model_of_the_list_is_fetched_once_and_opened_without_the_hub(
    models: SearchModels, hub: FakeHub
) -> None:
    assert not models.is_here(MANY)
    seen: list[int] = []
    model = models.embedder(MANY, on_progress=lambda done, _: seen.append(done))
    assert isinstance(model, OnnxEmbedding)
    assert (model.name, model.dimension, model.languages) == (MANY, 384, frozenset())
    assert model.embed(["ein Text", "another text"]).shape == (2, 384)
    ranker = models.reranker("BAAI/bge-reranker-v2-m3-int8")
    assert isinstance(ranker, OnnxReranker) and not ranker.calibrated
    assert len(ranker.score("Who?", ["He did."])) == 1
    hub.asked.clear()
    assert models.is_here(MANY)
    models.embedder(MANY)
    assert hub.asked == []
    with pytest.raises(ConfigError, match="paraphrase-multilingual"):
        models.embedder("no/such-model")


def test_what_is_offered_says_its_languages() -> None:
    by_name = {each.name: each for each in embedders()}
    assert by_name[MANY].languages == frozenset()
    assert by_name["jinaai/jina-embeddings-v2-base-de"].languages == {"de", "en"}
    assert by_name["thenlper/gte-base"].languages == {"en"}
    assert BgeEmbedding.name not in by_name
    assert any(not each.languages for each in rerankers())


def test_the_configured_models_are_fetched_in_the_background_and_kept_as_the_choice(
    tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    config = Config(data_dir=tmp_path, hf_endpoint=hub.url, embed_model=MANY)
    workspace = Workspace(tmp_path, config, ScriptedLLM())
    switch = workspace.search_switch
    until(lambda: not switch.step.at_work)
    assert switch.message == ""
    assert Settings.embed_model.name == MANY
    until(lambda: not workspace.library.reembedder.pending)
    add(workspace, "tide")
    switch.begin(SearchChoice())
    until(lambda: not switch.step.at_work)
    until(lambda: not workspace.library.reembedder.pending)
    assert workspace.library.index("default").embed_model.name == BgeEmbedding.name
    workspace.close()
    assert load_search_choice(tmp_path, config) == SearchChoice()
