"""Facts about the models in use, as rows and words for the Models page. No widgets."""

import re
from collections.abc import Callable, Mapping
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
    facts = (*_file(known.model_file), *_running(llm), window)
    if is_default(llm):
        facts = ("135 million parameters, English", *facts, "Apache-2.0")
        return Model(task, "SmolLM2-135M-Instruct", facts)
    licence = licence_of(known.model_file) or "licence: see where you downloaded it"
    return Model(task, known.model_name, (*facts, licence))


def _running(llm: LLM) -> tuple[str, ...]:
    """Quantization and measured speed of a local model."""
    if not isinstance(llm, LlamaCpp):
        return ()
    named = _QUANTIZATION.search(llm.settings["model"])
    figures = llm.figures
    speed = f"reads {figures.prefill:,.0f} and writes {1 / figures.alone:,.0f} tokens/s"
    return (*([named[0]] if named else []), *([speed] if figures.prefill else []))


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


def layout(llm: LLM) -> list[dict[str, str]]:
    """The local runtime's settings here, and what each means; empty for a server."""
    if not isinstance(llm, LlamaCpp):
        return []
    now, figures = llm.settings, llm.figures
    extra = "off" if "extra buffers" in now["switched_off"] else "on"
    side = f"{now['contexts']} × {now['sequences']}"
    threads = "1" if now["cores"] == 1 else f"1 to {now['cores']}"
    rows = [
        ("Cores", now["cores"], "Shared by answers, search and ingestion."),
        ("Threads", threads, "Chosen for each step: those that were fastest recently."),
        ("Contexts × answers", side, "Contexts that compute at once × answers in each."),
        ("Window", f"{now['window']:,} tokens", "The longest prompt and answer together."),
        ("Slices", *_slices(now)),
        ("Answers in a step", *_batches(now)),
        ("Extra buffers", extra, "Weights that are arranged for this processor."),
        ("Layers on a GPU", now["gpu_layers"], "Set by GPU_LAYERS in .env."),
        ("Cache", now["cache_type"], "The number type of the key-value cache."),
        ("Flash attention", *_flash_attention(now["flash_attention"], figures)),
        ("Prefill", f"{figures.prefill:,.0f} tokens/s", "Speed of reading, measured at set-up."),
        ("Decode", f"{1 / figures.alone:,.0f} tokens/s", "Speed of writing, measured at set-up."),
        ("llama.cpp", now["llama_cpp"], "The Python binding's version."),
    ]
    return [{"Setting": a, "Here": str(b), "What it means": c} for a, b, c in rows]


def _slices(now: Mapping[str, Any]) -> tuple[str, str]:
    """The rule by which prompts are cut (engine.llm.slicing)."""
    size = f"{now['smallest_slice']} to {now['largest_slice']} tokens"
    grid = now["slice_grid"]
    ends = f", ending at multiples of {grid}" if grid > 1 else ""
    return size, f"A prompt is read in slices of this size{ends}, so that each cut is exact."


def _batches(now: Mapping[str, Any]) -> tuple[str, str]:
    """The rule by which the next tokens of several answers are computed together
    (engine.llm.tuning)."""
    most, least, gathered = now["decode_batch"], now["batch_from"], now["gather_from"]
    if most == 1:
        return "1", "One token of one answer: computing several together was slower here."
    if gathered:
        return (
            f"up to {most}",
            f"From {gathered} answers, one context writes {most} of them together.",
        )
    return f"up to {most}", f"From {least} answers in a context, their next tokens come together."


def _flash_attention(on: bool, figures: Figures) -> tuple[str, str]:
    gain = figures.flash_gain
    would = f"With it, a typical answer takes {1 / gain:.0%} of the time, as measured here."
    if on:
        return "on", f"{would} DETERMINISTIC=true turns it off, so that answers repeat exactly."
    return "off", f"{would} DETERMINISTIC=false allows it, but then words may vary."
