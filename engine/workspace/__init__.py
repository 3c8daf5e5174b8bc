"""The data that the app keeps, and the work that it is doing.

library.py        collections, their documents and original files
ingestion.py      the queue of uploads
agent_runs.py     the running agents, and the last ones that have ended
conversations.py  questions and answers, in SQLite
repair.py         recovers rows from a damaged file of conversations
workspace.py      Workspace: all of it in one folder, and the answers being written
"""

from engine.workspace.conversations import Conversation, Turn
from engine.workspace.ingestion import Stage, Upload
from engine.workspace.workspace import AskSettings, Workspace

__all__ = ["AskSettings", "Conversation", "Stage", "Turn", "Upload", "Workspace"]
