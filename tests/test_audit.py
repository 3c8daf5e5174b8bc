"""The vulnerability check: findings, accepted findings, and a service that does not answer."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import audit

VULNERABLE = {
    "name": "small",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["1.1"]}],
}
FINE = {"name": "other", "version": "2.0", "vulns": []}
UNKNOWN = {"name": "third", "skip_reason": "not found"}


def answers(*packages: dict[str, Any]) -> tuple[str, ...]:
    """A program in place of pip-audit."""
    text = json.dumps({"dependencies": packages})
    return (sys.executable, "-c", f"print({text!r})")


def test_a_vulnerability_fails_the_check_unless_it_is_accepted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accepted = tmp_path / "vulnerabilities.txt"
    with pytest.raises(SystemExit) as caught:
        audit.main(answers(FINE, VULNERABLE), accepted)
    assert caught.value.code == 1
    assert "small 1.0: PYSEC-1, fixed in 1.1" in capsys.readouterr().out
    accepted.write_text("# why\nCVE-1 The faulty function is not called.\n")
    audit.main(answers(FINE, VULNERABLE, UNKNOWN), accepted)
    assert "none in 2 packages; 1 are unknown" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        (sys.executable, "-c", "raise SystemExit('no connection')"),
        answers(UNKNOWN),
        (sys.executable, "-c", "import time; time.sleep(60)"),
    ],
    ids=["fails", "knows nothing", "hangs"],
)
def test_without_a_service_one_sentence_says_so(
    command: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit, "SECONDS", 1)
    audit.main(command, tmp_path / "none")
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "did not answer" in said
