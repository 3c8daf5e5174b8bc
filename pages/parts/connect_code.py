"""What other programs are given to copy: commands, code and configurations. No widgets.

Everything works as it stands, with the app's address, the collection, and the key where one is set;
only the name of a file to add is the reader's.
"""

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.workspace import AskSettings, Turn
from pages.parts.api import access, own_address

ROOT = Path(__file__).parents[2]
QUESTION = "What is said about the tide mill?"


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a program asks. `url` is the app's address, `root` the folder of First Token."""

    url: str
    collection: str
    has_key: bool
    root: Path
    python: Path

    @property
    def model(self) -> str:
        return f"first-token/{self.collection}"

    @property
    def terminal(self) -> str:
        """A command that runs the terminal's commands from any folder."""
        return f"cd {shlex.quote(str(self.root))} && {shlex.quote(str(self.python))} -m engine"


def target_of(collection: str) -> Target:
    """The app as other programs reach it, for this collection."""
    python_path = Path(sys.executable)  # the environment's; resolved, it would be another
    return Target(own_address(), collection, access().needs_key, ROOT, python_path)


def curl(target: Target, question: str, parameters: Mapping[str, Any] | None = None) -> str:
    """The question as a command. `parameters` are further ones of the request."""
    body = {
        "model": target.model,
        "stream": True,
        "messages": [{"role": "user", "content": question}],
        **(parameters or {}),
    }
    key = '  -H "Authorization: Bearer $API_KEY" \\\n' if target.has_key else ""
    return (
        f"curl -N {target.url}/v1/chat/completions \\\n"
        f'  -H "Content-Type: application/json" \\\n{key}'
        f"  -d {shlex.quote(json.dumps(body, ensure_ascii=False, indent=2))}"
    )


def curl_of_turn(target: Target, turn: Turn, filters: Mapping[str, Any]) -> str:
    """A question on the Ask page, with the settings that it had. `filters`: as the API has them."""
    asked = {**asdict(AskSettings()), **turn.settings}
    parameters = {
        "stream": asked["streaming"],
        "passages": asked["passages"],
        "response_mode": asked["response_mode"],
        "max_tokens": asked["length"],
        "temperature": asked["temperature"],
        "first_token_budget": asked["first_token_budget"],
        **({"filters": filters} if filters else {}),
    }
    return curl(target, turn.searched_for or turn.question, parameters)


def python(target: Target, question: str) -> str:
    key = 'os.environ["API_KEY"]' if target.has_key else '"none"'
    message = f'{{"role": "user", "content": {json.dumps(question, ensure_ascii=False)}}}'
    lines = ["import os", ""] if target.has_key else []
    lines += [
        "from openai import OpenAI",
        "",
        f"client = OpenAI(base_url={json.dumps(target.url + '/v1')}, api_key={key})",
        "stream = client.chat.completions.create(",
        f"    model={json.dumps(target.model, ensure_ascii=False)},",
        f"    messages=[{message}],",
        "    stream=True,",
        '    extra_body={"passages": 3},',
        ")",
        "for chunk in stream:",
        '    for source in (chunk.model_extra or {}).get("sources", []):',
        '        print(source["file_name"], source["page"], source["quote"])',
        "    if chunk.choices:",
        '        print(chunk.choices[0].delta.content or "", end="", flush=True)',
    ]
    return "\n".join(lines)


def javascript(target: Target, question: str) -> str:
    """An ES module for Node, Deno and Bun. A browser allows it on the app's own pages only."""
    body = {
        "model": target.model,
        "stream": True,
        "messages": [{"role": "user", "content": question}],
    }
    key = "\n    Authorization: `Bearer ${process.env.API_KEY}`," if target.has_key else ""
    shown = json.dumps(body, ensure_ascii=False, indent=2).replace("\n", "\n  ")
    return f"""\
const answer = await fetch({json.dumps(target.url + "/v1/chat/completions")}, {{
  method: "POST",
  headers: {{
    "Content-Type": "application/json",{key}
  }},
  body: JSON.stringify({shown}),
}});
if (!answer.ok) throw new Error(await answer.text());
let rest = "", text = "";
for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {{
  const frames = (rest + part).split("\\n\\n");
  rest = frames.pop();
  for (const frame of frames.filter((each) => each.startsWith("data: {{"))) {{
    const {{ sources, choices }} = JSON.parse(frame.slice(6));
    for (const source of sources ?? []) console.log(source.file_name, source.page, source.quote);
    text += choices[0]?.delta.content ?? "";
  }}
}}
console.log(text);"""


def mcp_by_address(target: Target) -> str:
    """For clients that connect to an address: Cursor, Windsurf, VS Code and others."""
    server: dict[str, Any] = {"type": "http", "url": f"{target.url}/mcp"}
    if target.has_key:
        server["headers"] = {"Authorization": "Bearer YOUR_API_KEY"}
    return json.dumps({"mcpServers": {"first-token": server}}, indent=2)


def mcp_by_command(target: Target) -> str:
    """For clients that start a program: Claude Desktop and others."""
    command = f"{target.terminal} mcp"
    server = {"command": "/bin/sh", "args": ["-c", f"{command.replace('&& ', '&& exec ')}"]}
    return json.dumps({"mcpServers": {"first-token": server}}, indent=2, ensure_ascii=False)


def mcp_claude_code(target: Target) -> str:
    key = ' --header "Authorization: Bearer $API_KEY"' if target.has_key else ""
    return f"claude mcp add --transport http first-token {target.url}/mcp{key}"


def terminal(target: Target, question: str) -> str:
    collection = f" --collection {shlex.quote(target.collection)}"
    collection = "" if target.collection == "default" else collection
    asked = shlex.quote(question)
    return "\n".join(
        [
            f"cd {shlex.quote(str(target.root))}",
            f"{shlex.quote(str(target.python))} -m engine ask {asked}{collection}",
            f"{shlex.quote(str(target.python))} -m engine search {asked} --json{collection}",
            f"{shlex.quote(str(target.python))} -m engine list{collection}",
            f"{shlex.quote(str(target.python))} -m engine add YOUR-FILE.pdf{collection}",
        ]
    )
