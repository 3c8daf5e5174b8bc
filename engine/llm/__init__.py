"""Language models behind one protocol: the local llama.cpp runtime, and servers."""
