"""Known vulnerabilities of the pinned packages: `python -m scripts.audit`, part of `make check`.

pip-audit sends each line of constraints.txt to a public service. A vulnerability fails the check
unless vulnerabilities.txt accepts it with a reason. If the service cannot be reached, or does not
know the packages, the check prints a sentence and passes.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ACCEPTED = ROOT / "vulnerabilities.txt"
AUDIT = (sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--format", "json")
SECONDS = 120.0  # a mirror needs 10 for all packages


def main(command: tuple[str, ...] = AUDIT, accepted: Path = ACCEPTED) -> None:
    """Print one sentence. Exit with status 1 if vulnerabilities are found and not accepted."""
    try:
        done = subprocess.run(
            [*command, "--progress-spinner", "off", "-r", str(ROOT / "constraints.txt")],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        packages = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError):
        packages = []
    audited = [package for package in packages if "vulns" in package]
    if not audited:
        print("Vulnerabilities: not checked, because the vulnerability service did not answer.")
        return
    known = {line.split()[0] for line in _lines(accepted)}
    found = [
        f"  {package['name']} {package['version']}: {vulnerability['id']}, fixed in "
        f"{', '.join(vulnerability['fix_versions']) or 'no version'}"
        for package in audited
        for vulnerability in package["vulns"]
        if not known & {vulnerability["id"], *vulnerability["aliases"]}
    ]
    if found:
        print("Vulnerabilities found:", *found, sep="\n")
        print(f"Update these packages, or accept the risk with a reason in {accepted.name}.")
        sys.exit(1)
    skipped = len(packages) - len(audited)
    print(
        f"Vulnerabilities: none in {len(audited)} packages"
        + (f"; {skipped} are unknown to the service" if skipped else "")
        + (f"; {len(known)} accepted" if known else "")
        + "."
    )


def _lines(path: Path) -> list[str]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in lines if line.strip() and not line.startswith("#")]


if __name__ == "__main__":
    main()
