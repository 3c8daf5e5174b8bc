"""Measurements of answers, streaming and non-streaming, on this machine. They are kept on disk.

schedule.py      which runs are made, in which order
runner.py        runs one trial: asks its question and reads the answer outside the engine
job.py           MeasuringJob: runs a whole schedule in the background
record.py        Session and Measurement: the results
statistics.py    numbers of runs → estimates with their confidence intervals
findings.py      a session → what it shows, in words
goodput.py       sessions and a waiting budget → the share of answers in time
fingerprint.py   machine, model file and versions
files.py         Session ↔ JSONL, Session → CSV
measurements.py  Measurements: the sessions on disk, and the running job
"""

from engine.measuring.job import MeasuringJob
from engine.measuring.measurements import Measurements
from engine.measuring.record import Chunk, Measurement, Session
from engine.measuring.schedule import Experiment, Mode, Role, Setup, Trial

__all__ = [
    "Chunk",
    "Experiment",
    "Measurement",
    "Measurements",
    "MeasuringJob",
    "Mode",
    "Role",
    "Session",
    "Setup",
    "Trial",
]
