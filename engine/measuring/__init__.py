"""Measuring answers: streaming against non-streaming, on this machine, kept on disk.

schedule.py       what is measured, in which order                          (pure)
runner.py         one step of a schedule → measurements, by really asking
record.py         Session and Measurement: what was measured, and its figures
statistics.py     pairs of runs → a difference with its interval            (pure)
findings.py       a session → what it says, in words                        (pure)
latency_model.py  a few measured points → any prompt and answer length      (pure)
fingerprint.py    which machine, model file and versions
jsonl.py          Session ↔ JSONL: everything
table.py          Session ↔ CSV: a row a run
job.py            Job: a session while it is being measured
measurements.py   Measurements: the kept sessions, and the job
"""

from engine.measuring.job import Job
from engine.measuring.measurements import Measurements
from engine.measuring.record import Chunk, Figures, Measurement, Session
from engine.measuring.schedule import Kind, Mode, Role, Setup, Step

__all__ = [
    "Chunk",
    "Figures",
    "Job",
    "Kind",
    "Measurement",
    "Measurements",
    "Mode",
    "Role",
    "Session",
    "Setup",
    "Step",
]
