"""The terminal's commands, on the app's own library: ask, search, add, list, move, serve, mcp.

They go through the running app where there is one, and else open the library themselves. Either
way, nothing that is indexed is embedded again. `ask` with files answers from those alone.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.config import checked_addresses, default_config
from engine.errors import DocumentError, FirstTokenError
from engine.response import StreamingResponse

POLL = 0.2  # seconds between two looks at a file that is being added, or at a move
EMBEDDED = "embedded"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except (FirstTokenError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engine", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, what: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=what, description=what)
        made.set_defaults(run=run)
        return made

    ask = command("ask", _ask, "answer a question from the library, or from files and folders")
    ask.add_argument("question")
    ask.add_argument("files", nargs="*", type=Path, help="answer from these alone")
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

    search = command("search", _search, "the passages of the library that are most relevant")
    search.add_argument("query")
    search.add_argument("--top-k", type=int, default=5, help="passages to show (default 5)")

    add = command("add", _add, "add files, and the files in folders, to the library")
    add.add_argument("files", nargs="+", type=Path)
    add.add_argument(
        "--if-exists",
        choices=["replace", "keep_both"],
        default="",
        help="what to do where another file of the same name is there",
    )

    for each in (ask, search, add, command("list", _list, "the documents of the library")):
        each.add_argument("--collection", help="default: default; of list: all")
        each.add_argument("--json", action="store_true", help="JSON on standard output")

    move = command("move", _move, "move the search index to a Qdrant server, or back")
    move.add_argument(
        "to",
        help="the server's address, such as http://localhost:6333 (its key is QDRANT_API_KEY in "
        f".env), or {EMBEDDED!r}: into the folder of this computer",
    )

    serve = command("serve", _serve, "the API without the pages")
    serve.add_argument("--host", default="localhost")
    serve.add_argument("--port", type=int, default=8501)
    command("mcp", _mcp, "MCP over standard input and output")
    return parser


# ---- The library


def _ask(options: argparse.Namespace) -> int:
    if options.files:
        return _ask_files(options)
    from engine.api.serving import connected

    collection = options.collection or "default"
    request = {
        "model": f"first-token/{collection}",
        "messages": [{"role": "user", "content": options.question}],
        "passages": options.top_k,
        "stream": options.stream and not options.json,
    }
    if options.wait is not None:
        request["first_token_budget"] = options.wait
    with connected(default_config()) as client:
        for frame in client.ask(request):
            if options.json:
                message = frame["choices"][0]["message"]
                kept = {name: frame[name] for name in ("kind", "sources", "usage", "timings")}
                print(json.dumps({"answer": message["content"], **kept}, ensure_ascii=False))
                return 0
            if "sources" in frame:
                _show_sources(frame["sources"])
                if kind := frame["kind"]:
                    print(f"{kind['did']}\n")
            for choice in frame["choices"]:
                text = choice.get("delta", choice.get("message", {})).get("content") or ""
                print(text, end="", flush=True)
            if timings := frame.get("timings"):
                print("\n\n" + "\n".join([_timing_line(timings), *frame["notes"]]))
    return 0


def _search(options: argparse.Namespace) -> int:
    from engine.api.serving import connected

    with connected(default_config()) as client:
        collection = options.collection or "default"
        found = client.search(collection, options.query, options.top_k)
    if options.json:
        print(json.dumps(found, ensure_ascii=False))
        return 0
    for number, each in enumerate(found["data"], start=1):
        page = each["attributes"].get("page")
        label = f"{each['filename']}, page {page}" if page else each["filename"]
        print(f"[{number}] {label}  (score {each['score']:.2f})")
        print(f"    “{' '.join((each['quote'] or each['content'][0]['text'])[:300].split())}”")
    return 0


def _list(options: argparse.Namespace) -> int:
    from engine.api.serving import connected

    with connected(default_config()) as client:
        found = client.files(options.collection)
    if options.json:
        print(json.dumps(found, ensure_ascii=False))
        return 0
    for each in found:
        facts = f"{each.get('passages', 0)} passages" if "passages" in each else each["stage"]
        print(f"{each['collection']}/{each['filename']}  {facts}  {each['id']}")
    return 0


def _add(options: argparse.Namespace) -> int:
    """Returns 1 if a file could not be added; the others are."""
    from engine.api.serving import connected

    failed = False
    results = []
    with connected(default_config()) as client:
        for path in _files_in(options.files):
            result = client.add(path, options.collection or "default", options.if_exists)
            while result["status"] == "uploaded":
                time.sleep(POLL)
                result = client.file(result["id"])
            results.append(result)
            failed |= result["status"] == "error"
            if not options.json:
                passages = f"{result.get('passages', 0)} passages"
                print(f"{path}: {result['status_details'] or passages}", flush=True)
    if options.json:
        print(json.dumps(results, ensure_ascii=False))
    return int(failed)


def _files_in(paths: Sequence[Path]) -> Iterator[Path]:
    """The files, and those in the folders, but none that are hidden."""
    for path in paths:
        if not path.exists():
            raise DocumentError(f"{path} is not there. Check the name.")
        if path.is_dir():
            yield from _files_in(sorted(each for each in path.iterdir() if each.name[0] != "."))
        else:
            yield path


def _move(options: argparse.Namespace) -> int:
    """Ctrl-C stops it; the same command goes on. The app must not run, since it has the index."""
    from engine.api.serving import opened
    from engine.workspace.moving import MoveStage

    url = "" if options.to == EMBEDDED else checked_addresses(options.to)
    with opened(default_config()) as workspace:
        move = workspace.library.begin_move(url)
        shown = ""
        while not move.ended.wait(POLL):
            before, shown = shown, f"{move.stage}: {move.done:,} of {move.total:,} passages"
            if shown != before:
                print(shown, file=sys.stderr, flush=True)
        if move.stage is not MoveStage.DONE:
            print(move.problem or "Stopped.", file=sys.stderr)
            return 1
        print(
            f"The search index is at {move.to} now: {move.total:,} passages, with the same "
            "checksums. The former index has not been changed."
        )
    return 0


def _serve(options: argparse.Namespace) -> int:
    from engine import logs
    from engine.api.serving import serve

    config = default_config()
    logs.configure(config)
    serve(config, options.host, options.port)
    return 0


def _mcp(_: argparse.Namespace) -> int:
    from engine.api.mcp_stdio import bridge
    from engine.api.serving import connected

    with connected(default_config()) as client:
        bridge(f"{client.url}/mcp", client.key)
    return 0


def _show_sources(sources: Sequence[dict[str, Any]]) -> None:
    for number, source in enumerate(sources, start=1):
        page = source["page"]
        label = f"{source['file_name']}, page {page}" if page else source["file_name"]
        print(f"[{number}] {label}  (score {source['score']:.2f})")
        print(f"    “{' '.join((source['quote'] or source['text'][:160]).split())}”")
    print()


def _timing_line(timings: dict[str, Any]) -> str:
    parts = [f"{timings['predicted_n']} tokens"]
    if timings["first_token_ms"] is not None:
        parts.insert(0, f"first token after {timings['first_token_ms'] / 1000:.2f} s")
    parts.append(f"{timings['total_ms'] / 1000:.2f} s in all")
    if timings["predicted_per_second"]:
        parts.append(f"{timings['predicted_per_second']:.0f} tokens/s")
    return " · ".join(parts)


# ---- Files that are not in the library


def _ask_files(options: argparse.Namespace) -> int:
    from engine import SimpleDirectoryReader, VectorStoreIndex
    from engine.api.asking import kind_json, sources_json, timings_json, usage_json

    config = default_config()
    wait = config.first_token_budget if options.wait is None else options.wait
    documents = []
    for path in options.files:
        one = {"input_dir": path} if path.is_dir() else {"input_files": [path]}
        documents += SimpleDirectoryReader(**one).load_data()
    engine = VectorStoreIndex.from_documents(documents).as_query_engine(
        streaming=options.stream and not options.json,
        similarity_top_k=options.top_k,
        first_token_budget=wait or None,
        kinds=True,
    )
    response = engine.query(options.question)
    sources = sources_json("", response.source_nodes)
    if options.json:
        figures = {"usage": usage_json(response.trace), "timings": timings_json(response.trace)}
        kind = kind_json(response.trace)
        answer = {"answer": str(response), "kind": kind, "sources": sources, **figures}
        print(json.dumps(answer, ensure_ascii=False))
        return 0
    _show_sources(sources)
    if response.trace.kind:
        print(f"{response.trace.kind.did}\n")
    if isinstance(response, StreamingResponse):
        response.print_response_stream()
    else:
        print(response, end="")
    print("\n\n" + "\n".join([_timing_line(timings_json(response.trace)), *response.notes]))
    return 0
