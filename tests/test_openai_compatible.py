"""OpenAICompatible against a loopback server: streaming, every fault, Stop at every stage."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from engine.config import Config
from engine.errors import Cancelled, ConfigError, LLMError, ServerError
from engine.llm import GenerationOptions, OpenAICompatible
from engine.llm.tool_calls import ToolRequest, ToolRequestMessage, ToolResultMessage, ToolSpec
from engine.run import Phase, Run
from engine.schema import ChatMessage

MESSAGES = [ChatMessage("system", "Be brief."), ChatMessage("user", "Hello?")]


class Server(ThreadingHTTPServer):
    """Answers each request by what the test has set as `play`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.play: Callable[[Handler], None] = lambda handler: handler.stream("Hi", " there")
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.paths: list[str] = []
        self.reached, self.hung_up = threading.Event(), threading.Event()
        self.connections = 0

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, *_: Any) -> None:
        self.hung_up.set()  # the client has closed the connection


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.bodies.append(json.loads(self.rfile.read(length)))
        self.server.paths.append(self.path)
        self.server.keys.append(self.headers["Authorization"])
        self.server.play(self)

    def start(self, status: int = 200, kind: str = "text/event-stream") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def event(self, data: object) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        self.wfile.write(f"data: {text}\n\n".encode())
        self.wfile.flush()

    def delta(self, text: str, finish: str | None = None) -> None:
        self.event({"choices": [{"delta": {"content": text}, "finish_reason": finish}]})

    def stream(self, *texts: str) -> None:
        self.start()
        for text in texts:
            self.delta(text)
        self.delta("", "stop")
        usage = {"prompt_tokens": 11, "completion_tokens": 7}
        self.event(
            {"choices": [], "usage": usage | {"prompt_tokens_details": {"cached_tokens": 4}}}
        )
        self.event("[DONE]")

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def running() -> Iterator[Server]:
    with Server() as started:
        thread = threading.Thread(target=started.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield started
        started.shutdown()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as started:
        yield started


@pytest.fixture
def llm(server: Server) -> OpenAICompatible:
    return OpenAICompatible(server.url, "some-model", "secret", stall_seconds=5)


def read(llm: OpenAICompatible, run: Run | None = None) -> tuple[list[str], BaseException | None]:
    """The pieces that came, and the error after them."""
    pieces: list[str] = []
    try:
        pieces.extend(llm.stream_chat(MESSAGES, run=run))
    except (ServerError, Cancelled) as error:
        return pieces, error
    return pieces, None


def test_pieces_come_and_the_trace_is_filled(llm: OpenAICompatible, server: Server) -> None:
    run = Run()
    assert read(llm, run) == (["Hi", " there"], None)
    (call,) = run.trace.calls
    assert (call.prompt_tokens, call.reused_tokens, call.output_tokens) == (11, 4, 7)
    assert (call.finish_reason, len(call.token_times)) == ("stop", 2)
    assert [span.name for span in run.trace.spans] == ["server", "decode"]
    assert server.keys == ["Bearer secret"]
    assert server.bodies[0]["model"] == "some-model"
    assert server.bodies[0]["messages"][1] == {"role": "user", "content": "Hello?"}


def test_options_are_passed_on_and_unused_extras_are_not(
    llm: OpenAICompatible, server: Server
) -> None:
    schema = {"type": "object"}
    options = GenerationOptions(max_tokens=9, temperature=0.5, stop=("x",), json_schema=schema)
    llm.chat(MESSAGES, options)
    body = server.bodies[0]
    assert (body["max_tokens"], body["temperature"], body["stop"]) == (9, 0.5, ["x"])
    assert body["response_format"]["json_schema"]["schema"] == schema
    assert not {"min_p", "grammar", "repeat_penalty", "ignore_eos", "tools"} & set(body)


def test_a_piece_arrives_while_the_server_still_writes(
    llm: OpenAICompatible, server: Server
) -> None:
    go_on = threading.Event()

    def play(handler: Handler) -> None:
        handler.start()
        handler.delta("first")
        go_on.wait(5)
        handler.delta(" second", "length")

    server.play = play
    run = Run()
    pieces = llm.stream_chat(MESSAGES, run=run)
    assert next(pieces) == "first"
    assert run.progress.phase is Phase.WRITING
    go_on.set()
    assert list(pieces) == [" second"]
    assert run.trace.calls[0].finish_reason == "length"


def test_a_server_that_cannot_stream_answers_at_once(llm: OpenAICompatible, server: Server) -> None:
    def play(handler: Handler) -> None:
        handler.start(kind="application/json")
        choice = {"message": {"content": "Whole."}, "finish_reason": "stop"}
        handler.wfile.write(json.dumps({"choices": [choice]}).encode())

    server.play = play
    assert read(llm) == (["Whole."], None)


def test_pieces_pushed_and_pieces_pulled_are_the_same(
    llm: OpenAICompatible, server: Server
) -> None:
    run, pieces = Run(), list[str]()
    llm.write_chat(pieces.append, MESSAGES, run=run)
    assert pieces == ["Hi", " there"]
    assert run.trace.calls[0].finish_reason == "stop"
    server.play = refuse(500, "oops")
    with pytest.raises(ServerError, match="oops"):
        llm.write_chat(pieces.append, MESSAGES)


# The connection


def whole_answer(handler: Handler) -> None:
    """An answer of HTTP/1.1, after which the connection stays open."""
    choice = {"message": {"content": "Whole."}, "finish_reason": "stop"}
    content = json.dumps({"choices": [choice]}).encode()
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)
    handler.close_connection = False


def test_questions_share_one_connection_and_one_thread(
    llm: OpenAICompatible, server: Server
) -> None:
    server.play = whole_answer
    before = connection_threads()
    for _ in range(3):
        assert read(llm) == (["Whole."], None)
        assert connection_threads() <= before
    assert server.connections == 1


def connection_threads() -> set[int | None]:
    return {thread.ident for thread in threading.enumerate() if thread.name == "llm-server"}


def test_a_connection_that_the_server_closed_meanwhile_is_replaced(
    llm: OpenAICompatible, server: Server
) -> None:
    server.play = whole_answer
    assert read(llm) == (["Whole."], None)

    def closed(handler: Handler) -> None:
        server.play = whole_answer
        handler.close_connection = True

    server.play = closed
    assert read(llm) == (["Whole."], None)
    assert (server.connections, len(server.bodies)) == (2, 3)


def test_a_redirect_is_not_followed_and_the_new_address_is_named(
    llm: OpenAICompatible, server: Server
) -> None:
    def play(handler: Handler) -> None:
        handler.send_response(308)
        handler.send_header("Location", "https://u:pw12@new.example/v2/chat/completions?key=k123")
        handler.end_headers()

    server.play = play
    _, error = read(llm)
    assert "set OPENAI_BASE_URL in .env to https://new.example/v2." in str(error)
    assert len(server.bodies) == 1


# Faults: what came stays, then one sentence


def refuse(status: int, body: str) -> Callable[[Handler], None]:
    def play(handler: Handler) -> None:
        handler.start(status, "application/json")
        handler.wfile.write(body.encode())

    return play


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (401, '{"error": {"message": "bad key"}}', r"refused \(401\): bad key.*OPENAI_API_KEY"),
        (404, '{"error": "no such model"}', r"no such model.*OPENAI_MODEL"),
        (404, '{"detail": "Not Found"}', r"refused \(404\): Not Found Check"),
        (429, "{}", "Try again later"),
        (500, "<html>oops</html>", "oops"),
        (503, "", "it gave no reason"),
    ],
)
def test_a_refusal_is_shown_with_the_servers_reason(
    llm: OpenAICompatible, server: Server, status: int, body: str, sentence: str
) -> None:
    server.play = refuse(status, body)
    run = Run()
    with pytest.raises(ServerError, match=sentence):
        list(llm.stream_chat(MESSAGES, run=run))
    assert run.trace.calls[0].finish_reason == "error"


def after_a_piece(fault: Callable[[Handler], None]) -> Callable[[Handler], None]:
    def play(handler: Handler) -> None:
        handler.start()
        handler.delta("some")
        fault(handler)

    return play


def hang(handler: Handler) -> None:
    handler.server.hung_up.wait(5)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (lambda handler: None, "closed the connection before"),
        (lambda handler: handler.event("[DONE]"), "closed the connection before"),
        (lambda handler: handler.event({"error": {"message": "out of memory"}}), "out of memory"),
        (lambda handler: handler.event("{half"), "not an answer"),
        (lambda handler: handler.event("[1]"), "not an answer"),
        (hang, "sent nothing for 0.3 s"),
    ],
    ids=["hang-up", "no finish", "error event", "broken JSON", "odd JSON", "stall"],
)
def test_a_fault_in_mid_stream_comes_after_the_text(
    server: Server, fault: Callable[[Handler], None], sentence: str
) -> None:
    server.play = after_a_piece(fault)
    pieces, error = read(OpenAICompatible(server.url, "m", stall_seconds=0.3))
    assert pieces == ["some"]
    assert isinstance(error, ServerError)
    assert sentence in str(error)
    server.hung_up.set()


def test_if_nobody_listens_the_sentence_names_the_address() -> None:
    with pytest.raises(ServerError, match=r"127\.0\.0\.1:9.*cannot be reached.*OPENAI_BASE_URL"):
        list(OpenAICompatible("http://127.0.0.1:9/v1", "m").stream_chat(MESSAGES))


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="must begin with http") as raised:
        OpenAICompatible("user:pw12@localhost:8080", "m")
    assert "pw12" not in str(raised.value)
    with pytest.raises(ConfigError, match="not a valid address") as raised:
        OpenAICompatible("http://user:pw#12@localhost:8080", "m")
    assert "pw" not in repr(raised.value) + repr(raised.value.__cause__)
    with pytest.raises(ConfigError, match="OPENAI_MODEL"):
        OpenAICompatible.from_config(Config(openai_base_url="http://localhost"))


# Stop


def until_closed(handler: Handler) -> None:
    """Wait until the client's end of the connection is closed."""
    handler.server.reached.set()
    assert handler.connection.recv(1) == b""
    handler.server.hung_up.set()


@pytest.mark.parametrize(
    ("play", "pieces"),
    [(until_closed, []), (after_a_piece(until_closed), ["some"])],
    ids=["before the first word", "while it writes"],
)
def test_stop_closes_the_connection(
    llm: OpenAICompatible, server: Server, play: Callable[[Handler], None], pieces: list[str]
) -> None:
    server.play = play
    run, came = Run(), list[str]()
    stream = llm.stream_chat(MESSAGES, run=run)
    if pieces:
        came.append(next(stream))
        run.cancel()
    else:

        def cancel_once_it_reads() -> None:
            server.reached.wait(30)
            run.cancel()

        threading.Thread(target=cancel_once_it_reads).start()
    with pytest.raises(Cancelled):
        came.extend(stream)
    assert came == pieces
    assert run.trace.calls[0].finish_reason == "cancelled"
    assert server.hung_up.wait(30)


def test_a_reader_who_leaves_closes_the_connection(llm: OpenAICompatible, server: Server) -> None:
    server.play = after_a_piece(until_closed)
    for _ in llm.stream_chat(MESSAGES):
        break
    assert server.hung_up.wait(30)


def test_closing_ends_an_answer_that_is_being_written(
    llm: OpenAICompatible, server: Server
) -> None:
    server.play = after_a_piece(until_closed)
    stream = llm.stream_chat(MESSAGES)
    assert next(stream) == "some"
    llm.close()
    with pytest.raises(Cancelled):
        next(stream)
    assert server.hung_up.wait(30)
    with pytest.raises(LLMError, match="has been closed"):
        next(llm.stream_chat(MESSAGES))
    llm.close()


def test_a_run_that_was_stopped_before_asks_nothing_more(llm: OpenAICompatible) -> None:
    run = Run()
    run.cancel()
    assert isinstance(read(llm, run)[1], Cancelled)


# Tools

WEATHER = ToolSpec("weather", "The weather in a city.", {"type": "object"})


def test_tool_requests_come_once_whole(server: Server) -> None:
    def play(handler: Handler) -> None:
        handler.start()
        handler.delta("Let me see.")
        for call in (
            {"index": 0, "id": "a1", "function": {"name": "weather", "arguments": ""}},
            {"index": 0, "function": {"arguments": '{"city": '}},
            {"index": 0, "function": {"arguments": '"Oslo"}'}},
            {"index": 1, "id": "a2", "function": {"name": "weather", "arguments": "{}"}},
        ):
            handler.event({"choices": [{"delta": {"tool_calls": [call]}}]})
        handler.event({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})
        handler.event("[DONE]")

    server.play = play
    llm = OpenAICompatible(server.url, "m", native_tools=True)
    assert llm.metadata.native_tools
    assert list(llm.stream_chat_with_tools(MESSAGES, [WEATHER])) == [
        "Let me see.",
        ToolRequest("a1", "weather", '{"city": "Oslo"}'),
        ToolRequest("a2", "weather", "{}"),
    ]
    assert server.bodies[0]["tools"][0]["function"]["name"] == "weather"


def test_tool_turns_are_sent_in_the_servers_form_or_as_text(server: Server) -> None:
    turns = [
        *MESSAGES,
        ToolRequestMessage("assistant", "", (ToolRequest("a1", "weather", "{}"),)),
        ToolResultMessage("tool", "Rain.", "a1"),
    ]
    OpenAICompatible(server.url, "m", native_tools=True).chat(turns)
    OpenAICompatible(server.url, "m").chat(turns)
    native, plain = (body["messages"] for body in server.bodies)
    assert native[2]["tool_calls"][0]["id"] == native[3]["tool_call_id"] == "a1"
    assert plain[3] == {"role": "user", "content": "Rain."}


def test_an_address_with_credentials_works_and_is_shown_without_them(server: Server) -> None:
    address = server.url.replace("http://", "http://user:hunter2pass@") + "?key=k-9f8e7d"
    llm = OpenAICompatible(address, "some-model", stall_seconds=5)
    run = Run()
    assert read(llm, run) == (["Hi", " there"], None)
    assert server.keys == ["Basic dXNlcjpodW50ZXIycGFzcw=="]
    assert server.paths == ["/v1/chat/completions?key=k-9f8e7d"]
    shown = json.dumps(run.trace.to_dict())
    assert f"{server.url}/chat/completions" in shown
    assert "hunter2pass" not in shown
    assert "k-9f8e7d" not in shown


def test_a_server_that_quotes_the_key_does_not_put_it_into_the_error(server: Server) -> None:
    def refuse(handler: Handler) -> None:
        handler.start(401, "application/json")
        quoted = "Incorrect API key provided: my-own-key. Also k-9f8e7d and my-own-key."
        handler.wfile.write(json.dumps({"error": {"message": quoted}}).encode())

    server.play = refuse
    llm = OpenAICompatible(f"{server.url}?key=k-9f8e7d", "some-model", "my-own-key")
    _, error = read(llm)
    assert isinstance(error, ServerError)
    assert "refused (401)" in str(error)
    assert "my-own-key" not in str(error)
    assert "k-9f8e7d" not in str(error)


# Several servers


@pytest.fixture
def second() -> Iterator[Server]:
    with running() as started:
        started.play = lambda handler: handler.stream("Second")
        yield started


def asked(llm: OpenAICompatible) -> tuple[str, BaseException | None]:
    pieces, error = read(llm)
    return "".join(pieces), error


def test_a_question_goes_to_the_server_with_the_fewest(server: Server, second: Server) -> None:
    llm = OpenAICompatible(f"{server.url},{second.url}", "some-model")
    go_on = threading.Event()

    def held(handler: Handler) -> None:
        handler.start()
        handler.delta("Slow")
        go_on.wait(10)
        handler.delta("", "stop")

    server.play = held
    slow = llm.stream_chat(MESSAGES)
    assert next(slow) == "Slow"
    assert [asked(llm)[0] for _ in range(3)] == ["Second"] * 3
    go_on.set()
    list(slow)
    assert llm.address == f"{server.url}, {second.url}"
    llm.close()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_another_server_answers_for_one_that_cannot(
    server: Server, second: Server, status: int
) -> None:
    server.play = refuse(status, "busy")
    llm = OpenAICompatible(f"{server.url},{second.url}", "some-model")
    assert [asked(llm) for _ in range(4)] == [("Second", None)] * 4
    assert len(server.bodies) == 1, "one that failed is left out for a while"
    second.play = refuse(503, "busy too")
    pieces, error = asked(llm)
    assert pieces == "" and "busy" in str(error)
    llm.close()


def test_another_server_answers_for_one_that_is_gone(second: Server) -> None:
    llm = OpenAICompatible(f"http://127.0.0.1:9/v1,{second.url}", "some-model")
    run = Run()
    assert read(llm, run) == (["Second"], None)
    assert run.trace.calls[0].settings["server"] == f"{second.url}/chat/completions"
    llm.close()


def test_a_wrong_request_is_not_sent_to_every_server(server: Server, second: Server) -> None:
    server.play = second.play = refuse(400, "no such field")
    llm = OpenAICompatible(f"{server.url},{second.url}", "some-model")
    assert "no such field" in str(asked(llm)[1])
    assert len(server.bodies) + len(second.bodies) == 1
    llm.close()


def test_an_answer_that_broke_off_ends_and_the_next_comes_from_another_server(
    server: Server, second: Server
) -> None:
    def break_off(handler: Handler) -> None:
        handler.start()
        handler.delta("Half")

    server.play = break_off
    llm = OpenAICompatible(f"{server.url},{second.url}", "some-model")
    found = [asked(llm) for _ in range(4)]
    (half,) = [each for each in found if each[0] == "Half"]
    assert "before the answer's end" in str(half[1])
    assert found.count(("Second", None)) == 3
    llm.close()
