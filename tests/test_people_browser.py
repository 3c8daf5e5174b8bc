"""Two people in two browsers sign in at a real provider, and use each other's addresses."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import DESKTOP, PHONE, open_page, wait_until_idle
from tests.making import pdf, pdf_lines
from tests.people_app import GLOBAL_KEY, PeopleApp, people_app

pytestmark = pytest.mark.browser
SECONDS = 60_000.0  # milliseconds; a loaded machine, and a page that hangs for ever still fails
SECRET = "quicksilver"
DOCUMENT = pdf(pdf_lines(f"The password of the cellar is {SECRET}, and Ann alone knows it."))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PeopleApp]:
    with people_app(tmp_path_factory.mktemp("people")) as made:
        yield made


def text_of(page: Page) -> str:
    return page.locator("body").inner_text()


def answer_of(address: str, key: str) -> httpx.Response:
    return httpx.get(address, headers={"Authorization": f"Bearer {key}"}, trust_env=False)


def shown_page(page: Page) -> Locator:
    return page.locator("img[alt^='Page']").first


def add(page: Page, name: str, content: bytes) -> None:
    """On the Library page: a file, until it is listed."""
    kind = "application/pdf" if name.endswith(".pdf") else "text/plain"
    field = page.get_by_test_id("stFileUploaderDropzoneInput")
    field.set_input_files({"name": name, "mimeType": kind, "buffer": content})
    page.get_by_role("button", name=name, exact=True).wait_for(timeout=SECONDS)
    wait_until_idle(page)


def test_two_people_see_their_own_and_what_is_shared_and_no_address_leads_further(
    people: PeopleApp, browser: Browser
) -> None:
    url = people.app.url
    anns, bens = (browser.new_context(viewport=size) for size in (DESKTOP, PHONE))
    ann, ben = anns.new_page(), bens.new_page()
    for page in (ann, ben):
        page.set_default_timeout(SECONDS)

    # Nobody has signed in: one page with one button, at every address.
    open_page(ben, f"{url}/library")
    buttons = ben.get_by_test_id("stMain").get_by_role("button")
    expect(buttons).to_have_count(1)
    assert "Library" not in text_of(ben)

    # Ann's document, its page and the file itself
    people.sign_in(ann, "Ann")
    people.sign_in(ben, "Ben")
    open_page(ann, f"{url}/library")
    add(ann, "cellar.pdf", DOCUMENT)
    ann.get_by_role("button", name="cellar.pdf", exact=True).click()
    ann.get_by_text("Show the page").click()
    picture = shown_page(ann).get_attribute("src") or ""
    with ann.expect_download() as download:
        ann.get_by_role("button", name="Download").click()
    document, file = ann.url, download.value.url
    for address in (picture, file):
        assert anns.request.get(address).ok
        assert bens.request.get(address).status == 404
        assert httpx.get(address).status_code == 404

    # A conversation of hers
    open_page(ann, url)
    ann.get_by_test_id("stChatInputTextArea").fill("What is the password of the cellar?")
    ann.keyboard.press("Enter")
    expect(ann.get_by_text("finished after")).to_be_visible(timeout=SECONDS)
    conversation = ann.url
    assert "conversation=" in conversation and "document=" in document

    # A key of Ann's
    open_page(ann, f"{url}/connect")
    ann.get_by_role("textbox", name="What is it for?").fill("laptop")
    ann.get_by_role("button", name="Make a key").click()
    key = ann.get_by_text("ft-", exact=False).first.inner_text().strip()
    (listed,) = answer_of(f"{url}/v1/files", key).json()["data"]
    assert listed["filename"] == "cellar.pdf"
    for other in ("none", GLOBAL_KEY):
        for end in ("", f"/{listed['id']}", f"/{listed['id']}/content"):
            answer = answer_of(f"{url}/v1/files{end}", other)
            assert SECRET not in answer.text and "cellar" not in answer.text

    # Ben at all of Ann's addresses
    for address in (document, conversation, f"{url}/models", f"{url}/walkthrough"):
        open_page(ben, address)
        shown = text_of(ben)
        assert SECRET not in shown and "cellar" not in shown
        assert "Diagnostics" not in shown and "Choose another model" not in shown

    # What an administrator shares, everybody can read.
    open_page(ann, f"{url}/library")
    ann.get_by_test_id("stSidebar").get_by_text("Team", exact=True).click()
    expect(ann.get_by_text("There are no documents here yet")).to_be_visible()
    wait_until_idle(ann)
    add(ann, "holidays.txt", b"Everybody has thirty days of holidays.")
    ann.get_by_role("button", name="Collections").click()
    ann.get_by_text("Everybody can read default").click()
    wait_until_idle(ann)
    open_page(ben, f"{url}/library")
    ben.get_by_role("combobox", name="Collection").click()
    ben.get_by_role("option", name="shared:default").click()
    expect(ben.get_by_role("button", name="holidays.txt", exact=True)).to_be_visible()
    assert ben.get_by_test_id("stFileUploaderDropzone").count() == 0
    assert ben.get_by_role("button", name="Delete").count() == 0
    assert "Team" not in text_of(ben)

    # Ann signs out, in all her tabs.
    tab = anns.new_page()
    open_page(tab, f"{url}/library")
    ann.keyboard.press("Escape")
    ann.get_by_test_id("stSidebar").get_by_role("button", name="Ann").click()
    ann.get_by_role("button", name="Sign out").click()
    expect(tab.get_by_role("button", name="Sign in")).to_be_visible()
    ann.get_by_role("button", name="End session").click()
    open_page(ann, document)
    expect(ann.get_by_role("button", name="Sign in")).to_be_visible()
    assert SECRET not in text_of(ann)
    for context in (anns, bens):
        context.close()
