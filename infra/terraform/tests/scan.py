"""The static scan: every finding is mended, or named with a reason in scan-exceptions.txt.

    python scan.py MODULES
"""

import json
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

EXCEPTIONS = Path(__file__).with_name("scan-exceptions.txt")


def main() -> int:
    report = scan(sys.argv[1])
    findings = [(found["check_id"], plain(found["resource"]), f"{found['check_name']} ({found['file_path']})") for found in report["results"]["failed_checks"]]
    named = exceptions()
    left = [finding for finding in findings if not any(applies(exception, finding) for exception in named)]
    stale = [exception for exception in named if not any(applies(exception, finding) for finding in findings)]
    for rule, resource, text in left:
        print(f"{rule} {resource}: {text}")
    for rule, pattern in stale:
        print(f"{rule} {pattern}: listed as an exception, but nothing is found there")
    print(f"{report['summary']['passed']} checks passed, {len(findings) - len(left)} exceptions, {len(left)} findings")
    return 1 if left or stale or not report["summary"]["passed"] else 0


def scan(modules: str) -> dict:
    # It would fetch guidelines from its maker otherwise.
    command = [sys.executable, "-m", "checkov.main", "--directory", modules, "--framework", "terraform", "--skip-download", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        raise SystemExit(f"the scan did not report:\n{done.stdout}{done.stderr}") from None


def plain(resource: str) -> str:
    """Without the module it is in: `module.x.aws_lb.this` is `aws_lb.this`."""
    parts = resource.split(".")
    return ".".join(parts[parts.index("module") + 2 :]) if parts[0] == "module" else resource


def exceptions() -> list[tuple[str, str]]:
    lines = [line.split(None, 2) for line in EXCEPTIONS.read_text().splitlines() if line and not line.startswith("#")]
    for words in lines:
        if len(words) < 3:
            raise SystemExit(f"an exception without a reason: {' '.join(words)}")
    return [(words[0], words[1]) for words in lines]


def applies(exception: tuple[str, str], finding: tuple[str, str, str]) -> bool:
    rule, pattern = exception
    return rule == finding[0] and fnmatchcase(finding[1], pattern)


sys.exit(main())
