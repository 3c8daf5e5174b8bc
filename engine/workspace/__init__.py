"""What the app keeps, and what it is doing at the moment.

library.py        collections, their documents and original files
ingestion.py      uploads on their way in
agent_runs.py     agents at work, and the last that ended
conversations.py  questions and answers, in SQLite
repair.py         what can be read of a damaged file of conversations
workspace.py      Workspace: all of it in one folder, and the answers being written
"""

from engine.workspace.conversations import Conversation, Turn
from engine.workspace.ingestion import Stage, Upload
from engine.workspace.workspace import AskSettings, Workspace

__all__ = ["AskSettings", "Conversation", "Stage", "Turn", "Upload", "Workspace"]
