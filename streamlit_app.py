"""First Token: the frame around every page. `streamlit run streamlit_app.py` starts the app.

Streamlit loads this file in two ways: once as a module, to find `app`, the server to run; and as a
script at every rerun of every browser tab.
"""

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from streamlit.runtime.pages_manager import PagesManager

from engine.api.origin import OwnOriginOnly
from pages.parts import signing_in
from pages.parts.account import show_account
from pages.parts.api import api_routes
from pages.parts.heartbeat import keep_answer_alive
from pages.parts.media import OwnMediaOnly
from pages.parts.resources import (
    opening,
    show_problems,
    show_unexpected,
    shown_errors,
    workspace,
)
from pages.parts.security import SecurityHeaders, names

HERE = Path(__file__).parent
LOGO, ICON = (str(HERE / "static" / name) for name in ("logo.svg", "icon.svg"))
STYLE = HERE / "static" / "look.css"
ABOUT = (
    "**First Token** answers questions about your own documents, on your own machine, and shows "
    "where every millisecond of the answer goes."
)

_SCRIPT = HERE / "pages" / "parts" / "narrow_sidebar.js"
_narrow_sidebar = st.components.v2.component(
    "narrow_sidebar", js=_SCRIPT.read_text(encoding="utf-8")
)

# Each page: the file in pages/, its icon, and its purpose. There are no sections, because screen
# readers cannot read the lists that Streamlit 1.67 draws for them.
PAGES = [
    ("ask", "forum", "Ask your documents. The answer streams in, with its sources beside it."),
    ("library", "folder_open", "Add documents, look inside them, delete them."),
    ("agent", "route", "Watch an agent choose tools, and approve what it does."),
    ("compare", "timer", "Streaming against waiting, measured on your machine."),
    ("walkthrough", "menu_book", "Learn the streaming API by running it, cell by cell."),
    ("connect", "cable", "Use your documents from other programs: API, MCP, terminal."),
    ("models", "memory", "The models in use, how fast they run here, and how to change them."),
]


def page(name: str, icon: str, purpose: str) -> st.Page:
    path = HERE / "pages" / f"{name}.py"
    return st.Page(path, title=name.capitalize(), icon=f":material/{icon}:", help=purpose)


def navigation(hidden: bool = False) -> st.Page:
    """Draw the list of the pages that are there for this session. Returns the open one."""
    there = [
        page(*each)
        for each in PAGES
        if (HERE / f"pages/{each[0]}.py").exists() and (hidden or signing_in.may_open(each[0]))
    ]
    return st.navigation(there, position="hidden" if hidden else "sidebar")


def main() -> None:
    with shown_errors():
        if signing_in.required() and not signing_in.has_signed_in():
            st.set_page_config("Sign in · First Token", page_icon=ICON, menu_items={"About": ABOUT})
            st.logo(LOGO, icon_image=ICON, size="large")
            st.html(STYLE)
            navigation(hidden=True)  # so that every address is one of the app's
            signing_in.show_sign_in()
            return
    # Before the navigation, which would fetch the open page's icon from Google for the tab.
    st.set_page_config(page_icon=ICON, menu_items={"About": ABOUT})
    st.logo(LOGO, icon_image=ICON, size="large")
    st.html(STYLE)
    open_page = navigation()
    st.set_page_config(f"{open_page.title} · First Token")
    st.sidebar.caption(open_page.help)
    with st.sidebar:
        _narrow_sidebar(key="narrow-sidebar", height=1, width=1)
    show_account()
    opened = workspace()  # the frame is there before a page imports what it needs
    from pages.parts.privacy import show_privacy  # which needs what the workspace has imported

    show_privacy(opened)
    show_problems(opened)
    with shown_errors():
        keep_answer_alive(open_page.title)
        open_page.run()


if __name__ == "__main__":
    main()
else:
    # st.navigation sets this too, in its first run. Before that, a tab that opens on another page
    # than the first would show a list of the files in pages/.
    PagesManager.uses_pages_directory = False
    app = st.App(
        __file__,
        lifespan=opening,
        routes=api_routes(),
        on_script_error=show_unexpected,
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(OwnOriginOnly, names=names),
            Middleware(OwnMediaOnly),
        ],
    )
