"""The app's library for other programs: OpenAI's API, and MCP.

    request → guard → endpoint → the workspace that the pages use → JSON, or server-sent events

problems.py     errors in OpenAI's shape
requests.py     what callers send, checked
guard.py        who may use the API, how much at once; every error becomes an answer
threads.py      blocking work, off the event loop
asking.py       a question from outside → a live answer; sources and figures as JSON
chat.py         POST /v1/chat/completions
files.py        /v1/files
searching.py    /v1/vector_stores/{collection}/search, /v1/embeddings
mcp_tools.py    MCP: search, fetch, ask, and documents as resources
routes.py       all of it at its addresses: /v1 and /mcp

`mounted` gives the routes for a server. What they need is imported with the first request, so that
the server's start does not wait for it.
"""

from engine.api.guard import Access, mounted

__all__ = ["Access", "mounted"]
