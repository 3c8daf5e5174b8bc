"""The data that the app keeps, and the work that it is doing.

library.py        collections, their documents and original files:
    originals.py      the files as they were added, and the trash
    indexes.py        which index of a collection answers
    adding.py         an upload, or an original that the index lacks → a document
    deletions.py      deleted documents, until they are gone
    rebuilding.py     the queue of documents that are indexed again
    reembedding.py    every document into an index for another embedding model
ingestion.py      the queue of uploads
watching.py       folders that a collection follows
sharing.py        other processes on a shared folder, and locks between them
preparing.py      passages that the model reads ahead
agent_runs.py     the running agents, and the last ones that have ended
conversations.py  questions and answers, in SQLite
repair.py         recovers rows from a damaged file of conversations
team.py           the collections of a team that everybody may read
people.py         who signs in: a workspace and API keys for each
ask_settings.py   the settings of answers, in a file
workspace.py      Workspace: all of it in one folder, and the answers being written
"""

from engine.workspace.ask_settings import AskSettings
from engine.workspace.conversations import Conversation, Turn
from engine.workspace.ingestion import Stage, Upload
from engine.workspace.workspace import Workspace

__all__ = ["AskSettings", "Conversation", "Stage", "Turn", "Upload", "Workspace"]
