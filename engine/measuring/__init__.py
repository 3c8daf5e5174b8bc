"""Measurements of answers in two lanes, such as streaming and non-streaming. They are kept on disk.

schedule.py      lanes and questions, and which runs are made in which order
asking.py        the ways of asking: in this process, over HTTP
runner.py        who asks when: one reader, several in turn, many at random moments
job.py           MeasuringJob: runs a whole schedule in the background
record.py        Session and Measurement: the results
statistics.py    numbers of runs → estimates with their confidence intervals
findings.py      a session → what it shows, in words
goodput.py       sessions and a waiting budget → the share of answers in time
fingerprint.py   machine, model file and versions
load.py          a session under load → tokens a second, waits, where it saturates
feeling.py       when the useful text is there, how a reader waits and reads
report/          what a session shows, as sections of HTML and as a file of its own
exports.py       Session → the formats of vLLM, AIPerf and Chrome
files.py         Session ↔ JSONL, Session → CSV
measurements.py  Measurements: the sessions on disk, and the running job
"""

from engine.measuring.job import MeasuringJob
from engine.measuring.measurements import Measurements
from engine.measuring.record import Chunk, Measurement, Session
from engine.measuring.schedule import Experiment, Lane, Mode, Role, Setup, Transport, Trial

__all__ = [
    "Chunk",
    "Experiment",
    "Lane",
    "Measurement",
    "Measurements",
    "MeasuringJob",
    "Mode",
    "Role",
    "Session",
    "Setup",
    "Transport",
    "Trial",
]
