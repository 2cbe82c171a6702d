"""The tables of variables and outputs in the modules' documents, made from the code so that they can't differ from it.

    python tables.py write|check MODULES
"""

import re
import sys
from pathlib import Path

BEGIN, END = "<!-- tables: made by tests/run tables -->", "<!-- end of tables -->"
# Types and defaults longer than this are left to the code.
CELL_MAX = 60


def main() -> int:
    action, modules = sys.argv[1], Path(sys.argv[2])
    stale = []
    for module in sorted(path for path in modules.iterdir() if path.is_dir()):
        document = module / "README.md"
        text = document.read_text()
        made = with_tables(text, module)
        if made != text:
            stale.append(document)
        if action == "write":
            document.write_text(made)
    if action == "check" and stale:
        print("not up to date, run `tests/run tables`:", *stale, sep="\n  ")
        return 1
    return 0


def with_tables(text: str, module: Path) -> str:
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n\n{tables(module)}\n{END}{after}"


def tables(module: Path) -> str:
    source = "\n".join(file.read_text() for file in sorted(module.glob("*.tf")))
    lines = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    for name, body in sorted(blocks(source, "variable")):
        default = argument(body, "default")
        shown = "required" if default is None else cell(default, "see the code")
        lines.append(f"| `{name}` | {cell(kind(name, body), outer(kind(name, body)))} | {shown} | {meaning(body)} |")
    lines += ["", "| output | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {meaning(body)} |" for name, body in sorted(blocks(source, "output"))]
    return "\n".join(lines) + "\n"


def blocks(source: str, kind: str) -> list[tuple[str, str]]:
    """Name and body of each block; formatted code closes one with a brace of its own at the line's beginning."""
    return re.findall(rf'^{kind} "([^"]+)" {{\n(.*?)^}}', source, re.MULTILINE | re.DOTALL)


def argument(body: str, name: str) -> str | None:
    """The value of an argument, up to the next line that is no further in than the argument itself."""
    found = re.search(rf"^  {name} += (.*?)\n(?=^  [^ }})\]]|^\s*$|\Z)", body + "\n", re.MULTILINE | re.DOTALL)
    return found.group(1) if found else None


def kind(name: str, body: str) -> str:
    found = argument(body, "type")
    if found is None:
        raise SystemExit(f"the variable {name} has no type")
    return found


def outer(kind: str) -> str:
    """A type without what its objects hold: `map(object)`."""
    words = re.findall(r"\w+", kind.split("{")[0])
    return f"`{'('.join(words)}{')' * (len(words) - 1)}`"


def cell(value: str, otherwise: str) -> str:
    """A value as code if it fits; else a word for it."""
    if "\n" not in value and len(value) <= CELL_MAX:
        return f"`{value}`"
    return otherwise


def meaning(body: str) -> str:
    text = re.search(r'^  description = "(.*)"$', body, re.MULTILINE)
    if text is None:
        raise SystemExit(f"no description in:\n{body}")
    return text.group(1).replace('\\"', '"').replace("|", "\\|")


sys.exit(main())
