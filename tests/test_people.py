"""People: each sees their own documents and what is shared, and no id leads to another's."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.api.asking import file_id
from engine.api.serving import serve
from engine.config import Config
from engine.errors import ConfigError, SignInError, StoreError
from engine.kinds.shelf import Shelf
from engine.schema import Filters
from engine.signing_in import Person, sign_in_configured
from engine.workspace import Workspace
from engine.workspace.people import ANYBODY, People
from engine.workspace.watching import Watcher
from tests.api_server import wait_until
from tests.people_server import GLOBAL_KEY, ISSUER, Member, Team, add, team_server
from tests.scripted import ScriptedLLM


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with team_server(tmp_path_factory.mktemp("team")) as made:
        yield made


def document_of(member: Member) -> str:
    """The source id of the document with the member's secret."""
    documents = member.workspace.library.documents("default")
    return next(each.source_id for each in documents if each.file_name == f"{member.secret}.txt")


def asked(member: Member) -> tuple[str, str]:
    """The ids of a conversation and its turn."""
    workspace = member.workspace
    conversation = workspace.conversations.create("default")
    response = workspace.ask(conversation, "What is the password of the cellar?")
    wait_until(lambda: response.phase.ended)
    wait_until(lambda: not workspace.running(conversation.id))
    return conversation.id, workspace.turns(conversation.id)[0].id


# ---- Who somebody is


def test_a_person_is_issuer_and_subject_and_never_the_address() -> None:
    ann = {"iss": ISSUER, "sub": "1", "email": "ann@example.org", "email_verified": True}
    same = Person.from_claims(ann | {"email": "ann.new@example.org", "name": "Ann Other"})
    assert Person.from_claims(ann).id == same.id
    others = [{"sub": "2"}, {"iss": "https://other.example"}, {"iss": f"{ISSUER}1", "sub": ""}]
    assert all(Person.from_claims(ann | each).id != same.id for each in others[:2])
    for each in (others[2], {"iss": ""}, {"sub": None}, {"iss": None}, {"sub": 7}):
        with pytest.raises(SignInError, match="did not say who you are"):
            Person.from_claims(ann | each)


def test_only_verified_addresses_and_ids_name_administrators() -> None:
    ann = {"iss": ISSUER, "sub": "1", "email": "Ann@Example.org", "email_verified": True}
    named = "ben@example.org, ann@example.org"
    assert Person.from_claims(ann, named).administrator
    assert not Person.from_claims(ann, "ben@example.org").administrator
    assert not Person.from_claims(ann, "").administrator
    for unverified in (False, None, "false", 0, "yes"):
        person = Person.from_claims(ann | {"email_verified": unverified}, named)
        assert not person.administrator and person.email == ""
    without = {"iss": ISSUER, "sub": "1"}
    assert not Person.from_claims(without, named).administrator
    assert not Person.from_claims(without, ",").administrator
    assert not Person.from_claims(ann | {"email": ""}, ", ,").administrator
    # the Kelvin sign becomes a k in lower case
    kelvin = ann | {"email": "\u212aim@example.org"}
    assert not Person.from_claims(kelvin, "kim@example.org").administrator
    person = Person.from_claims(without)
    assert Person.from_claims(without, f"x@example.org, {person.id}").administrator


def test_a_damaged_secrets_file_never_turns_sign_in_off(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.toml"
    assert not sign_in_configured([secrets])
    secrets.write_text("[database]\nuser = 'me'")
    assert not sign_in_configured([secrets])
    secrets.write_text(f"[auth]\ncookie_secret = '{'x' * 32}'")
    assert sign_in_configured([secrets])
    for weak in ("[auth]\nclient_id = 'a'", "[auth]\ncookie_secret = 'xxx'", "auth = true"):
        secrets.write_text(weak)
        with pytest.raises(ConfigError, match="at least 32 random characters"):
            sign_in_configured([secrets])
    secrets.write_text("[auth]\nclient_id = 'first-token")
    with pytest.raises(ConfigError, match="cannot be read"):
        sign_in_configured([secrets])


def test_the_server_without_pages_is_refused_where_people_sign_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".streamlit").mkdir()
    secrets = tmp_path / ".streamlit" / "secrets.toml"
    secrets.write_text(f"[auth]\ncookie_secret = '{'x' * 32}'")
    with pytest.raises(ConfigError, match="would know none of them"):
        serve(Config(data_dir=tmp_path), "127.0.0.1", 0)


# ---- Their workspaces


def test_nothing_of_one_workspace_is_found_in_another(team: Team) -> None:
    ann, ben = team.ann, team.ben
    conversation, turn = asked(ann)
    source = document_of(ann)
    theirs = ben.workspace
    assert theirs.conversations.find(conversation) is None
    assert theirs.conversations.list("default") == []
    assert theirs.turns(conversation) == [] and not theirs.hold(conversation)
    theirs.delete_conversation(conversation)
    assert ann.workspace.turns(conversation)[0].id == turn
    assert theirs.library.passages("default", source) == []
    assert theirs.library.original("default", source) is None
    assert theirs.library.copy_of("default", source) is None
    theirs.delete_documents("default", [source])
    assert theirs.library.restore("default", [source]) == []
    with pytest.raises(StoreError):
        theirs.library.tag("default", source, ["mine"])
    assert ann.workspace.library.original("default", source)
    run = ann.workspace.agents.start("default", "What is the password of the cellar?")
    assert ann.workspace.agents.find(run.id) and theirs.agents.find(run.id) is None
    found = theirs.library.retriever("default", 5, Filters(source_ids=(source,))).retrieve("cellar")
    assert found == []


def test_the_same_file_of_two_people_keeps_the_name_that_each_gave_it(team: Team) -> None:
    text = "name;age\nOda;31\nPia;47\n"
    add(team.ann.workspace, "lists", "secret-project.csv", text)
    add(team.ben.workspace, "lists", "ages.csv", text)
    shown = []
    for member in (team.ann, team.ben):
        shelf = Shelf([member.workspace.library.index("lists").collection])
        (book,) = shelf.books()
        shown.append(shelf.tables(book.source.source_id)[0].file_name)
    assert shown == ["secret-project.csv", "ages.csv"]


def test_a_shared_collection_can_be_read_by_all_and_changed_by_nobody(team: Team) -> None:
    library = team.ben.workspace.library
    assert "shared:handbook" in library.collections()
    assert "shared:payroll" not in library.collections()
    (document,) = library.documents("shared:handbook")
    assert library.original("shared:handbook", document.source_id)
    found = library.retriever(
        "default", 5, Filters(collections=("default", "shared:handbook"))
    ).retrieve("How many days of holidays?")
    assert found[0].metadata["collection"] == "shared:handbook"
    changes: list[Callable[[], object]] = [
        lambda: library.delete("shared:handbook", [document.source_id]),
        lambda: library.tag("shared:handbook", document.source_id, ["mine"]),
        lambda: library.rename("shared:handbook", document.source_id, "other.txt", ""),
        lambda: library.delete_collection("shared:handbook"),
        lambda: library.create("shared:handbook"),
        lambda: library.restore("shared:handbook", [document.source_id]),
        lambda: team.ben.workspace.ingestor.add("shared:handbook", "a.txt", b"A text."),
        lambda: library.own_index("shared:handbook"),
    ]
    for change in changes:
        with pytest.raises(StoreError, match="by administrators only"):
            change()
    for other in ("shared:payroll", "shared:default", "shared:../payroll", "payroll", "shared:"):
        with pytest.raises(StoreError):
            library.documents(other)
        assert library.original(other, document.source_id) is None


def test_what_is_no_longer_shared_is_gone_at_once_and_a_new_one_of_its_name_too(
    team: Team,
) -> None:
    library = team.ben.workspace.library
    add(team.workspace, "news", "news.txt", "The ferry sails at nine.")
    team.workspace.published.publish("news", True)
    (document,) = library.documents("shared:news")
    team.workspace.published.publish("news", False)
    assert "shared:news" not in library.collections()
    assert library.original("shared:news", document.source_id) is None
    with pytest.raises(StoreError, match="not shared any more"):
        library.passages("shared:news", document.source_id)
    team.workspace.published.publish("news", True)
    team.workspace.delete_collection("news")
    team.workspace.library.create("news")
    assert "shared:news" not in library.collections()


def test_a_workspace_opens_for_ids_of_people_only(team: Team) -> None:
    before = sorted((team.workspace._folder / "people").iterdir())
    for wrong in ("", "..", "../..", "A" * 32, "0" * 31, f"{'0' * 32}/..", f"{'0' * 32}\n"):
        with pytest.raises(ValueError, match="id of a person"):
            team.people.workspace(wrong)
    assert sorted((team.workspace._folder / "people").iterdir()) == before


def test_a_folder_with_the_data_of_people_cannot_be_kept_in_sync(
    team: Team, tmp_path: Path
) -> None:
    opened = team.workspace
    app, shared = tmp_path / "app", tmp_path / "shared"
    for each in (app, shared / "people"):
        each.mkdir(parents=True)
    watcher = Watcher(
        app / "watched.json", opened.library, opened.ingestor, opened.delete_documents, shared
    )
    people = opened._folder / "people"
    with pytest.raises(ConfigError, match="holds the data"):
        opened.watcher.add("handbook", str(people / team.ann.person.id))
    for folder in (shared / "people", tmp_path):
        with pytest.raises(ConfigError, match="holds the data"):
            watcher.add("handbook", str(folder))
    watcher.close()


def test_people_survive_a_restart_and_their_index_on_a_server_has_its_own_prefix(
    tmp_path: Path,
) -> None:
    config = Config(data_dir=tmp_path, qdrant_prefix="team")
    person = Person.from_claims({"iss": ISSUER, "sub": "1", "name": "Ann"})
    for start in range(2):
        team = Workspace(tmp_path / "app", config, ScriptedLLM(["Fine."]))
        people = People(partial(lambda each: each, team), tmp_path / "app", config)
        workspace = people.enter(person)
        if not start:
            add(workspace, "default", "a.txt", "The ferry sails at nine.")
            key = people.make_key(person.id, "laptop")
        assert [each.file_name for each in workspace.library.documents("default")] == ["a.txt"]
        assert people.holder(key) == person.id
        assert workspace._config.qdrant_prefix == f"team+{person.id}"
        assert workspace.llm is team.llm and workspace.models is team.models
        team.close()  # and with it the workspaces of people
        assert workspace._closed


# ---- Their keys


def test_a_key_is_kept_as_a_hash_and_can_be_revoked(team: Team) -> None:
    ann = team.ann.person
    key = team.people.make_key(ann.id, "  my   laptop ")
    (made, *_) = team.people.keys(ann.id)
    assert made.name == "my laptop" and key.endswith(made.ending)
    files = (team.workspace._folder / "people").rglob("*")
    assert not any(key.encode() in each.read_bytes() for each in files if each.is_file())
    with team.client(key) as client:
        assert client.get("/v1/models").status_code == 200
        team.people.revoke(ann.id, made.digest)
        refused = client.get("/v1/models")
    assert refused.status_code == 401 and "Connect page" in refused.text


def test_keys_that_nobody_has_are_refused(team: Team) -> None:
    ann, ben = team.ann, team.ben
    secret = ann.key.rpartition("-")[2]
    wrong = [
        "",
        "x",
        ann.key[:-1],
        f"{ann.key}x",
        ann.key.replace(ann.person.id, ben.person.id),  # of another person
        f"ft-{ann.person.id}-",
        f"ft-{'0' * 32}-{secret[-43:]}",
        team.people.keys(ann.person.id)[0].digest,
        f"ft-../../{ben.person.id}-{secret}",
        GLOBAL_KEY[:-1],
        ANYBODY,
        "team",
    ]
    for key in wrong:
        answer = team.client(key).get("/v1/files")
        assert answer.status_code == 401, key
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_damaged_file_of_keys_lets_nobody_in(tmp_path: Path, team: Team) -> None:
    person = Person.from_claims({"iss": ISSUER, "sub": "damaged"})
    key = team.people.make_key(person.id, "test")
    file = team.workspace._folder / "people" / person.id / "keys.json"
    assert team.people.holder(key) == person.id
    for content in ("", "{}", "[1]", "null", '[{"digest": 1}]', "[" * 5000):
        file.write_text(content)
        assert team.people.holder(key) is None, content


def test_with_a_shared_folder_a_key_counts_in_every_process(tmp_path: Path, team: Team) -> None:
    shared, person_id = tmp_path / "shared", team.ann.person.id

    def process(name: str) -> People:
        config = Config(data_dir=tmp_path / name, shared_dir=shared, qdrant_url="http://localhost")
        return People(lambda: team.workspace, tmp_path / name / "app", config)

    one, other = process("one"), process("other")
    key = one.make_key(person_id, "laptop")
    assert other.holder(key) == person_id
    assert one._config_of(person_id).shared_dir == shared / "people" / person_id
    other.revoke(person_id, other.keys(person_id)[0].digest)
    assert one.holder(key) is None


# ---- The API


def ids_of(member: Member) -> dict[str, str]:
    source = document_of(member)
    upload = (
        f"upload-{member.workspace.ingestor.uploads('default')[0].id}"
        if (member.workspace.ingestor.uploads("default"))
        else "upload-x"
    )
    return {"source": source, "file": file_id("default", source), "upload": upload}


def mcp(client: httpx.Client, method: str, **params: Any) -> str:
    """The answer of MCP, as it came."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    headers = {"Accept": "application/json, text/event-stream"}
    return client.post("/mcp", json=body, headers=headers).text


def test_no_id_of_ann_gives_ben_anything_over_http(team: Team) -> None:
    ann, ben = team.ann, team.ben
    ids = ids_of(ann)
    own, other = team.client(ann.key), team.client(ben.key)
    assert own.get(f"/v1/files/{ids['file']}/content").text.count(ann.secret) == 1
    assert ann.secret in own.get("/v1/files").text
    filtered = {"file_ids": [ids["file"]]}
    question = [{"role": "user", "content": "What is the password of the cellar?"}]
    attempts = [
        other.get("/v1/files"),
        other.get("/v1/files", params={"collection": "default"}),
        other.get("/v1/files", params={"collection": "payroll"}),
        other.get("/v1/files", params={"collection": "shared:payroll"}),
        other.get(f"/v1/files/{ids['file']}"),
        other.get(f"/v1/files/{ids['upload']}"),
        other.get(f"/v1/files/{ids['file']}/content"),
        other.get(f"/v1/files/{ids['source']}/content"),
        other.delete(f"/v1/files/{ids['file']}"),
        other.get("/v1/models"),
        other.get(f"/v1/models/first-token/{ann.person.id}"),
        other.post("/v1/vector_stores/default/search", json={"query": "password of the cellar"}),
        other.post(
            "/v1/vector_stores/default/search", json={"query": "password", "filters": filtered}
        ),
        other.post("/v1/vector_stores/payroll/search", json={"query": "director"}),
        other.post("/v1/vector_stores/shared:payroll/search", json={"query": "director"}),
        other.post(
            "/v1/vector_stores/default/search",
            json={"query": "director", "filters": {"collections": ["default", "payroll"]}},
        ),
        other.post(
            "/v1/chat/completions",
            json={"model": "first-token/default", "messages": question, "stream": False},
        ),
        other.post(
            "/v1/chat/completions",
            json={"model": "first-token/default", "messages": question, "filters": filtered},
        ),
        other.post(
            "/v1/chat/completions", json={"model": "first-token/payroll", "messages": question}
        ),
        *(
            other.request(method, "/v1/files/" + path)
            for method in ("GET", "DELETE")
            for path in (f"..%2f{ann.person.id}", f"{ids['file']}%00")
        ),
    ]
    for answer in attempts:
        assert ann.secret not in answer.text and "ninety thousand" not in answer.text
        assert answer.status_code in (200, 400, 404), (answer.url, answer.status_code)
    assert own.get(f"/v1/files/{ids['file']}").status_code == 200  # it was not deleted


def test_no_id_of_ann_gives_ben_anything_over_mcp(team: Team) -> None:
    ann, ben = team.ann, team.ben
    ids = ids_of(ann)
    own, other = team.client(ann.key), team.client(ben.key)
    assert ids["file"] in mcp(own, "resources/list")
    address = f"first-token://default/{ids['file']}"
    assert ann.secret in mcp(own, "resources/read", uri=address)
    asked = {"question": "What is the password of the cellar?"}
    attempts = [
        mcp(other, "resources/list"),
        mcp(other, "resources/read", uri=address),
        mcp(other, "tools/call", name="fetch", arguments={"id": ids["file"]}),
        mcp(other, "tools/call", name="fetch", arguments={"id": f"{ids['file']}#0"}),
        mcp(other, "tools/call", name="search", arguments={"query": "password"}),
        mcp(
            other,
            "tools/call",
            name="search",
            arguments={"query": "password", "filters": {"file_ids": [ids["file"]]}},
        ),
        mcp(other, "tools/call", name="search", arguments={"query": "a", "collection": "payroll"}),
        mcp(other, "tools/call", name="ask", arguments=asked),
    ]
    assert all(ann.secret not in each and "ninety" not in each for each in attempts), attempts
    assert ben.secret in attempts[0] and ben.secret in attempts[4]


def test_an_upload_of_ann_is_not_seen_by_ben_who_sends_the_same_file(team: Team) -> None:
    own, other = team.client(team.ann.key), team.client(team.ben.key)
    send = {"file": ("private-name.txt", b"The lighthouse is closed in winter.")}
    sent = own.post("/v1/files", files=send).json()
    wait_until(lambda: own.get(f"/v1/files/{sent['id']}").json()["stage"] == "ready")
    assert other.get(f"/v1/files/{sent['id']}").status_code == 404
    again = {"file": ("other.txt", b"The lighthouse is closed in winter.")}
    answer = other.post("/v1/files", files=again)
    assert answer.json()["filename"] == "other.txt" and "private-name" not in answer.text


def test_the_global_key_reads_what_is_shared_and_changes_nothing(team: Team) -> None:
    client = team.client(GLOBAL_KEY)
    models = [each["id"] for each in client.get("/v1/models").json()["data"]]
    assert models == ["first-token/shared:handbook"]
    (file,) = client.get("/v1/files").json()["data"]
    assert file["filename"] == "holidays.txt"
    assert "thirty days" in client.get(f"/v1/files/{file['id']}/content").text
    search = client.post("/v1/vector_stores/shared:handbook/search", json={"query": "holidays"})
    assert search.json()["data"][0]["file_id"] == file["id"]
    for everybody in (client, team.client(team.ben.key)):
        refused = everybody.delete(f"/v1/files/{file['id']}")
        assert refused.status_code == 403 and "administrators only" in refused.text
    for collection, status in (("default", 404), ("shared:handbook", 403), ("payroll", 404)):
        answer = client.post(
            "/v1/files", files={"file": ("x.txt", b"X is a text.")}, data={"collection": collection}
        )
        assert answer.status_code == status, collection
    assert client.get(f"/v1/files/{ids_of(team.ann)['file']}").status_code == 404
    question = [{"role": "user", "content": "How many days of holidays?"}]
    asked = client.post(
        "/v1/chat/completions",
        json={"model": "first-token/shared:handbook", "messages": question},
    )
    assert asked.json()["sources"][0]["file_name"] == "holidays.txt"


# ---- What is common to all


def test_models_are_one_for_all_and_measurements_one_at_a_time(team: Team) -> None:
    ann, ben = team.ann.workspace, team.ben.workspace
    assert ann.chat_model is ben.chat_model is team.workspace.chat_model
    assert list(ann.model_choices().values()) == [team.workspace.switch.current]
    assert ann.settings is not ben.settings
    ann.settings = replace(ann.settings, passages=7)
    assert ben.settings.passages != 7


def test_a_passing_key_is_for_one_workspace(team: Team) -> None:
    for workspace, owner in (
        (team.ann.workspace, team.ann.person.id),
        (team.workspace, "team"),
    ):
        key = team.people.passing_key(workspace)
        assert team.people.holder(key) == owner and team.people.passing_key(workspace) == key
