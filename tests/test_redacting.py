"""Secrets stay out of what leaves the process; everything else stays as it is."""

import pytest

from engine.redacting import public_address, redact, redact_values

SECRETS = (
    "hunter2pass",
    "k-9f8e7d",
    "sk-abcdefgh12345678",
    "tvly-abcdefgh1234",
    "sk-proj-****************wxyz",
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "http://user:hunter2pass@host:8080/v1?key=k-9f8e7d is down",
            "http://host:8080/v1 is down",
        ),
        ("Wrong API key provided: sk-abcdefgh12345678.", "Wrong API key provided: [hidden]"),
        (
            "Incorrect API key provided: sk-proj-****************wxyz. You can find",
            "Incorrect API key provided: [hidden] You can find",
        ),
        ("Authorization: Bearer k-9f8e7d", "Authorization: Bearer [hidden]"),
        ('{"api_key": "k-9f8e7d", "model": "m"}', '{"api_key": "[hidden]", "model": "m"}'),
        ("QDRANT_API_KEY=k-9f8e7d", "QDRANT_API_KEY=[hidden]"),
        ("the key tvly-abcdefgh1234 was refused", "the key [hidden] was refused"),
        ("password=hunter2pass&x=1", "password=[hidden]&x=1"),
    ],
)
def test_credentials_are_removed_and_the_rest_stays(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert not any(secret in redact(text) for secret in SECRETS)


@pytest.mark.parametrize(
    "text",
    [
        "The model server at http://localhost:8080/v1/chat/completions did not answer.",
        "What is 7.5% of 1,240? Who built the tide mill?",
        "Read 312 of 480 tokens: slow. First token: 0.31 s.",
        "risk-assessment of a task-management-system",
    ],
)
def test_ordinary_text_is_not_touched(text: str) -> None:
    assert redact(text) == text


def test_a_named_secret_is_removed_wherever_it_stands() -> None:
    assert redact("no letmein42 here", ["letmein42", ""]) == "no [hidden] here"


def test_an_address_is_shown_without_what_opens_it() -> None:
    address = "https://user:pw@example.org:8443/v1/?key=1#top"
    assert public_address(address) == "https://example.org:8443/v1"
    assert public_address("") == ""


def test_values_lose_secrets_and_folders_at_any_depth() -> None:
    values = {
        "settings": [{"server": "http://u:p@h/v1?key=1", "file": "/home/somebody/models/m.gguf"}],
        "number": 3,
    }
    assert redact_values(values) == {
        "settings": [{"server": "http://h/v1", "file": "m.gguf"}],
        "number": 3,
    }


def test_a_hostile_text_is_redacted_in_linear_time() -> None:
    for text in ("http://" * 50_000, "a" * 300_000, "token" * 60_000, "?" * 300_000, "@" * 300_000):
        redact(text)
