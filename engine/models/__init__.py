"""Models: which ones there are, how they come to this machine, and which one answers now.

    catalogue ─┐
    any file ──┼─ ModelFiles (hub → verified file) ─┐
    local file ┘                                    ├─ Switch ─► the LLM that answers
    server ─────────────────────────────────────────┘

`hub` alone talks to the Hugging Face hub, in a process of its own, and only when a person asks.
"""
