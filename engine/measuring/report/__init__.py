"""What a session shows: its sections, drawn as HTML for the Compare page and for a file of its own.

drawing.py    scales and marks → HTML without scripts
section.py    Section: a title, findings, charts, notes and tables
captions.py   the small print of charts
result.py     what was compared, which lane is better, and whether to believe it
race.py       one answer, replayed as two readers see it
runs.py       every run, the differences within the pairs, the questions
felt.py       what a reader notices: useful text, pace, time saved
spread.py     percentiles, gaps between tokens, first words against prompt length
stages.py     where the time of one run goes
metrics.py    the medians, metric by metric
tokens.py     when each token came, and how fast somebody reads
loads.py      several readers
page.py       all of it as one HTML file
"""
