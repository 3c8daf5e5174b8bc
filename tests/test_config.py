"""Config: defaults, what wins over what, and a sentence for each value that cannot be used."""

import os
from pathlib import Path

import pytest
from dotenv import dotenv_values

from engine.config import Config, load_config
from engine.errors import ConfigError

EXAMPLE = Path(__file__).parents[1] / ".env.example"


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def test_without_a_file_everything_has_its_default(env_file: Path) -> None:
    assert load_config(env_file, {}) == Config()


def test_the_example_names_every_variable_and_states_its_default() -> None:
    names = [name.lower() for name in dotenv_values(EXAMPLE)]
    assert names == list(Config.__dataclass_fields__)
    assert load_config(EXAMPLE, {}) == Config()
    for name, text in dotenv_values(EXAMPLE).items():
        default = getattr(Config(), name.lower())
        shown = str(default).lower() if isinstance(default, bool) else str(default)
        assert text == ("" if default is None else shown)


def test_every_variable_arrives_in_its_field(env_file: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUF")
    expected = Config(
        data_dir=tmp_path / "elsewhere",
        shared_dir=tmp_path / "shared",
        chat_model=model,
        context_window=4096,
        gpu_layers=12,
        cores=3,
        state_cache_mb=64,
        first_token_budget=2.5,
        deterministic=False,
        qdrant_url="http://localhost:6333,http://localhost:6343",
        qdrant_api_key="q",
        qdrant_prefix="team-1",
        qdrant_timeout=5,
        qdrant_shards=6,
        qdrant_replicas=2,
        qdrant_write_consistency=2,
        qdrant_quantization="scalar",
        qdrant_on_disk=True,
        openai_base_url="https://example.org/v1",
        openai_model="m",
        openai_api_key="o",
        embed_model="thenlper/gte-base",
        rerank_model="BAAI/bge-reranker-base",
        hf_endpoint="http://localhost:8080",
        hf_token="h",
        hf_hub_offline=True,
        tavily_api_key="t",
        api_key="a",
        administrators="ann@example.org",
        log_level="DEBUG",
        walkthrough_editing=False,
        ocr=False,
    )
    values = {name: getattr(expected, name) for name in Config.__dataclass_fields__}
    env_file.write_text("".join(f"{name.upper()}={value}\n" for name, value in values.items()))
    assert load_config(env_file, {}) == expected
    assert not any(value == getattr(Config(), name) for name, value in values.items())


def test_the_environment_wins_over_the_file_and_empty_means_the_default(env_file: Path) -> None:
    env_file.write_text("CORES=1\nSTATE_CACHE_MB=7\nGPU_LAYERS=3\n")
    config = load_config(env_file, {"CORES": "2", "STATE_CACHE_MB": ""})
    assert (config.cores, config.state_cache_mb, config.gpu_layers) == (2, 1024, 3)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("CORES=two", "CORES must be a whole number, not 'two'"),
        ("CONTEXT_WINDOW=-5", "CONTEXT_WINDOW must be a whole number"),
        ("STATE_CACHE_MB=1.5", "STATE_CACHE_MB must be a whole number"),
        ("CHAT_MODEL=/nowhere/model.gguf", "CHAT_MODEL names /nowhere/model.gguf"),
        ("QDRANT_URL=localhost:6333", "QDRANT_URL must begin with http"),
        ("QDRANT_URL=http://a:1, b:2", "QDRANT_URL must begin with http"),
        ("QDRANT_PREFIX=a+b", "QDRANT_PREFIX must be at most 40 letters"),
        ("QDRANT_TIMEOUT=0", "QDRANT_TIMEOUT must be a whole number, at least 1, not '0'"),
        ("QDRANT_QUANTIZATION=int4", "QDRANT_QUANTIZATION must be none, scalar or binary"),
        ("OPENAI_BASE_URL=ftp://x", "OPENAI_BASE_URL must begin with http"),
        ("CHAT_MODLE=x.gguf", "CHAT_MODLE in .env is not a setting. Did you mean CHAT_MODEL?"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(env_file: Path, line: str, sentence: str) -> None:
    env_file.write_text(line)
    with pytest.raises(ConfigError) as caught:
        load_config(env_file, {})
    assert sentence in str(caught.value)


def test_a_data_folder_that_is_a_file_is_refused(env_file: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(ConfigError, match="which is not a folder"):
        load_config(env_file, {"DATA_DIR": str(tmp_path / "taken")})


def test_a_file_that_is_no_text_is_refused(env_file: Path) -> None:
    env_file.write_bytes(b"DATA_DIR=\xff\xfe\n")
    with pytest.raises(ConfigError, match="plain UTF-8 text"):
        load_config(env_file, {})


def test_other_programs_variables_in_the_file_are_left_alone(env_file: Path) -> None:
    env_file.write_text("STREAMLIT_SERVER_PORT=9000\nCOMPOSE_PROJECT_NAME=x\n")
    assert load_config(env_file, {}) == Config()


def test_keys_stay_out_of_the_printed_form() -> None:
    shown = repr(Config(qdrant_api_key="k1", openai_api_key="k2", tavily_api_key="k3"))
    assert not any(key in shown for key in ("k1", "k2", "k3"))


def test_cores_never_exceed_what_the_process_may_use() -> None:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert Config().available_cores == usable
    assert Config(cores=1).available_cores == 1
    assert Config(cores=100_000).available_cores == usable
