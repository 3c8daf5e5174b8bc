"""Measuring answers: streaming against non-streaming, on this machine, kept on disk.

schedule.py      what is measured, in which order
runner.py        asks the question of a trial, as a reader outside the engine would
job.py           runs a whole schedule in the background
record.py        Session and Measurement: the results
statistics.py    pairs of runs → a difference with its confidence interval
findings.py      a session → what it shows, in words
fingerprint.py   machine, model file and versions
files.py         Session ↔ JSONL, Session → CSV
measurements.py  Measurements: the sessions on disk, and the running job
"""

from engine.measuring.job import Job
from engine.measuring.measurements import Measurements
from engine.measuring.record import Chunk, Measurement, Session
from engine.measuring.schedule import Experiment, Mode, Role, Setup, Trial

__all__ = [
    "Chunk",
    "Experiment",
    "Job",
    "Measurement",
    "Measurements",
    "Mode",
    "Role",
    "Session",
    "Setup",
    "Trial",
]
