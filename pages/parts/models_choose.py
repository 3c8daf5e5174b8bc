"""Choosing a chat model: those on this computer, the catalogue, any other file."""

from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.errors import ServerError
from engine.languages import name_of
from engine.models.background import Step
from engine.models.catalogue import Recommended, catalogue
from engine.models.choosing import Choice, configured_name
from engine.models.estimates import (
    Measured,
    available_memory,
    estimate,
    measured_here,
    memory_needed,
    usual_size,
)
from engine.models.files import ModelFile, State, gguf_files, size_of
from engine.models.servers import Server, checked_address, models_of
from engine.redacting import public_address
from engine.settings import Settings
from engine.weights import RECORD
from engine.workspace import Workspace
from pages.parts.facts import readable_size
from pages.parts.markdown import plain_markdown
from pages.parts.resources import safely

TICK = 0.5  # seconds between updates while a model is downloaded or loaded
ESTIMATES = (
    "Memory and times are estimates for this machine, scaled from the rates that were measured on "
    "it. They are right within a factor of two."
)
SIZES = "The hub has not been asked for sizes yet, so they are estimates too."


def choose_model(workspace: Workspace) -> None:
    """The models and what can be done with each; live while one is downloaded or loaded."""
    busy, in_use = _busy(workspace), workspace.switch.current
    st.fragment(_models, run_every=TICK if busy else None)(workspace, busy, in_use)
    _other_models(workspace)
    _add_server(workspace)


def _busy(workspace: Workspace) -> bool:
    at_work = any(each.state.at_work for each in workspace.models.all())
    switching = workspace.switch.step.at_work or bool(workspace.chat_model.retiring)
    return at_work or workspace.models.asking or switching


def _models(workspace: Workspace, was_busy: bool, was_in_use: Choice) -> None:
    _switching(workspace)
    st.markdown("**Your models**")
    _configured(workspace)
    for model in workspace.models.all():
        _model(workspace, model)
    for server in workspace.servers.all():
        _server(workspace, server)
    here = {each.id for each in workspace.models.all()}
    offered = [each for each in catalogue() if each.id not in here]
    st.markdown("**Worth trying**")
    known = all(workspace.models.known_facts(each.repository) for each in offered)
    st.caption(ESTIMATES if known else f"{ESTIMATES} {SIZES}")
    st.button(
        "Asking the hub…" if workspace.models.asking else "Ask the hub for sizes",
        icon=":material/cloud_download:",
        key="ask-hub",
        disabled=workspace.models.asking,
        on_click=safely(workspace.models.ask_all),
        args=([each.repository for each in offered],),
        help=f"Sends the names of these models to {_hub(workspace)}, and nothing else.",
    )
    if problem := workspace.models.ask_problem:
        st.warning(plain_markdown(problem), icon=":material/cloud_off:")
    measured = measured_here(Settings.config.weights_dir / RECORD)
    for each in offered:
        _recommended(workspace, each, measured)
    other = was_in_use != workspace.switch.current
    if other or was_busy != _busy(workspace) or st.session_state.get("problems"):
        st.rerun()  # the whole page: this part begins or stops ticking, others show a new model


def _hub(workspace: Workspace) -> str:
    return public_address(workspace.models.hub.address)


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 999_500_000 else readable_size(size)


# Switching


def _switching(workspace: Workspace) -> None:
    switch = workspace.switch
    name = plain_markdown(switch.name)
    words = {
        Step.WAITING: f"{name}: waiting for the running answers to end.",
        Step.PROVING: f"{name} is being checked and measured on this machine. Until then, "
        "the earlier model answers.",
        Step.LOADING: f"{name} is being loaded. Until then, the earlier model answers.",
    }
    with st.container(key="switching"):
        if switch.step.at_work:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f":material/sync: {words[switch.step]}")
                st.button("Stop", key="stop-switch", on_click=safely(switch.stop))
        elif switch.step is Step.FAILED:
            st.error(plain_markdown(switch.message), icon=":material/error:")
        elif switch.step is Step.DONE:
            st.success(f"{name} answers now.", icon=":material/check_circle:")
            if switch.message:
                st.warning(plain_markdown(switch.message))
        if workspace.chat_model.retiring and not switch.step.at_work:
            st.caption("The earlier model is closed as soon as nothing uses it.")


def _use(workspace: Workspace, choice: Choice, name: str) -> None:
    workspace.switch.begin(choice, name)


def _use_button(workspace: Workspace, choice: Choice, name: str, key: str) -> None:
    if workspace.switch.current == choice:
        st.badge("In use", icon=":material/check:", color="green")
        return
    st.button(
        "Use",
        key=f"use-{key}",
        type="primary",
        disabled=workspace.switch.step.at_work,
        on_click=safely(_use),
        args=(workspace, choice, name),
    )


# The rows


def _configured(workspace: Workspace) -> None:
    config = Settings.config
    if config.openai_base_url:
        what = f"the server in .env, {public_address(config.openai_base_url)}"
    elif config.chat_model:
        what = "CHAT_MODEL in .env"
    else:
        what = "the default model: small, quick, English"
    name = configured_name(config)
    with st.container(border=True, key="model-configured"):
        words, buttons = _row()
        with words:
            _words(name, plain_markdown(what))
        with buttons:
            _use_button(workspace, Choice(), name, "configured")


def _row() -> tuple[DeltaGenerator, DeltaGenerator]:
    """A place for words, and one for buttons: beside them, or on a phone below them."""
    words, buttons = st.columns([7, 3], vertical_alignment="center")
    right = buttons.container(
        horizontal=True, horizontal_alignment="right", vertical_alignment="center"
    )
    return words, right


def _words(name: str, facts: str) -> None:
    with st.container(gap="xsmall"):
        st.markdown(f"**{plain_markdown(name)}**")
        st.caption(facts)


def _model(workspace: Workspace, model: ModelFile) -> None:
    name = Path(model.name).stem
    facts = [_size(model.size)] if model.size else []
    facts.append(plain_markdown(model.repo or str(Path(model.name).parent)))
    if model.licence:
        facts.append(plain_markdown(model.licence))
    key = plain_key(model.id)
    with st.container(border=True, key=f"model-{key}"):
        words, buttons = _row()
        with words:
            _words(name, " · ".join(facts))
        with buttons:
            if model.path:
                choice = Choice(path=str(model.path))
                _use_button(workspace, choice, name, key)
                _delete(workspace, model, key, in_use=workspace.switch.current == choice)
            else:
                _download_buttons(workspace, model, key)
        if model.message:
            st.error(plain_markdown(model.message), icon=":material/error:")
        if not model.path:
            _progress(model)


def _download_buttons(workspace: Workspace, model: ModelFile, key: str) -> None:
    models = workspace.models
    if model.state.at_work:
        st.button("Pause", key=f"pause-{key}", on_click=safely(models.pause), args=(model,))
    else:
        st.button(
            "Resume" if model.done else "Download",
            key=f"resume-{key}",
            on_click=safely(models.download),
            args=(model.repo, model.name),
        )
    st.button("Cancel", key=f"cancel-{key}", on_click=safely(models.remove), args=(model,))


def _progress(model: ModelFile) -> None:
    done = f"{_size(model.done)} of {_size(model.size)}"
    left = model.seconds_left
    more = f" · about {left / 60:.0f} min left" if left and left > 90 else ""
    more = more or (f" · about {max(1, left):.0f} s left" if left else "")
    words = {
        State.WAITING: "Waiting for its turn",
        State.DOWNLOADING: f"{done}{more}" if model.size else "Asking the hub",
        State.CHECKING: "Checking the checksum",
        State.PAUSED: f"Paused at {done}" if model.size else "Paused",
        State.FAILED: f"Stopped at {done}" if model.size else "Not begun",
    }
    share = min(1.0, model.done / model.size) if model.size else 0.0
    st.progress(share, text=words.get(model.state, ""))


def _delete(workspace: Workspace, model: ModelFile, key: str, in_use: bool) -> None:
    def delete() -> None:
        freed = workspace.models.remove(model)
        if freed:
            st.toast(f"{_size(freed)} are free again.", icon=":material/delete:")

    own = not model.repo
    with st.popover("Remove" if own else "Delete", disabled=in_use):
        st.markdown(
            "It leaves this list. The file stays where it is."
            if own
            else f"This frees {_size(model.size)}. The file lies in the cache of Hugging "
            "Face's programs: others that use it lose it too."
        )
        st.button(
            "Remove from the list" if own else f"Delete {_size(model.size)}",
            key=f"delete-{key}",
            on_click=safely(delete),
        )


def _recommended(workspace: Workspace, each: Recommended, measured: list[Measured]) -> None:
    facts = workspace.models.known_facts(each.repository)
    size = size_of(facts, each.file) if facts else None
    about = [each.maker, f"{each.parameters:g} billion parameters", each.licence]
    spoken = ", ".join(map(name_of, each.languages)) or "languages: see its maker's page"
    sources = ", ".join(f"[{what}]({address})" for what, address in each.sources.items())
    with st.container(border=True, key=f"recommended-{plain_key(each.id)}"):
        words, buttons = _row()
        with words.container(gap="xsmall"):
            st.markdown(f"**{plain_markdown(each.name)}**", help=f"Sources: {sources}")
            st.caption(plain_markdown(" · ".join(about)))
            st.caption(plain_markdown(spoken))
            if facts and not size:
                st.caption("The hub no longer has this file.")
            else:
                parameters = each.parameters * 1e9
                st.caption(_needs(size or usual_size(parameters), parameters, measured, bool(size)))
        buttons.button(
            "Download",
            icon=":material/download:",
            key=f"download-{plain_key(each.id)}",
            on_click=safely(workspace.models.download),
            args=(each.repository, each.file),
        )


def _needs(size: int, parameters: float, measured: list[Measured], exact: bool = True) -> str:
    """What a model of `size` bytes takes of the disk, memory and time, as Markdown."""
    needed, free = memory_needed(size), available_memory()
    words = [f"{_size(size) if exact else f'about {size / 1e9:.1f} GB'} to download"]
    memory = f"about {needed / 1e9:.1f} GB of memory"
    if free is not None:
        short = ":orange[:material/warning:] " if needed > free else ""
        memory = f"{short}{memory}, {free / 1e9:.1f} GB are free"
    words.append(memory)
    if guess := estimate(size, parameters, measured):
        words.append(
            f"first word after about {guess.first_token:.1f} s, then {guess.rate:.0f} tokens/s"
        )
    return " · ".join(words)


def plain_key(text: str) -> str:
    """An id as a key of a widget, which becomes a class name."""
    return "".join(each if each.isalnum() else "-" for each in text)


def _server(workspace: Workspace, server: Server) -> None:
    key, choice = plain_key(server.id), Choice(server=server.id)
    facts = f"a server, {plain_markdown(server.address)}"
    with st.container(border=True, key=f"server-{key}"):
        words, buttons = _row()
        with words:
            _words(server.model, facts)
        with buttons:
            _use_button(workspace, choice, server.model, key)
            st.button(
                "Remove",
                key=f"remove-{key}",
                disabled=workspace.switch.current == choice,
                on_click=safely(workspace.servers.remove),
                args=(server,),
            )


# Any other file, or a server


def _other_models(workspace: Workspace) -> None:
    state = st.session_state
    with st.expander("Another model", icon=":material/add:", key="another-model"):
        st.markdown(
            "Any instruct model in GGUF format works: from a repository of the hub, or a file of "
            "your own."
        )
        with st.form("hub-repository", border=False):
            repo = st.text_input(
                "Repository", placeholder="owner/name-GGUF", key="hub-repo", max_chars=200
            )
            if st.form_submit_button("Show its files"):
                state.hub_asked = repo.strip().removeprefix(f"{_hub(workspace)}/")
                with st.spinner("Asking the hub…"):
                    safely(workspace.models.ask)(state.hub_asked)
                st.rerun()
        facts = workspace.models.known_facts(state.get("hub_asked", ""))
        if facts:
            names = gguf_files(facts)
            if names:
                _choose_file(workspace, facts.repo, names)
            else:
                st.info(f"{facts.repo} has no GGUF file. Such repositories often end in -GGUF.")
        with st.form("local-file", border=False):
            path = st.text_input("File on this computer", placeholder="/home/you/models/name.gguf")
            if st.form_submit_button("Add the file") and path.strip():
                safely(workspace.models.add_local)(Path(path.strip()))
                st.rerun()


def _add_server(workspace: Workspace) -> None:
    """Address and key, then the server's own list of models. The key is never shown again."""
    state = st.session_state
    with st.expander("A server", icon=":material/dns:", key="another-server"):
        st.markdown(
            "llama-server, vLLM, Ollama, LM Studio, OpenAI or another server with OpenAI's API. "
            "Your questions, and the passages found for them, are then sent to it."
        )
        added = state.get("servers_added", 0)  # then the fields are empty again
        with st.form(f"server-{added}", border=False):
            address = st.text_input("Address", placeholder="http://localhost:8080/v1")
            key = st.text_input("Key, if it wants one", type="password", autocomplete="off")
            if st.form_submit_button("Show its models"):
                state.pop("server_found", None)
                try:
                    found = checked_address(address), key, models_of(address, key)
                    state.server_found = found
                except ServerError as error:
                    st.error(plain_markdown(str(error)), icon=":material/error:")
        if "server_found" in state:
            known_address, known_key, names = state.server_found

            def add(model: str) -> None:
                workspace.servers.add(known_address, model, known_key)
                del state.server_found
                state.servers_added = added + 1

            name = st.selectbox("Model", names, key="server-model")
            st.button("Add it", key="add-server", on_click=safely(add), args=(name,))


def _choose_file(workspace: Workspace, repo: str, names: list[str]) -> None:
    facts = workspace.models.known_facts(repo)
    assert facts
    sizes = {name: size_of(facts, name) for name in names}
    usual = [name for name in names if "q4_k_m" in name.lower()]
    name = st.selectbox(
        "File",
        names,
        index=names.index(usual[0]) if usual else 0,
        format_func=lambda each: f"{each} ({_size(sizes[each] or 0)})",
        key=f"hub-file-{plain_key(repo)}",
    )
    size = sizes[name] or 0
    measured = measured_here(Settings.config.weights_dir / RECORD)
    st.caption(_needs(size, 0, measured))
    st.button(
        "Download",
        icon=":material/download:",
        key="download-other",
        on_click=safely(workspace.models.download),
        args=(repo, name),
    )
