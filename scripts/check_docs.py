"""Run the snippets of the README and the docs, so that what they say is so.

    python scripts/check_docs.py [FILE.md…]

Every ```bash and ```python block runs in a directory that holds a copy of examples/; the blocks of one page share it, in order.
A block behind a line ``<!-- skip -->`` is left out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SNIPPET = re.compile(r"^(?P<skip><!-- skip -->\s*\n)?```(?P<language>bash|python)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
LIMIT = 300
"""Seconds that one snippet may take."""


def run(language: str, code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one snippet in ``folder`` with the commands of this environment first on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "CI": "1", "PYTHONWARNINGS": "ignore", "PYTHONUTF8": "1"}
    command = ["bash", "-euo", "pipefail", "-c", code] if language == "bash" else [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=LIMIT)


def check(page: Path) -> tuple[int, list[str]]:
    """Run a page's snippets; return how many ran and what failed."""
    text = page.read_text(encoding="utf-8")
    failures, count = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "work"
        shutil.copytree(ROOT / "examples", folder, ignore=shutil.ignore_patterns("*.md"))
        for match in SNIPPET.finditer(text):
            if match["skip"]:
                continue
            count += 1
            place = f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, match.start('code')) + 1}"
            began = time.monotonic()
            try:
                result = run(match["language"], match["code"], folder)
            except subprocess.TimeoutExpired:
                failures.append(f"{place}: took longer than {LIMIT} s")
                continue
            print(f"{place}  {time.monotonic() - began:.1f} s", flush=True)
            if result.returncode:
                failures.append(f"{place}: exit {result.returncode}\n{result.stdout[-1500:]}{result.stderr[-3000:]}")
    return count, failures


def main() -> int:
    """Run all snippets; return the exit code."""
    chosen = [Path(name).resolve() for name in sys.argv[1:]]
    # README.zh-CN.md has the snippets of README.md, which tests/test_project.py compares.
    pages = chosen or [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    start, total, failures = time.monotonic(), 0, []
    for page in pages:
        count, failed = check(page)
        total += count
        failures += failed
    print("\n".join([*failures, f"docs: {total} snippets, {len(failures)} failed, {time.monotonic() - start:.0f} s"]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
