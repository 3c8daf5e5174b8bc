"""The API as other programs use it: the official client of OpenAI against a real server."""

import base64
import struct
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from starlette.datastructures import Headers

from engine.api.guard import JSON_BYTES, Access
from engine.query_engine import LONGEST_QUESTION
from engine.retrieving import NOT_FOUND
from tests.api_server import MODEL, QUESTION, ApiServer, api_server
from tests.browser import ROOT

USER = {"role": "user", "content": QUESTION}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("api")) as server:
        yield server


def post(api: ApiServer, path: str, body: Any, **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {api.client.key}", **options.pop("headers", {})}
    return httpx.post(f"{api.client.url}{path}", json=body, headers=headers, **options)


def asked(**parameters: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [USER], **parameters}


def error_of(answer: httpx.Response) -> dict[str, Any]:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"].endswith(".") or error["code"]
    return dict(error)


# ---- Only some documents


def test_filters_say_which_documents_are_searched_in_our_shape_and_in_openais(
    api: ApiServer,
) -> None:
    library = api.workspace.library
    log = next(e for e in library.documents("default") if e.file_name == "ice-log.txt")
    library.tag("default", log.source_id, ["logs"])
    listed = {each["filename"]: each for each in api.client.files("default")}
    assert listed["ice-log.txt"]["tags"] == ["logs"]

    def names(filters: dict[str, Any]) -> set[str]:
        body = {"query": QUESTION, "filters": filters}
        answer = post(api, "/v1/vector_stores/default/search", body)
        assert answer.status_code == 200, answer.text
        return {each["filename"] for each in answer.json()["data"]}

    assert names({"tags": ["logs"]}) == {"ice-log.txt"}
    assert names({"type": "in", "key": "tag", "value": ["logs", "x"]}) == {"ice-log.txt"}
    one = {"type": "eq", "key": "file_id", "value": listed["tide-mill.md"]["id"]}
    two = {"type": "eq", "key": "tag", "value": "logs"}
    assert names({"type": "or", "filters": [one, two]}) == {"ice-log.txt", "tide-mill.md"}
    library.create("empty")
    assert names({"collections": ["empty"]}) == set()
    assert "tide-mill.md" in names({"collections": ["empty", "default"]})
    completion = api.openai.chat.completions.create(
        model=MODEL, messages=[USER], extra_body={"filters": {"tags": ["logs"]}}
    )
    assert {each["file_name"] for each in completion.model_extra["sources"]} == {"ice-log.txt"}


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({}, "it names no documents"),
        ({"tag": ["x"]}, "Unrecognized request argument supplied: filters.tag"),
        ({"type": "gt", "key": "tag", "value": 3}, "compares with eq and in"),
        ({"type": "eq", "key": "author", "value": "x"}, "a document has the keys file_id"),
        ({"type": "or"}, "filters cannot be used"),
        ({"file_ids": ["file-none"]}, "There is no file 'file-none' there."),
        ({"collections": ["nowhere"]}, "There is no collection 'nowhere'."),
    ],
)
def test_filters_that_cannot_be_used_are_refused_with_the_reason(
    api: ApiServer, filters: dict[str, Any], said: str
) -> None:
    answer = post(api, "/v1/chat/completions", asked(filters=filters))
    assert answer.status_code in (400, 404)
    assert said in error_of(answer)["message"]


# ---- Models and answers


def test_each_collection_is_a_model(api: ApiServer) -> None:
    api.workspace.library.create("The mill")
    names = [model.id for model in api.openai.models.list()]
    assert {MODEL, "first-token/The mill"} <= set(names)
    assert api.openai.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        api.openai.models.retrieve("first-token/nowhere")


def test_the_first_frame_has_the_sources_and_the_last_ones_the_figures(api: ApiServer) -> None:
    stream = api.openai.chat.completions.create(
        model=MODEL, messages=[USER], stream=True, stream_options={"include_usage": True}
    )
    first, *middle, last, usage = (chunk.model_dump() for chunk in stream)
    source = first["sources"][0]
    assert source["file_name"] == "tide-mill.md"
    assert "Hannah Voss" in source["quote"] and source["quote"] in source["text"]
    fields = {"document_id", "collection", "file_name", "page", "text", "quote", "score"}
    assert set(source) == fields
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert not first["choices"][0]["delta"]["content"]
    texts = [chunk["choices"][0]["delta"]["content"] for chunk in middle]
    assert "Voss" in "".join(texts) and len(texts) > 3
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["timings"]["first_token_ms"] <= last["timings"]["total_ms"]
    assert "prefill" in last["timings"]["stages_ms"]
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == last["timings"]["predicted_n"]


def test_streamed_or_whole_an_answer_is_the_same_and_its_sources_too(api: ApiServer) -> None:
    whole = api.openai.chat.completions.create(model=MODEL, messages=[USER])
    stream = api.openai.chat.completions.create(model=MODEL, messages=[USER], stream=True)
    chunks = [chunk.model_dump() for chunk in stream]
    text = "".join(each["choices"][0]["delta"].get("content") or "" for each in chunks)
    assert whole.choices[0].message.content == text
    assert whole.model_dump()["sources"] == chunks[0]["sources"]


def test_usage_tells_which_tokens_of_the_prompt_had_been_read_before(api: ApiServer) -> None:
    for _ in range(2):
        answer = api.openai.chat.completions.create(model=MODEL, messages=[USER])
    assert answer.usage.prompt_tokens_details.cached_tokens > answer.usage.prompt_tokens // 2
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_what_the_documents_do_not_say_is_said_so(api: ApiServer) -> None:
    question = {"role": "user", "content": "How do I configure a Kubernetes ingress?"}
    answer = api.openai.chat.completions.create(model=MODEL, messages=[question])
    assert answer.choices[0].message.content == NOT_FOUND
    api.workspace.library.create("empty")
    answer = api.openai.chat.completions.create(model="first-token/empty", messages=[USER])
    assert answer.model_dump()["sources"] == []


def test_earlier_messages_are_the_history_of_the_question(api: ApiServer) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        USER,
        {"role": "assistant", "content": "Hannah Voss."},
        {"role": "user", "content": [{"type": "text", "text": "And when was it built?"}]},
    ]
    answer = api.client.ask({"model": MODEL, "messages": messages})
    assert "1684" in next(answer)["sources"][0]["text"]


def test_the_parameters_of_an_answer_are_honoured(api: ApiServer) -> None:
    create = api.openai.chat.completions.create
    short = create(model=MODEL, messages=[USER], max_tokens=3, extra_body={"passages": 1})
    assert short.choices[0].finish_reason == "length"
    assert short.usage.completion_tokens == 3
    assert len(short.model_dump()["sources"]) == 1
    stopped = create(model=MODEL, messages=[USER], stop=["Voss"])
    assert "Voss" not in (stopped.choices[0].message.content or "")
    extra = {"response_mode": "refine", "passages": 2, "first_token_budget": 5.0}
    refined = create(model=MODEL, messages=[USER], extra_body=extra)
    assert refined.choices[0].message.content


# ---- Errors


@pytest.mark.parametrize(
    ("parameters", "status", "param", "code"),
    [
        ({"model": "gpt-4"}, 404, "model", "model_not_found"),
        ({"foo": 1}, 400, "foo", "unknown_parameter"),
        ({"n": 2}, 400, "n", "unsupported_parameter"),
        ({"tools": [{"type": "function"}]}, 400, "tools", "unsupported_parameter"),
        ({"temperature": 9}, 400, "temperature", "invalid_value"),
        ({"messages": []}, 400, "messages", "invalid_value"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "messages", None),
        ({"messages": [{"role": "user", "content": ""}]}, 400, "messages", None),
        (
            {"messages": [{"role": "user", "content": "x" * (LONGEST_QUESTION + 1)}]},
            400,
            "messages",
            None,
        ),
        ({"passages": 11}, 400, "passages", "invalid_value"),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused_in_openais_shape(
    api: ApiServer, parameters: dict[str, Any], status: int, param: str, code: str | None
) -> None:
    answer = post(api, "/v1/chat/completions", asked(**parameters))
    error = error_of(answer)
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code)


def test_what_was_sent_is_not_repeated_in_an_error(api: ApiServer) -> None:
    answer = post(api, "/v1/chat/completions", asked(temperature="a secret"))
    assert answer.status_code == 400 and "secret" not in answer.text
    headers = {"Authorization": f"Bearer {api.client.key}"}
    url = f"{api.client.url}/v1/chat/completions"
    broken = httpx.post(url, content=b'{"model": a secret', headers=headers)
    assert broken.status_code == 400 and "secret" not in broken.text


def test_parameters_that_change_nothing_are_accepted(api: ApiServer) -> None:
    harmless = {"n": 1, "user": "me", "frequency_penalty": 0, "tools": [], "logprobs": False}
    answer = post(api, "/v1/chat/completions", asked(max_tokens=2, **harmless), timeout=60)
    assert answer.status_code == 200


def test_addresses_and_methods_that_do_not_exist_are_answered_in_the_same_shape(
    api: ApiServer,
) -> None:
    headers = {"Authorization": f"Bearer {api.client.key}"}
    for path, status in (("/v1/nothing", 404), ("/v1/chat/completions", 405), ("/mcp", 405)):
        answer = httpx.get(api.client.url + path, headers=headers)
        assert answer.status_code == status
        error_of(answer)


# ---- Who may ask


def test_a_wrong_or_missing_key_is_refused(api: ApiServer) -> None:
    for path in ("/v1/models", "/mcp"):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic é"}):
            raw = [(name.encode(), value.encode()) for name, value in headers.items()]
            answer = httpx.get(api.client.url + path, headers=raw)
            assert answer.status_code == 401
            assert error_of(answer)["code"] == "invalid_api_key"


def test_an_app_that_other_machines_can_reach_answers_nobody_without_a_key() -> None:
    nobody, somebody = Headers({}), Headers({"Authorization": "Bearer key-of-mine"})
    assert Access().refusal(nobody) is None
    assert Access(exposed=True).refusal(nobody) is not None
    assert Access(exposed=True).refusal(somebody) is not None
    assert Access("key-of-mine", exposed=True).refusal(nobody) is not None
    assert Access("key-of-mine", exposed=True).refusal(somebody) is None
    assert "key-of-mine" not in repr(Access("key-of-mine"))


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_sites_page_is_refused(api: ApiServer, headers: dict[str, str]) -> None:
    assert error_of(post(api, "/v1/chat/completions", asked(), headers=headers))
    assert post(api, "/mcp", {}, headers=headers).status_code == 403


def test_a_body_that_is_too_large_is_refused_before_it_is_read(api: ApiServer) -> None:
    answer = post(api, "/v1/chat/completions", asked(user="x" * JSON_BYTES))
    assert answer.status_code == 413
    error_of(answer)

    def endless() -> Iterator[bytes]:
        for _ in range(JSON_BYTES // 1000 + 10):
            yield b"x" * 1000

    headers = {"Authorization": f"Bearer {api.client.key}"}
    url = f"{api.client.url}/v1/chat/completions"
    assert httpx.post(url, content=endless(), headers=headers).status_code == 413


# ---- Search, embeddings, files


def test_search_has_openais_shape(api: ApiServer) -> None:
    (found, _) = api.openai.vector_stores.search(
        "default", query="the storm that broke the dam", max_num_results=2
    )
    assert found.filename == "tide-mill.md" and "1791" in found.content[0].text
    with pytest.raises(openai.NotFoundError):
        api.openai.vector_stores.search("nowhere", query="x")


def test_embeddings_are_those_of_the_index(api: ApiServer) -> None:
    name = "BAAI/bge-small-en-v1.5"
    embedded = api.openai.embeddings.create(model=name, input=["a mill", "a tide mill", "a cat"])
    mill, tide_mill, cat = (each.embedding for each in embedded.data)
    dot = [sum(a * b for a, b in zip(mill, other, strict=True)) for other in (mill, tide_mill, cat)]
    assert dot[0] == pytest.approx(1.0, abs=1e-3) and dot[1] > dot[2]
    body = {"model": name, "input": "a mill", "encoding_format": "base64"}
    coded = post(api, "/v1/embeddings", body).json()["data"][0]["embedding"]
    assert struct.unpack("<384f", base64.b64decode(coded)) == pytest.approx(mill)
    with pytest.raises(openai.NotFoundError):
        api.openai.embeddings.create(model="text-embedding-3-small", input="x")


def test_another_program_can_add_a_file_see_it_ready_read_and_delete_it(api: ApiServer) -> None:
    content = b"The ferry to Pell leaves at nine. Its captain is Ada Birch."
    files = api.openai.files
    added = files.create(file=("ferry.txt", content), purpose="user_data")
    deadline = time.monotonic() + 60
    while (now := files.retrieve(added.id)).status == "uploaded":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert now.status == "processed" and now.model_dump()["passages"] == 1
    assert added.id in [each.id for each in files.list()]
    assert files.create(file=("again.txt", content), purpose="user_data").id == added.id
    assert files.content(added.id).read() == content
    answer = next(
        api.client.ask(
            {
                "model": MODEL,
                "messages": [
                    {"role": "user", "content": "Who is the captain of the ferry to Pell?"}
                ],
            }
        )
    )
    assert answer["sources"][0]["document_id"] == added.id
    assert files.delete(added.id).deleted
    with pytest.raises(openai.NotFoundError):
        files.retrieve(added.id)


def test_a_file_that_cannot_be_read_says_why(api: ApiServer) -> None:
    added = api.openai.files.create(file=("empty.txt", b"   "), purpose="user_data")
    deadline = time.monotonic() + 60
    while (now := api.openai.files.retrieve(added.id)).status == "uploaded":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert now.status == "error" and now.status_details
    assert api.openai.files.delete(added.id).deleted


def test_a_changed_file_replaces_the_one_of_its_name_only_if_asked_to(api: ApiServer) -> None:
    def add(content: bytes, **form: str) -> dict[str, Any]:
        created = api.openai.files.create(
            file=("menu.txt", content), purpose="user_data", extra_body=form
        )
        deadline = time.monotonic() + 60
        while (now := api.client.file(created.id))["status"] == "uploaded":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return now

    first = add(b"Today there is soup.")
    assert first["status"] == "processed"
    changed = b"Today there is bread."
    assert add(changed)["stage"] == "differs from the one you have"
    assert add(changed, if_exists="replace")["status"] == "processed"
    names = [each["id"] for each in api.client.files() if each["filename"] == "menu.txt"]
    assert len(names) == 1 and names != [first["id"]]


def test_samples_are_listed_with_their_pages(api: ApiServer) -> None:
    listed = {each["filename"]: each for each in api.client.files("default")}
    names = {path.name for path in (ROOT / "samples").iterdir() if path.name[0] != "."}
    assert names <= set(listed)
    assert listed["keepers-handbook.pdf"]["pages"] > 1
