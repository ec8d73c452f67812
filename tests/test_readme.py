"""The commands and examples of README.md and docs/ are ones that work."""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from dec.cli import arguments
from dec.cli import main as cli
from dec.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), flags=re.S)


def commands() -> list[str]:
    lines = [line for path in TEXTS for block in blocks(path, "sh") for line in block.splitlines()]
    parts = [part.strip().removeprefix("srun ") for line in lines for part in line.split("  #")[0].split(";")]
    return sorted({part for part in parts if part.startswith("dec ")})


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("line", commands())
def test_every_command_is_understood(line, monkeypatch, capsys):
    """Its words are parsed; nothing is run."""
    parse = arguments.Parser.parse

    def parse_and_stop(self, argv):
        parse(self, argv)
        raise UserError("understood")

    monkeypatch.setattr(arguments.Parser, "parse", parse_and_stop)
    assert cli.main(shlex.split(line)[1:]) == 2
    assert capsys.readouterr().err == "dec: understood\n"


def test_every_link_leads_somewhere():
    for path in TEXTS:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_example_with_a_table(tmp_path, monkeypatch):
    """The second Python block, on a small network."""
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"asin": [f"a{i}" for i in range(60)], "title": ["tv", "radio", "phone"] * 20,
                  "price": [float(i % 7) for i in range(60)]}).to_csv("items.csv", index=False)
    code = blocks(ROOT / "README.md", "python")[1]
    quick = code.replace("n_clusters=8", "n_clusters=8, network=dec.Network(hidden=(8,), code_size=2), pretraining="
                         "dec.Pretraining(epochs=2), refinement=dec.Refinement(steps=4, refresh_every=2)")
    assert quick != code
    exec(compile("import dec\n" + quick, "README.md", "exec"), {})
    assert Path("my-model/features.skops").is_file()
