"""Write the generated parts of the documentation: every command's help, the README's file tree.

    python docs/generate.py          # writes
    python docs/generate.py --check  # ends with 1 when something would change

A generated part stands between `<!-- NAME -->` and `<!-- /NAME -->`; all around it is written by hand.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import click
import typer

from resurvey.cli import app

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "resurvey"
COMMANDS = ROOT / "docs" / "commands"
TRANSCRIPT = ROOT / "docs" / "transcript.md"
WIDTH = 80
STORY = (
    "data",
    "search",
    "evaluate",
    "diagnose",
    "decide",
    "train",
    "treat",
    "promote",
    "feedback",
    "show",
    "serve",
    "doctor",
    "cli",
)


def main() -> None:
    """Write what changed, or say with --check that something would."""
    changed = {path: text for path, text in pages().items() if not path.exists() or path.read_text("utf-8") != text}
    for path, text in changed.items():
        print(path.relative_to(ROOT))
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
    sys.exit(1 if changed and "--check" in sys.argv else 0)


def pages() -> dict[Path, str]:
    """Every page with generated parts, as it should be."""
    front = _filled((ROOT / "README.md").read_text("utf-8"), "tree", tree())
    made = {ROOT / "README.md": _filled(front, "demo", demo())}
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group | typer.core.TyperGroup)
    for name, command in group.commands.items():
        path = COMMANDS / f"{name}.md"
        text = path.read_text("utf-8") if path.exists() else f"# resurvey {name}\n\n<!-- help -->\n<!-- /help -->\n"
        made[path] = _filled(text, "help", help_of(name, command))
    index = "\n".join(f"- [{name}]({name}.md): {_first(c.help or '')}" for name, c in group.commands.items())
    path = COMMANDS / "README.md"
    made[path] = _filled(path.read_text("utf-8"), "commands", index)
    return made


def help_of(name: str, command: click.Command) -> str:
    """What `resurvey NAME --help` prints on 80 columns."""
    context = click.Context(command, info_name=f"resurvey {name}", terminal_width=WIDTH, max_content_width=WIDTH)
    return f"```text\n{command.get_help(context).strip()}\n```"


def demo() -> str:
    """What `make demo` printed, from the transcript: the set-up left out."""
    found = re.search(r"^```text\n\$ make demo\n(.*?)^```$", TRANSCRIPT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found, "the transcript has no block that begins with `$ make demo`"
    return f"```text\n{found.group(1)}```"


def tree() -> str:
    """The package's files with the first sentence of each module's docstring."""
    lines = ["src/resurvey/"]
    files = [path for path in sorted(PACKAGE.glob("*.py")) if path.name != "__init__.py"]
    lines += [f"  {path.name:<13} {_docstring(path)}" for path in files]
    folders = [path.parent for path in PACKAGE.glob("*/__init__.py")]
    for path in sorted(folders, key=lambda folder: STORY.index(folder.name)):
        lines.append(f"  {path.name + '/':<13} {_docstring(path / '__init__.py')}")
        lines += _wrapped(", ".join(sorted(p.stem for p in path.glob("*.py") if p.name != "__init__.py")))
    return "```text\n" + "\n".join(lines) + "\n```"


def _wrapped(names: str) -> list[str]:
    lines, line = [], " " * 16
    for word in names.split(" "):
        if len(line) + len(word) + 1 > WIDTH + 8:
            lines.append(line.rstrip())
            line = " " * 16
        line += f"{word} "
    return [*lines, line.rstrip()]


def _docstring(path: Path) -> str:
    return _first(ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "")


def _first(text: str) -> str:
    return re.split(r"(?<=[.])\s", " ".join(text.split("\n\n")[0].split()))[0].rstrip(".")


def _filled(text: str, name: str, content: str) -> str:
    pattern = re.compile(rf"<!-- {name} -->\n.*?<!-- /{name} -->", re.DOTALL)
    assert pattern.search(text), f"no place for {name}"
    return pattern.sub(lambda _: f"<!-- {name} -->\n{content}\n<!-- /{name} -->", text)


if __name__ == "__main__":
    main()
