"""Ask from a terminal: `python -m engine ask "question" files...`, printing as it streams."""

import argparse
import sys
from pathlib import Path

from engine import Document, SimpleDirectoryReader, VectorStoreIndex
from engine.config import default_config
from engine.errors import FirstTokenError
from engine.response import Response, StreamingResponse
from engine.timing import Metrics


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        wait = default_config().first_token_budget if options.wait is None else options.wait
        return _ask(options.question, options.files, options.stream, options.top_k, wait or None)
    except FirstTokenError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engine", description=__doc__)
    commands = parser.add_subparsers(required=True)
    ask = commands.add_parser("ask", help="answer a question from files and folders")
    ask.add_argument("question")
    ask.add_argument("files", nargs="+", type=Path, help="files, or folders of them")
    ask.add_argument(
        "--no-stream",
        dest="stream",
        action="store_false",
        help="print the answer when it is complete",
    )
    ask.add_argument(
        "--wait",
        type=float,
        metavar="SECONDS",
        help="the longest wait for the first word; 0 for no limit (default: FIRST_TOKEN_BUDGET in "
        ".env)",
    )
    ask.add_argument("--top-k", type=int, default=3, help="passages to answer from (default 3)")
    return parser


def _ask(question: str, files: list[Path], stream: bool, top_k: int, wait: float | None) -> int:
    documents = [document for path in files for document in _load(path)]
    index = VectorStoreIndex.from_documents(documents)
    engine = index.as_query_engine(
        streaming=stream, similarity_top_k=top_k, first_token_budget=wait
    )
    response = engine.query(question)
    _print_sources(response)
    if isinstance(response, StreamingResponse):
        response.print_response_stream()
    else:
        print(response, end="")
    print("\n\n" + "\n".join([_timing(response.trace.metrics), *response.notes]))
    return 0


def _load(path: Path) -> list[Document]:
    reader = (
        SimpleDirectoryReader(path) if path.is_dir() else SimpleDirectoryReader(input_files=[path])
    )
    return reader.load_data()


def _print_sources(response: Response) -> None:
    for number, source in enumerate(response.source_nodes, start=1):
        print(f"[{number}] {source.node.label}  (score {source.score:.2f})")
        best = source.sentence(source.evidence[0]) if source.evidence else source.text[:160]
        print(f"    “{' '.join(best.split())}”")
    print()


def _timing(metrics: Metrics) -> str:
    parts = [f"{metrics.output_tokens} tokens"]
    if metrics.ttft is not None:
        parts.insert(0, f"first token after {metrics.ttft:.2f} s")
    if metrics.e2el is not None:
        parts.append(f"{metrics.e2el:.2f} s in all")
    if metrics.decode_rate is not None:
        parts.append(f"{metrics.decode_rate:.0f} tokens/s")
    return " · ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
