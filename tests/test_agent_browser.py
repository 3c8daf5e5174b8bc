"""The Agent page in a real Chromium: the real app, model and tools."""

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import DESKTOP, RunningApp, open_page, wait_until_idle

pytestmark = pytest.mark.browser
SECONDS = 60_000.0  # milliseconds; a loaded machine, and a page that hangs for ever still fails

# Records, in order: the call shows, its result shows, and each length of the answer's text.
WATCH = """() => {
  window.seen = [];
  const note = entry => { if (window.seen.at(-1) !== entry) window.seen.push(entry); };
  const look = () => {
    const steps = [...document.querySelectorAll('[class*="st-key-agent-cells-"] summary')];
    const labels = steps.map(step => step.innerText);
    const call = labels.find(text => text.includes("search documents Who built"));
    if (call && !window.seen.includes("call")) note("call");
    if (call && / · (\\d+ ms|[\\d.]+ s)/.test(call) && !window.seen.includes("result"))
      note("result");
    const texts = document.querySelectorAll('[class*="st-key-agent-text-"] > div:last-child');
    const length = texts.length ? texts[texts.length - 1].innerText.trim().length : 0;
    if (length) note(length);
  };
  new MutationObserver(look).observe(
    document.body, {subtree: true, childList: true, characterData: true});
}"""


@pytest.fixture
def agent(page: Page, app: RunningApp) -> Page:
    """The Agent page, with the sample documents in the collection."""
    page.set_default_timeout(SECONDS)
    open_page(page, app.url)
    page.get_by_role("link", name="Agent").click()
    sees(page.get_by_role("heading", name="Agent"))
    field(page).wait_for()
    sees(page.get_by_text("Try one of these"))
    wait_until_idle(page)
    if page.get_by_role("button", name="Try it with").is_visible():
        page.get_by_role("button", name="Try it with").click()
    sees(page.get_by_text("How old is the tide mill").first)
    wait_until_idle(page)
    return page


def sees(element: Locator) -> None:
    expect(element).to_be_visible(timeout=SECONDS)


def field(page: Page) -> Locator:
    return page.get_by_test_id("stChatInputTextArea")


def give(page: Page, task: str) -> None:
    field(page).fill(task)
    page.keyboard.press("Enter")


def ask_before(page: Page, tool: str, wanted: bool) -> None:
    """Set the tool's switch in the popover."""
    page.get_by_role("button", name="Tools").click()
    switch = page.locator(f".st-key-tool-{tool}").get_by_role("switch")
    if switch.is_checked() != wanted:
        page.locator(f".st-key-tool-{tool}").get_by_text("Ask first").click()
        wait_until_idle(page)
    page.keyboard.press("Escape")


def test_the_call_the_result_and_the_text_are_seen_in_that_order(agent: Page) -> None:
    agent.evaluate(WATCH)
    give(agent, "Who built the tide mill, and how did she pay for it?")
    sees(agent.get_by_text("finished after"))
    seen = agent.evaluate("window.seen")
    lengths = [entry for entry in seen if isinstance(entry, int)]
    assert seen.index("call") < seen.index("result") < seen.index(lengths[0])
    sees(agent.get_by_text("tide-mill.md").locator("visible=true").first)


def test_a_call_waits_for_the_person_through_a_reload_and_a_change_of_page(agent: Page) -> None:
    ask_before(agent, "calculator", wanted=True)
    give(agent, "What is 48 times 17?")
    sees(agent.get_by_role("button", name="Allow once"))
    agent.reload()
    sees(agent.get_by_role("button", name="Allow once"))
    agent.get_by_role("link", name="Library").click()
    sees(agent.get_by_role("heading", name="Library"))
    agent.get_by_role("link", name="Agent").click()
    agent.get_by_label("expression").fill("48 * 18")
    agent.get_by_role("button", name="Allow once").click()
    sees(agent.get_by_text("48 * 18 = 864").last)
    sees(agent.get_by_text("finished after"))
    expect(field(agent)).to_be_focused()
    agent.get_by_role("button", name="New task").click()
    ask_before(agent, "calculator", wanted=False)


def test_a_denied_call_does_not_run(agent: Page) -> None:
    ask_before(agent, "date_and_time", wanted=True)
    give(agent, "What time is it in Tokyo?")
    agent.get_by_role("button", name="Deny").click()
    sees(agent.get_by_text("denied by you", exact=False).first)
    expect(field(agent)).to_be_focused()
    expect(agent.get_by_text("(JST)")).to_have_count(0)
    agent.get_by_role("button", name="New task").click()
    ask_before(agent, "date_and_time", wanted=False)


def test_the_run_can_be_taken_along_as_json(agent: Page) -> None:
    give(agent, "What is 6 * 7?")
    sees(agent.get_by_text("finished after"))
    with agent.expect_download() as download:
        agent.get_by_role("button", name="Export as JSON").click()
    text = download.value.path().read_text()
    assert '"type": "ToolCallResult"' in text
    assert "6 * 7 = 42" in text


LONG_TASK = "Write a long story about a sailor and a whale."
# Records whether Streamlit's own Stop ever shows.
WATCH_TOOLBAR = """() => {
  window.toolbarStops = 0;
  new MutationObserver(() => {
    const widget = document.querySelector('[data-testid="stStatusWidget"]');
    if (widget && widget.querySelector("button")) window.toolbarStops += 1;
  }).observe(document.body, {subtree: true, childList: true});
}"""


@pytest.mark.parametrize("loads", [2, pytest.param(12, marks=pytest.mark.soak)])
def test_the_field_works_after_a_fast_task_in_every_fresh_load(
    browser: Browser, app: RunningApp, loads: int
) -> None:
    for _ in range(loads):
        context = browser.new_context(viewport=DESKTOP)
        context.set_default_timeout(SECONDS)
        page = context.new_page()
        page.goto(f"{app.url}/agent")
        give(page, "What is 15 % of 240?")
        sees(page.get_by_text("15 / 100 * 240 = 36").last)
        sees(page.get_by_text("finished after"))
        expect(page.get_by_role("button", name="Stop", exact=False)).to_have_count(0)
        expect(field(page)).to_be_enabled()
        expect(field(page)).to_be_focused()
        page.keyboard.type("What is 6 * 7?")
        page.keyboard.press("Enter")
        sees(page.get_by_text("6 * 7 = 42").last)
        context.close()


def test_escape_stops_and_the_focus_stays_in_the_field(agent: Page) -> None:
    agent.evaluate(WATCH_TOOLBAR)
    give(agent, LONG_TASK)
    sees(agent.locator('[class*="st-key-agent-text-"]'))
    expect(agent.get_by_role("status").first).to_have_text("The agent works on your task.")
    agent.keyboard.press("Escape")
    sees(agent.get_by_text("stopped after"))
    expect(field(agent)).to_be_focused()
    expect(agent.get_by_role("status").first).to_have_text("The agent was stopped.")
    assert agent.evaluate("window.toolbarStops") == 0


def test_another_task_can_begin_while_one_works(agent: Page) -> None:
    give(agent, LONG_TASK)
    sees(agent.get_by_role("button", name="Stop"))
    give(agent, "What is 6 * 7?")
    sees(agent.get_by_text("6 * 7 = 42").last)
    sees(agent.get_by_text("finished after"))


def test_a_stopped_script_leaves_a_page_that_follows_its_run(agent: Page) -> None:
    """What Streamlit's own Stop does, sent again and again while the agent works."""
    give(agent, LONG_TASK)
    sees(agent.get_by_role("button", name="Stop"))
    agent.reload()
    sees(agent.locator('[class*="st-key-agent-text-"]'))
    for _ in range(5):
        widget = agent.get_by_test_id("stStatusWidget").get_by_role("button")
        if widget.is_visible():
            widget.click()
        agent.mouse.move(5, 5)
    sees(agent.get_by_text("finished after"))
    expect(field(agent)).to_be_enabled()


def test_a_screen_reader_hears_the_answer_once(agent: Page) -> None:
    give(agent, "What is 6 * 7?")
    expect(agent.get_by_role("status").first).to_have_text("The agent has finished. 6 * 7 = 42")
