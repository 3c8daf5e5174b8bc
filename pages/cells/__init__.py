"""Cells: Python that is shown, run and taken along, always the same text.

lessons.py    the walkthrough's cells: one plain function each
source.py     a function → its code, with the current values filled in
output.py     what a cell prints, kept apart from what others print at the same time
notebook.py   cells in order, run on a thread of their own: states, dependencies, Stop
export.py     a notebook → .ipynb and .py
behind.py     what another page has just done → its code

Nothing here knows how it is drawn.
"""
