"""Typeset keepers-handbook.html as the PDF beside it, with a Chromium: `python make_pdf.py`.

Run by hand after the text has changed; the PDF is kept in the repository.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from tests.browser import chromium  # noqa: E402 - found through the line above

if __name__ == "__main__":
    with chromium() as browser:
        page = browser.new_page()
        page.goto((HERE / "keepers-handbook.html").as_uri())
        page.pdf(
            path=HERE.parent / "keepers-handbook.pdf",
            prefer_css_page_size=True,
            tagged=True,
            outline=True,
        )
