"""Facts about the models in use, as rows and words for the Models page. No widgets."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.config import Config
from engine.embedding import BgeEmbedding, CrossEncoder, Embedding, OnnxEmbedding, Reranker
from engine.languages import name_of
from engine.llm import LLM, LlamaCpp
from engine.llm.tuning import Figures
from engine.redacting import public_address
from engine.settings import Settings
from engine.weights import CHAT_Q8_NAME

ONNX = "model.onnx"
_QUANTIZATION = re.compile(r"I?Q\d\w*|B?F16|F32|MXFP4\w*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Model:
    """One model in use. `facts` are short, in the order they are shown."""

    task: str
    name: str
    facts: tuple[str, ...]


def models_in_use(
    llm: LLM, config: Config, licence_of: Callable[[Path], str] = lambda _: ""
) -> list[Model]:
    """`licence_of`: what is known of the licence of a downloaded file."""
    weights = Settings.weights
    return [
        _chat(llm, config, licence_of),
        _searching("Finds passages by meaning", Settings.embed_model, weights.embedder, "MIT"),
        _searching(
            "Ranks sentences against the question",
            Settings.reranker,
            weights.reranker,
            "Apache-2.0",
        ),
    ]


def _searching(task: str, model: Embedding | Reranker, folder: Path, licence: str) -> Model:
    """`folder` and `licence` are those of the default model."""
    languages: frozenset[str] = getattr(model, "languages", frozenset())
    facts = [", ".join(map(name_of, sorted(languages))) or "many languages"]
    if isinstance(model, OnnxEmbedding):
        facts.append(f"{model.dimension} dimensions")
    if isinstance(model, BgeEmbedding | CrossEncoder):
        facts += [*_file(folder / ONNX), licence]
    return Model(task, str(getattr(model, "name", "your own")), tuple(facts))


def _chat(llm: LLM, config: Config, licence_of: Callable[[Path], str]) -> Model:
    task, known = "Writes the answers", llm.metadata
    window = f"{known.context_window:,} tokens of context"
    if known.model_file is None:
        server = f"on {getattr(llm, 'address', '') or public_address(config.openai_base_url)}"
        return Model(task, known.model_name, (server, window))
    if is_default(llm):
        facts = ("135 million parameters, English", window)
        return Model(
            task, "SmolLM2-135M-Instruct", (*facts, *_file(known.model_file), "Apache-2.0")
        )
    licence = licence_of(known.model_file) or "licence: see where you downloaded it"
    return Model(task, known.model_name, (window, *_file(known.model_file), licence))


def is_default(llm: LLM) -> bool:
    """Whether it is the model that First Token comes with."""
    file = llm.metadata.model_file
    return file is not None and file.name == CHAT_Q8_NAME


def _file(path: Path) -> tuple[str, ...]:
    """The name and the size of a file; for `model.onnx`, the name of its folder."""
    if not path.is_file():
        return ()
    name = f"{path.parent.name}/{path.name}" if path.name == ONNX else path.name
    return (f"{name}, {path.stat().st_size / 1e6:.0f} MB",)


def layout(llm: LLM) -> list[dict[str, Any]]:
    """The local runtime's settings here, and what each means; empty for a server."""
    if not isinstance(llm, LlamaCpp):
        return []
    now, figures = llm.settings, llm.figures
    contexts, sequences = now["contexts"], now["sequences"]
    side = f"{contexts} × {sequences}"
    file = llm.metadata.model_file
    named = _QUANTIZATION.search(file.stem) if file else None
    without = "extra buffers" in now["switched_off"]
    return [
        _row("File", now["model"], "The model's weights."),
        *(
            [
                _row(
                    "Quantization",
                    named[0],
                    "How weights are stored: fewer bits, smaller and less exact.",
                )
            ]
            if named
            else []
        ),
        _row("Extra buffers", "off" if without else "on", "Weights repacked for this processor."),
        _row("Cores", now["cores"], "Shared by answers, search and ingestion."),
        _row("Contexts × answers", side, "Contexts that compute at once × answers in each."),
        _row("Window", f"{now['window']:,} tokens", "The longest prompt and answer together."),
        _row("Largest slice", f"{now['largest_slice']} tokens", "The most read in one step."),
        _row("Tokens per batch", now["decode_batch"], "Of different answers, written in one step."),
        _row("Layers on a GPU", now["gpu_layers"], "Set by GPU_LAYERS in .env."),
        _row("Cache", now["cache_type"], "The number type of the key-value cache."),
        _row("Flash attention", *_flash_attention(now["flash_attention"], figures)),
        _row("Prefill", f"{figures.prefill:,.0f} tokens/s", "Speed of reading, measured."),
        _row("Decode", f"{1 / figures.alone:,.0f} tokens/s", "Speed of writing, measured."),
        _row("llama.cpp", now["llama_cpp"], "The Python binding's version."),
    ]


def _flash_attention(on: bool, figures: Figures) -> tuple[str, str]:
    gain = figures.flash_gain
    would = f"With it, a typical answer takes {1 / gain:.0%} of the time, as measured here."
    if on:
        return "on", f"{would} DETERMINISTIC=true turns it off, so that answers repeat exactly."
    return "off", f"{would} DETERMINISTIC=false allows it, but then words may vary."


def _row(name: str, value: object, meaning: str) -> dict[str, Any]:
    return {"Setting": name, "Here": str(value), "What it means": meaning}
