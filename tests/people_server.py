"""A team of two people, each with a document, a shared collection, and the API on a server."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette

from engine.api.guard import Access, mounted
from engine.api.routes import Api
from engine.config import Config
from engine.signing_in import Person
from engine.workspace import Stage, Workspace
from engine.workspace.people import People
from tests.api_server import wait_until
from tests.scripted import ScriptedLLM

GLOBAL_KEY = "the-key-of-the-env-file"
ISSUER = "https://login.example"


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody with a workspace and an API key. `secret`: a word that only their document has."""

    person: Person
    workspace: Workspace
    key: str
    secret: str


@dataclass(frozen=True, slots=True)
class Team:
    people: People
    workspace: Workspace
    ann: Member
    ben: Member
    url: str
    clients: list[httpx.Client] = field(default_factory=list)

    def client(self, key: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        made = httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)
        self.clients.append(made)
        return made


def add(workspace: Workspace, collection: str, name: str, text: str) -> str:
    """A document; returns its source id."""
    if collection not in workspace.library.collections():
        workspace.library.create(collection)
    upload = workspace.ingestor.add(collection, name, text.encode())
    wait_until(lambda: upload.stage.ended)
    assert upload.stage is Stage.READY, upload.message
    return upload.source_id


def member(people: People, name: str, subject: str, secret: str) -> Member:
    claims = {"iss": ISSUER, "sub": subject, "name": name}
    person = Person.from_claims(claims)
    workspace = people.enter(person)
    add(workspace, "default", f"{secret}.txt", f"The password of the cellar is {secret}.")
    return Member(person, workspace, people.make_key(person.id, "test"), secret)


@contextmanager
def team_server(folder: Path) -> Iterator[Team]:
    config = Config(data_dir=folder, api_key=GLOBAL_KEY)
    workspace = Workspace(folder / "app", config, ScriptedLLM(["Fine."]))
    people = People(lambda: workspace, folder / "app", config)
    apis: list[Api] = []

    def load(caller: str) -> Api:
        apis.append(Api(lambda: people.workspace(caller)))
        return apis[-1]

    access = Access(config.api_key, holder=people.holder)
    app = Starlette(routes=mounted(load, lambda: access))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    team = None
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            add(workspace, "handbook", "holidays.txt", "Everybody has thirty days of holidays.")
            add(workspace, "payroll", "payroll.txt", "The director earns ninety thousand crowns.")
            workspace.published.publish("handbook", True)
            team = Team(
                people,
                workspace,
                member(people, "Ann", "1", "quicksilver"),
                member(people, "Ben", "2", "marigold"),
                f"http://127.0.0.1:{listening.getsockname()[1]}",
            )
            yield team
        finally:
            for each in [*(team.clients if team else ()), *apis]:
                each.close()
            server.should_exit = True
            thread.join(10)
            workspace.close()
