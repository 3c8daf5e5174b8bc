"""Write a GGUF file with the shape of a larger model and random weights, to measure speed with.

    python -m benchmarks.synthetic qwen2.5-1.5b [folder]

`write_model` writes any shape. The tokenizer and the chat template are those of the default model,
so prompts have the tokens that they have there. The answers are nonsense: never judge them. The
file is kept (0.8 GB and 1.8 GB) and not written again; nothing of it is in the repository.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from engine.config import default_config
from engine.settings import Settings

_BLOCK = np.dtype([("scale", np.float16), ("weights", np.int8, 32)])  # of Q8_0
_DEVIATION = 0.02  # of the weights, as models are initialised


@dataclass(frozen=True, slots=True)
class Shape:
    """width, inner: of the embedding and the feed-forward layer, multiples of 256 for K-quants.
    head: numbers in one head. kv_heads: heads of keys and values."""

    layers: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    head: int = 128


SHAPES = {
    "qwen2.5-1.5b": Shape(layers=28, width=1536, inner=8960, heads=12, kv_heads=2),
    "llama-3.2-3b": Shape(layers=28, width=3072, inner=8192, heads=24, kv_heads=8),
}


def synthetic(name: str, folder: Path | None = None) -> Path:
    """The file of one of SHAPES in Q4_K_M. Writing it takes about two minutes on two cores."""
    folder = folder or default_config().data_dir / "synthetic"
    path = folder / f"{name}-random.Q4_K_M.gguf"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_model(path, SHAPES[name], Settings.weights.chat_model)
    return path


def write_model(path: Path, shape: Shape, like: Path, quantization: str = "Q4_K_M") -> None:
    """Write `path` with the tokenizer of the model file `like`. Always the same for a shape."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        whole, small = Path(folder, "Q8_0.gguf"), Path(folder, "quantized.gguf")
        _write_q8_0(whole, shape, like)
        # A process of its own: llama.cpp can abort.
        command = [
            sys.executable,
            "-m",
            "engine.llm.quantize",
            str(whole),
            str(small),
            quantization,
        ]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
        small.replace(path)


def _write_q8_0(path: Path, shape: Shape, like: Path) -> None:
    reader = gguf.GGUFReader(like)
    vocabulary = len(reader.fields["tokenizer.ggml.tokens"].data)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(path.stem)
    writer.add_context_length(8192)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    writer.add_rope_dimension_count(shape.head)
    writer.add_vocab_size(vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    for field in reader.fields.values():
        if field.name.startswith("tokenizer."):
            is_list = field.types[0] == gguf.GGUFValueType.ARRAY
            sub_type = field.types[-1] if is_list else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type)

    tensors = dict(_tensors(shape, vocabulary))
    for name, size in tensors.items():
        kind = gguf.GGMLQuantizationType.F32
        count = int(np.prod(size))
        nbytes = 4 * count
        if len(size) == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            nbytes = count // 32 * _BLOCK.itemsize
        writer.add_tensor_info(name, size, np.dtype(np.float32), nbytes, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    random = np.random.default_rng(1)
    for size in tensors.values():  # one at a time: all together they are gigabytes
        data = np.ones(size, np.float32) if len(size) == 1 else _random_weights(random, size)
        writer.write_tensor_data(data)
    writer.close()


def _tensors(shape: Shape, vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and sizes (rows, columns). The embedding is the output layer too."""
    yield "token_embd.weight", (vocabulary, shape.width)
    yield "output_norm.weight", (shape.width,)
    query, keys = shape.heads * shape.head, shape.kv_heads * shape.head
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", (shape.width,)
        yield block + "attn_q.weight", (query, shape.width)
        yield block + "attn_k.weight", (keys, shape.width)
        yield block + "attn_v.weight", (keys, shape.width)
        yield block + "attn_output.weight", (shape.width, query)
        yield block + "ffn_norm.weight", (shape.width,)
        yield block + "ffn_gate.weight", (shape.inner, shape.width)
        yield block + "ffn_up.weight", (shape.inner, shape.width)
        yield block + "ffn_down.weight", (shape.width, shape.inner)


def _random_weights(random: np.random.Generator, size: tuple[int, ...]) -> NDArray[np.void]:
    """Evenly distributed, in blocks of Q8_0: a scale and 32 numbers each."""
    blocks = np.empty(int(np.prod(size)) // 32, _BLOCK)
    blocks["scale"] = _DEVIATION * np.sqrt(3) / 127
    blocks["weights"] = random.integers(-127, 128, (len(blocks), 32), np.int8)
    return blocks


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("folder", nargs="?", type=Path)
    options = parser.parse_args()
    print(synthetic(options.shape, options.folder))
