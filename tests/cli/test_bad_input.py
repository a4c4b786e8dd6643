"""What an impatient admin and a hostile file do to the command line: a sentence and an exit code, never a traceback."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scanner.cli import main

DAHUA = """\
- id: lorex
  ip: 192.0.2.42
  observations:
    - {channel: rtsp.header.www-authenticate, port: 554, value: 'Digest realm="Login to ND011906001122", nonce="00"'}
    - {channel: dhip.response, port: 37810, value: '{"mac":"3c:ef:8c:11:22:33","method":"client.notifyDevInfo","params":
        {"deviceInfo":{"DeviceClass":"NVR","DeviceType":"NR900","Vendor":"Lorex","SerialNo":"ND011906001122"}}}'}
"""
LAW = ("--profile", "us-federal-contractor")
HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e\u200b\x9b6n"

Done = subprocess.CompletedProcess[str]
Here = Callable[..., Done]
Run = Callable[..., Done]


def _check(done: Done) -> Done:
    """Whatever a command does, it never ends in a traceback and never lets a file talk to the terminal."""
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in {0, 1, 2, 3}, (done.args, done.returncode, done.stderr)
    for text in (done.stdout, done.stderr):
        assert not set(text) & {"\x1b", "\x07", "\x9b", "\u202e", "\u200b"}, text
    return done


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands run: a folder with `case.yaml`."""
    (tmp_path / "case.yaml").write_text(DAHUA)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def here(folder: Path, capsys: pytest.CaptureFixture[str]) -> Here:
    """Runs a command line in this process; its words are split at blanks, further ones are taken as they are."""

    def go(line: str, *words: str) -> Done:
        code = main.run([*line.split(), *words])
        out, err = capsys.readouterr()
        return _check(subprocess.CompletedProcess(line, code, out, err))

    return go


@pytest.fixture
def run(folder: Path) -> Run:
    """Runs a command line in a shell: for what becomes of closed, full and foreign streams."""

    def go(
        line: str, *, stdin: str | None = None, before: str = "", home: bool = True,
        shell: tuple[str, ...] = ("bash", "-c"),
    ) -> Done:  # fmt: skip
        whole = f"{before}{shlex.quote(sys.executable)} -m scanner.cli.main {line}"
        env = {k: v for k, v in os.environ.items() if home or k not in {"HOME", "XDG_STATE_HOME"}}
        return _check(
            subprocess.run(
                [*shell, whole], input=stdin, capture_output=True, text=True, timeout=60, cwd=folder, env=env, check=False
            )
        )

    return go


@pytest.mark.parametrize(
    ("content", "entry", "reason"),
    [
        ("[" * 100_000, "bad.yaml", "nested"),
        ('- {id: "x", note: ' + "{a: " * 100_000, "bad.yaml", "nested"),
        ("- &a0 {x: 1}\n" + "".join(f"- &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40)), "entry 2", "merge"),
        ("- id: a\n\tmac: 1\n", "line 2", "tab"),
        ("- {id: a, id: b}\n", "entry 1", "stands twice"),
        ("- {id: a, mac: 44:19:46:11:22:33}\n", "entry 'a': mac", "quotes"),
        (f"- {{id: {json.dumps(HOSTILE)}, {json.dumps(HOSTILE)}: 1}}\n", "entry", "unknown field"),
        (f"- {{id: a, mac: {json.dumps(HOSTILE)}}}\n", "entry 'a': mac", "is not a MAC"),
        (f"- {{id: a, ip: {json.dumps('fe80::1%' + HOSTILE)}}}\n", "entry 'a': ip", "is not an IP"),
        ("- {id: a, observations: [{channel: http.tittle, value: x}]}\n", "observations[0].channel", "vocabulary"),
        ("- {id: a, observations: [{channel: http.title, value: x, port: 1e400}]}\n", "observations[0].port", "int"),
    ],
)
def test_a_broken_recording_is_named(here: Here, tmp_path: Path, content: str, entry: str, reason: str) -> None:
    (tmp_path / "bad.yaml").write_text(content)
    done = here("identify bad.yaml case.yaml --format jsonl")
    assert done.returncode == 2
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["lorex"]
    assert "bad.yaml" in done.stderr
    assert entry in done.stderr
    assert reason in done.stderr


def test_json_lines_with_broken_lines_on_standard_input(run: Run) -> None:
    done = run("identify - --format jsonl", stdin='{"id":"a"}\n{"id":\n[' + "[" * 50_000 + '\n{"id":"b"}\n')
    assert done.returncode == 2
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["a", "b"]
    assert "line 2" in done.stderr
    assert "line 3" in done.stderr


def test_a_device_that_talks_to_the_terminal(here: Here, tmp_path: Path) -> None:
    seen = [
        {"channel": channel, "value": f"{HOSTILE}DS-2CD2032", "request": HOSTILE}
        for channel in ("http.title", "http.header.server", "onvif.scopes", "sadp.devicedescription", "upnp.modelname")
    ]
    hostile = {"id": HOSTILE, "mac": "44:19:b6:11:22:33", "note": HOSTILE, "observations": seen}
    (tmp_path / "x.jsonl").write_text(json.dumps(hostile) + "\n")
    assert "hikvision" in here(f"identify x.jsonl {' '.join(LAW)}").stdout
    assert "hikvision" in here(f"explain 44:19:b6:11:22:33 --from x.jsonl {' '.join(LAW)}").stdout
    assert here("explain nobody --from x.jsonl").returncode == 2
    answer = here("identify x.jsonl --format json").stdout.encode()
    assert json.loads(answer)["devices"][0]["id"] == HOSTILE


def test_large_values(here: Here, tmp_path: Path) -> None:
    seen = [{"channel": c, "value": "<" * 3_000_000} for c in ("http.response", "onvif.response", "sadp.response")]
    (tmp_path / "x.jsonl").write_text(json.dumps({"id": "x" * 100_000, "observations": seen}) + "\n")
    assert here("identify x.jsonl").returncode == 0


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("identify case.yaml >/dev/full", 3, "name a file with --output [E-WRITE]"),
        ("identify case.yaml -o /dev/full", 3, "/dev/full: cannot be written"),
        ("identify nope.yaml 2>/dev/full", 2, ""),
        ("identify case.yaml >&-", 0, ""),
        ("identify nope.yaml >&- 2>&-", 2, ""),
        ("identify - <&-", 2, "standard input is closed"),
        ("identify nope --colour 2>&-", 2, ""),
    ],
)
def test_closed_and_full_streams(run: Run, line: str, code: int, said: str) -> None:
    done = run(line)
    assert done.returncode == code, done.stderr
    assert said in done.stderr


ESCAPE = "\x1b[31m"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["identify", ".", "case.yaml"], 2, "is a folder"),
        (["identify", "case.yaml", "-o", "nowhere/x"], 2, "does not exist"),
        (["identify", "case.yaml", "--as-of", "2026-W10-1"], 2, "2026-03-02"),
        (["identify", "case.yaml", "--as-of", "0000-00-00"], 2, "is no date"),
        (["identify", "case.yaml", "--as-of", "0001-01-01"], 0, ""),
        (["identify", "case.yaml", "--as-of", "9999-12-31"], 0, ""),
        (["identify", "case.yaml", "--format", "../json"], 2, "jsonl"),
        (["identify", "case.yaml", "--fail-on", "remove"], 2, "--profile"),
        (["identify", "case.yaml", "--profile", "x", "--fail-on", ","], 2, "is no action"),
        (["identify", ESCAPE], 2, "\\x1b[31m: cannot be read"),
        (["identify", f"--{ESCAPE}"], 2, "\\x1b[31m"),
        (["identify", "\udcff", "--format", "json"], 2, "\\udcff: cannot be read"),
        (["rules", "show", ESCAPE], 2, "\\x1b[31m"),
        (["rules", "list", "nonsense"], 2, "vendors"),
        (["rules", "eval", "nope"], 2, "nope"),
        (["oui", "lookup", ESCAPE], 2, "is not a MAC"),
        (["oui", "lookup", "00:00"], 2, "is not a MAC"),
        (["explain", ESCAPE, "--from", "case.yaml"], 2, "no device"),
        (["explain", "x", "--from", "nope.yaml"], 2, "cannot be read"),
        (["simulate", "nope.yaml"], 2, "nope.yaml"),
        (["simulate", "case.yaml", "--bind", "8.8.8.0/24"], 2, "127.0.0.0/8"),
    ],
)
def test_a_sentence_and_an_exit_code(here: Here, words: list[str], code: int, said: str) -> None:
    done = here("", *words)
    assert done.returncode == code, done.stderr
    assert said in done.stderr


def test_a_reader_that_leaves_does_not_hide_a_finding(run: Run) -> None:
    done = run(f"identify case.yaml {' '.join(LAW)} --fail-on remove --format jsonl | head -c 1; exit ${{PIPESTATUS[0]}}")
    assert done.returncode == 1


def test_a_full_disk_leaves_neither_half_a_report_nor_the_old_one_broken(run: Run) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root for a file system of its own")
    disk = "mkdir d && mount -t tmpfs -o size=8k none d && echo old > d/out.json && "
    line = "identify case.yaml --format json -o d/out.json; echo $?; ls -A d; cat d/out.json; umount d"
    done = run(line, before=disk, shell=("unshare", "-m", "bash", "-c"))
    assert done.returncode == 0
    assert done.stdout.split()[-3:] == ["3", "out.json", "old"]
    assert done.stdout.startswith("{"), "what was found goes to standard output instead"
    assert "No space left" in done.stderr


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("fingerprints/x.yaml", "[" * 100_000, "nested"),
        ("fingerprints/x.yaml", "- {id: a}\n", "x.yaml"),
        ("vendors/x.yaml", "just text\n", "x.yaml"),
        ("vendors/x.yaml", "\x00", "x.yaml"),
        ("policies/x.yaml", "id: a\nid: b\n", "stands twice"),
        ("profiles.yaml", "- 1\n", "profiles.yaml"),
        ("brands/x.yaml", "- {1: 2}\n", "x.yaml"),
        ("brands.yaml", "- {id: misplaced}\n", "holds none of"),
        ("brands/x.yml", "- {id: mistyped}\n", "end in .yaml"),
    ],
)
def test_a_broken_overlay_is_named(here: Here, tmp_path: Path, file: str, content: str, reason: str) -> None:
    place = tmp_path / "mine" / file
    place.parent.mkdir(parents=True)
    place.write_text(content)
    done = here("identify case.yaml --rules mine", *LAW)
    assert done.returncode == 2, done.stdout + done.stderr
    assert reason in done.stderr


def test_no_home_and_another_tongue(run: Run) -> None:
    assert run("explain nobody-has-this-key", home=False).returncode == 2
    for tongue in ("LANG=C LC_ALL=C", "LC_ALL=POSIX PYTHONUTF8=0 PYTHONCOERCECLOCALE=0", "PYTHONIOENCODING=latin-1"):
        done = run(f"identify case.yaml {' '.join(LAW)}", before=f"{tongue} ")
        assert done.returncode == 0, done.stderr
        assert "dahua" in done.stdout
