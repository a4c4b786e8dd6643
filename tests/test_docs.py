"""README and docs are true: blocks marked `sh run` are run, and no other command names an option that is none.

The other `sh` blocks need a network or files of other tools: tests/wire/test_pages.py runs them.

A block whose first line is `# name.ext` is a file, written before the commands of its page run. `recordings.yaml` is the
demo's fleet. A command ending in `# exit N` is meant to leave with that code.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from scanner.cli import main
from tests.pages import BLOCK, PAGES, ROOT, commands

RUN = [page for page in PAGES if "```sh run" in page.read_text(encoding="utf-8")]

@pytest.mark.parametrize("page", RUN, ids=lambda p: p.name)
def test_every_command_marked_to_run_does(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for _, _, content in BLOCK.findall(text):
        first, _, rest = content.partition("\n")
        if re.fullmatch(r"# [\w./-]+\.\w+", first):
            path = tmp_path / first.removeprefix("# ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(rest, encoding="utf-8")
    (tmp_path / "recordings.yaml").write_bytes((ROOT / "examples" / "demo-fleet.yaml").read_bytes())
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": places, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    lines = list(commands(text, run=True))
    assert lines
    for line in lines:
        command, _, remark = line.partition("  # exit ")
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == int(remark or 0), f"{line}\n{done.stdout[-500:]}\n{done.stderr}"


def test_no_page_names_a_command_or_an_option_that_is_none() -> None:
    assert RUN, "no page has commands that are run"
    wrong: list[str] = []
    for page in PAGES:
        for line in commands(page.read_text(encoding="utf-8"), run=False):
            for part in re.split(r"\s(?:&&|\|)\s", line.partition(" #")[0]):
                if "lanveto " in part:
                    wrong += [f"{page.name}: {line}: {problem}" for problem in _problems(part)]
    assert not wrong, "\n".join(wrong)


def _problems(line: str) -> Iterator[str]:
    words = shlex.split(line[line.index("lanveto ") :])[1:]
    command: click.Command = main.cli
    context = click.Context(command)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            yield f"no command {words[0]}"
            return
        command, words = found, words[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "-h", "--version"}
    for word in words:
        if word.startswith("-") and word != "-" and word.partition("=")[0] not in known:
            yield f"no option {word}"
