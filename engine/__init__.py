"""First Token's engine: question answering over your own documents, streamed."""
