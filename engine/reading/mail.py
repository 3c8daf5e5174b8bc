"""Mails: EML and MSG → the message as a document, and its attachments as files.

`attachments` gives the files to the app's process, which makes documents of them, as of the files
in a ZIP.
"""

import email
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from engine.errors import DocumentError
from engine.reading.formats import Section
from engine.reading.markup import sections_of
from engine.reading.text import decode, unwrap, words_of

_HEADS = ("Subject", "From", "To", "Cc", "Date")


def read_eml(path: Path) -> Iterator[Section]:
    message = _eml(path)
    heads = {name: str(message.get(name, "")) for name in _HEADS}
    body = message.get_body(("plain", "html"))
    text = "" if body is None else _content(body)
    is_html = body is not None and body.get_content_type() == "text/html"
    yield _section(heads, _visible(text) if is_html else text)


def read_msg(path: Path) -> Iterator[Section]:
    message = _msg(path)
    sent = message.sent_date
    heads = {
        "Subject": message.subject or "",
        "From": message.sender or "",
        "To": ", ".join(f"{each.name} <{each.email_address}>" for each in message.recipients),
        "Date": sent.isoformat(" ", "minutes") if sent else "",
    }
    yield _section(heads, message.body or _visible(message.html_body or ""))


def attachments(path: Path, kind: str) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each attached file. Pictures inside the text are left out."""
    if kind == "msg":
        for number, attached in enumerate(_msg(path).attachments, start=1):
            hidden = any(each.pid == _HIDDEN and each.value for each in attached.properties)
            if attached.file_bytes and not hidden:
                yield attached.file_name or f"attachment {number}", attached.file_bytes
        return
    for number, part in enumerate(_eml(path).iter_attachments(), start=1):
        name = part.get_filename() or ""
        if part.get_content_type() == "message/rfc822":
            inner = part.get_content()
            name = name or f"{inner.get('Subject') or f'message {number}'}.eml"
            yield name, inner.as_bytes()
        elif part.get_content_disposition() != "inline" or part.get_content_maintype() != "image":
            content = part.get_payload(decode=True)
            if isinstance(content, bytes) and content:
                yield name or f"attachment {number}", content


_HIDDEN = 0x7FFE  # PidTagAttachmentHidden: a picture that the text shows


def _eml(path: Path) -> EmailMessage:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    if not any(message.get(name) for name in _HEADS):
        raise DocumentError("is not a mail: it has no sender, subject or date.")
    return message


def _msg(path: Path) -> Any:
    from oxmsg import Message

    return Message.load(str(path))


def _content(part: Any) -> str:
    try:
        return str(part.get_content())
    except (LookupError, ValueError):  # an encoding that is unknown or does not fit
        return decode(part.get_payload(decode=True) or b"")


def _visible(markup: str) -> str:
    return "\n\n".join(section.text for section in sections_of(markup))


def _section(heads: dict[str, str], text: str) -> Section:
    words = words_of(text)
    paragraphs = text.replace("\r\n", "\n").split("\n\n")
    body = "\n\n".join(unwrap(paragraph, words) for paragraph in paragraphs)
    shown = [f"{name}: {' '.join(value.split())}" for name, value in heads.items() if value.strip()]
    return Section("\n".join([*shown, "", body]).strip(), " ".join(heads["Subject"].split()))
