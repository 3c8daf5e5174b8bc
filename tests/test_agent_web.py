"""Web search: Tavily's own client against a server on this machine that speaks its API."""

import socket

import pytest

from engine import Settings
from engine.agent import AgentWorkflow, TavilyToolSpec, ToolCallResult
from engine.agent.shipped import NO_KEY
from engine.agent.tools import CallOutcome, call_tool
from engine.config import Config
from engine.run import Run
from tests.scripted import ScriptedLLM
from tests.tavily_server import TavilyServer
from tests.test_agent import ANSWER, decision


def search(server: TavilyServer, key: str = TavilyServer.key, url: str = "") -> CallOutcome:
    (tool,) = TavilyToolSpec(key, api_base_url=url or server.url).to_tool_list()
    return call_tool(tool, {"query": "weather in San Francisco"}, Run())


def test_a_search_gives_the_answer_the_pages_and_where_they_are() -> None:
    with TavilyServer() as server:
        outcome = search(server)
    assert not outcome.is_error
    assert outcome.output.content.startswith("The current weather in San Francisco is partly")
    assert "wind 9 km/h" in outcome.output.content
    (source,) = outcome.output.sources
    assert source.metadata == {
        "file_name": "Weather in San Francisco",
        "url": "https://weather.example/sf",
    }
    (request,) = server.requests
    assert request["path"] == "/search"
    assert request["query"] == "weather in San Francisco"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (429, b'{"detail": {"error": "Slow down."}}', "limit is reached (Slow down.). Wait"),
        (432, b'{"detail": {"error": "Plan limit."}}', "plan does not allow this (Plan limit.)"),
        (400, b'{"detail": {"error": "Query is too long."}}', "refused the query (Query is too"),
        (500, b"{}", "has a fault: 500"),
        (502, b"<html>Bad gateway</html>", "has a fault: 502"),
        (200, b"<html>Welcome to the hotel</html>", "is not readable"),
        (200, b'{"results": []}', "The web search found nothing."),
        (200, b'["what?"]', "web_search failed"),
    ],
)
def test_whatever_the_server_says_is_a_sentence(status: int, body: bytes, said: str) -> None:
    with TavilyServer(status, body) as server:
        outcome = search(server)
    assert said in outcome.output.content
    assert outcome.is_error or not outcome.output.found


def test_a_wrong_key_names_the_setting() -> None:
    with TavilyServer() as server:
        outcome = search(server, key="tvly-wrong")
    assert outcome.is_error
    assert "Check TAVILY_API_KEY in .env" in outcome.output.content


def test_a_server_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.agent.shipped.TAVILY_SECONDS", 0.2)
    with TavilyServer(hang=True) as server:
        outcome = search(server)
    assert outcome.is_error
    assert "did not answer within 0.2 seconds" in outcome.output.content


def test_without_a_network_it_says_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    outcome = search(TavilyServer(), url=url)
    assert outcome.is_error
    assert "could not be reached" in outcome.output.content


def test_without_a_key_nothing_is_sent_and_it_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Settings, "config", Config())
    with TavilyServer() as server:
        (tool,) = TavilyToolSpec(None, api_base_url=server.url).to_tool_list()
        llm = ScriptedLLM(decision("web_search", query="x"), ANSWER, ["Sorry."])
        handler = AgentWorkflow.from_tools([tool], llm).run("Weather?")
        assert str(handler.result()) == "Sorry."
    assert tool.unavailable == NO_KEY
    result = next(event for event in handler.so_far if isinstance(event, ToolCallResult))
    assert str(result.tool_output) == NO_KEY
    assert server.requests == []


def test_the_key_of_the_configuration_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "config", Config(tavily_api_key=TavilyServer.key))
    with TavilyServer() as server:
        (tool,) = TavilyToolSpec(api_base_url=server.url).to_tool_list()
        assert not call_tool(tool, {"query": "x"}, Run()).is_error
