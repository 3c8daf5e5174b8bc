"""Kinds of question: each is recognised by rules, and treated in its own way.

A question goes in; a text with its sources comes out, or None where the question is one for a fact.

    recognising.py    question → its kinds, the likeliest first; by_example.py: what no rule knows
    several.py        a double question → its parts; a message → what it tells, and what it asks
    shelf.py          the documents that a question may be about, and their text
    naming.py         words → the documents, or the part of one, that they name
    overview.py       what is said on a topic, quoted
    summary.py        what a text is about; central.py chooses its sentences, keeping.py keeps it
    tables.py         passages → tables; values.py, dates.py: what cells mean
    querying.py       a question → a query over a table; conditions.py, named_cells.py: which rows;
                      concepts.py: "cheapest" is a price
    table_answers.py  which table a question asks; computing.py: lists, counts, totals, extremes
    between.py        the time between two events
    comparing.py      two things or documents side by side; amounts.py: of sentences
    row_answers.py    a fact whose best sentence is a row, or in a list
    yes_no.py         a verdict, where the words are plain
    library.py        which documents there are
    answering.py      Kinds: chooses among these
"""

from engine.kinds.answering import Kinds
from engine.kinds.keeping import KeptSummaries
from engine.kinds.recognising import Kind, recognise

__all__ = ["KeptSummaries", "Kind", "Kinds", "recognise"]
