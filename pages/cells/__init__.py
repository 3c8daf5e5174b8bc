"""Cells: Python code that a page shows, runs and exports.

lessons.py    the cells of the Walkthrough: text and templates of code
notebook.py   Cell and Notebook: cells in order, run on a thread of their own
output.py     what a cell prints
export.py     a notebook → .ipynb and .py
behind.py     what another page has just done → its code

Nothing here draws anything.
"""
