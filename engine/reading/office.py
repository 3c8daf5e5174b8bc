"""Office formats: DOCX and PPTX."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from engine.reading.formats import Section
from engine.reading.markup import sections_of
from engine.reading.tables import table_lines

_TITLES = "p[style-name='Title'] => h1:fresh\np[style-name='Subtitle'] => p:fresh"


def read_docx(path: Path) -> Iterator[Section]:
    """Sections at headings. A DOCX has no pages before it is printed."""
    import mammoth

    with path.open("rb") as file:
        result = mammoth.convert_to_html(
            file, style_map=_TITLES, convert_image=mammoth.images.img_element(lambda _: {})
        )
    return sections_of(result.value)


def read_pptx(path: Path) -> Iterator[Section]:
    """One section for each slide: its title, its text from top to bottom, its notes."""
    from pptx import Presentation

    for number, slide in enumerate(Presentation(str(path)).slides, start=1):
        title = slide.shapes.title
        shapes = sorted(_flat(slide.shapes), key=lambda each: each is not title)
        parts = [part for shape in shapes if (part := _text(shape))]
        if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame):
            parts.append(frame.text)
        heading = " ".join(title.text_frame.text.split()) if title is not None else ""
        text = "\n\n".join(parts).replace("\v", "\n").strip()
        yield Section(text, heading, str(number), number)


def _flat(shapes: Iterable[Any]) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):  # a group
            yield from _flat(shape.shapes)
        else:
            yield shape


def _text(shape: Any) -> str:
    if shape.has_text_frame:
        return str(shape.text_frame.text)
    if getattr(shape, "has_table", False):
        rows = [[cell.text for cell in row.cells] for row in shape.table.rows]
        return "\n".join(table_lines(rows))
    return ""
