"""The units for systemd are right, and ask for little."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from scanner.cli import main


def test_systemd_finds_nothing_wrong(root: Path) -> None:
    command = shutil.which("systemd-analyze")
    assert command, "systemd-analyze is missing: apt-get install systemd (make test does it as root)"
    units = sorted(str(unit) for unit in (root / "examples" / "systemd").iterdir())
    assert len(units) == 3
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([command, "verify", *units], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Unknown" not in done.stderr


@pytest.mark.parametrize("name", ["lanveto.service", "lanveto-scan.service"])
def test_a_unit_calls_what_there_is_and_may_do_little(name: str, root: Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(root / "examples" / "systemd" / name)
    service = unit["Service"]
    assert service["CapabilityBoundingSet"] == service["AmbientCapabilities"] == "CAP_NET_RAW CAP_NET_ADMIN"
    assert service["StateDirectory"] == "lanveto"
    words = shlex.split(service["ExecStart"])
    assert words[:4] == ["/usr/bin/env", "lanveto", "--config", "/etc/lanveto/lanveto.toml"]
    assert isinstance(main.cli, click.Group)
    command = main.cli.get_command(click.Context(main.cli), words[4])
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts} | {"--store"}
    assert {word for word in words[5:] if word.startswith("-")} <= known
    assert service["Type"] == ("notify" if words[4] == "watch" else "oneshot")
    if words[4] == "watch":
        assert int(re.sub(r"\D", "", service["WatchdogSec"])) >= 30
        assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
