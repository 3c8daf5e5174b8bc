"""One cell that measures the models on this machine. It reads no document."""


def measure_speed() -> None:
    """How fast it is here

    The chat model reads a prompt (prefill) and writes an answer token by token (decode); the
    embedding and the reranker work on passages and sentences. Other programs slow all of them.
    """
    import time

    from engine import ChatMessage, Settings
    from engine.llm import GenerationOptions
    from engine.run import Run

    sentence = "The lamp of the lighthouse flashes twice every fifteen seconds. "
    fresh = GenerationOptions(max_tokens=64, reuse=False, ignore_eos=True)
    run = Run.begin()
    Settings.llm.chat([ChatMessage("user", sentence * 24)], fresh, run)
    figures = run.trace.metrics
    if figures.prefill_rate:
        print(f"read {figures.prompt_tokens} tokens, {figures.prefill_rate:.0f} a second")
    if figures.decode_rate:
        print(f"wrote {figures.output_tokens} tokens, {figures.decode_rate:.0f} a second")

    began = time.perf_counter()
    Settings.embed_model.embed([f"{number}. {sentence * 12}" for number in range(8)])
    print(f"embedded {8 / (time.perf_counter() - began):.0f} passages a second")

    began = time.perf_counter()
    Settings.reranker.score("How often does the lamp flash?", [sentence] * 16)
    print(f"reranked {16 / (time.perf_counter() - began):.0f} sentences a second")
