"""What was typed into a PDF page: the values of form fields, and free text. Runs in the reading
process.

PDFium's text of a page leaves these out, since they lie above it.
"""

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

_TEXT_FIELDS = (
    pdfium_c.FPDF_FORMFIELD_TEXTFIELD,
    pdfium_c.FPDF_FORMFIELD_COMBOBOX,
    pdfium_c.FPDF_FORMFIELD_LISTBOX,
)


def typed_text(document: pdfium.PdfDocument, page: pdfium.PdfPage) -> str:
    """One line for each field, "name: value", and each free text."""
    lines = (_line(document.formenv, annotation) for annotation in _annotations(page))
    return "\n".join(line for line in lines if line)


def _annotations(page: pdfium.PdfPage) -> Iterator[Any]:
    for number in range(pdfium_c.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium_c.FPDFPage_GetAnnot(page, number)
        if annotation:
            yield annotation
            pdfium_c.FPDFPage_CloseAnnot(annotation)


def _line(forms: pdfium.PdfFormEnv | None, annotation: Any) -> str:
    kind = pdfium_c.FPDFAnnot_GetSubtype(annotation)
    if kind == pdfium_c.FPDF_ANNOT_FREETEXT:
        return _string(
            lambda *out: pdfium_c.FPDFAnnot_GetStringValue(annotation, b"Contents", *out)
        )
    if kind != pdfium_c.FPDF_ANNOT_WIDGET or forms is None:
        return ""
    if pdfium_c.FPDFAnnot_GetFormFieldType(forms, annotation) not in _TEXT_FIELDS:
        return ""
    name = _string(
        lambda *out: pdfium_c.FPDFAnnot_GetFormFieldAlternateName(forms, annotation, *out)
    )
    value = _string(lambda *out: pdfium_c.FPDFAnnot_GetFormFieldValue(forms, annotation, *out))
    if name and value:
        return f"{name}: {value}"
    return value if any(map(str.isalpha, value)) else ""  # a bare "0" tells nobody anything


def _string(read: Callable[[Any, int], int]) -> str:
    """A string of PDFium's: asked for its length in bytes, then for itself."""
    size = read(None, 0)
    if size <= 2:
        return ""
    buffer = ctypes.create_string_buffer(size)
    read(ctypes.cast(buffer, ctypes.POINTER(pdfium_c.FPDF_WCHAR)), size)
    return " ".join(buffer.raw[: size - 2].decode("utf-16-le", "replace").split())
