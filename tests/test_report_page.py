"""A report of any sweep: made without code, the same twice, inert whatever the texts say, and one line where it can't be made."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from gradyn.cli import main
from gradyn.report import Frames, report
from gradyn.report.frames import harmless
from gradyn.report.tables import frame_table, latex, trainable_table
from made_frames import make_folder, make_tables

GRID = {"depth": [4, 16], "activation": ["sigmoid", "relu"], "init": ["he_normal"], "norm": ["none"], "clip": ["none"], "seed": [0, 1]}
NASTY = "<script>alert(1)</script> {{ 7*7 }} {% x %} | 50% a_b & \\ $x$ # ~ ^ `c` * [l](u)"


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text, self.sources = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text.append(data)


def _parsed(text):
    parser = _Tags()
    parser.feed(text)
    return parser


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    # A name that would be a tag, an expression and a cell.
    folder = make_folder(tmp_path_factory.mktemp("r") / "<script>a{{ 7*7 }}|b_c%", GRID)
    (folder / "config.yaml").write_text("runs: 99\naxes: {depth: [4, 16], activation: [sigmoid, relu], seed: [0, 1]}\n", encoding="utf-8")
    report(folder)
    return folder


def test_two_axes_give_a_page_without_code(folder):
    page = _parsed((folder / "report" / "report.html").read_text(encoding="utf-8"))
    assert page.tags.count("img") == 3
    assert all(source.startswith("data:") for source in page.sources)
    assert (folder / "report" / "report.html").stat().st_size < 10e6
    stems = {path.stem for path in (folder / "report").glob("*.png")}
    assert stems == {"by_layer_depth_activation", "map_depth_activation", "training"}
    text = " ".join(page.text)
    # made_frames: sigmoid at he_normal loses 0.62 and gains 0.15 decades a layer.
    assert "-0.470 [" in text
    assert "depth=4,16 activation=sigmoid,relu" in text


def test_the_rates_are_those_of_the_frames(folder):
    table = pd.read_csv(folder / "report" / "rates.csv").set_index(["depth", "activation"])
    assert table.loc[(16, "sigmoid"), "runs"] == 2
    # Seeds 0 and 1 of made_frames lie at -0.001 and 0 about -0.47; the CSV has nine digits.
    assert table.loc[(16, "sigmoid"), "backward_rate"] == pytest.approx(-0.4705, abs=1e-8)
    # t(0.975, 1 degree) = 12.706, s / sqrt(2) = 0.0005.
    assert table.loc[(16, "sigmoid"), "backward_rate_high"] == pytest.approx(-0.4705 + 12.7062 * 0.0005, abs=1e-7)


def test_an_unfinished_sweep_says_so(folder):
    for name in ("report.html", "report.md"):
        assert "not finished: 8 of 99 runs" in (folder / "report" / name).read_text(encoding="utf-8")


def test_names_are_inert(folder):
    page = _parsed((folder / "report" / "report.html").read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert harmless(folder.name) in "".join(page.text)
    made = _parsed(MarkdownIt().enable("table").render((folder / "report" / "report.md").read_text(encoding="utf-8")))
    assert "script" not in made.tags
    assert harmless(folder.name) in "".join(made.text)


def test_cells_are_inert():
    table = frame_table("t", NASTY, pd.DataFrame({NASTY: [NASTY], "b": [1.5]}))
    made = _parsed(MarkdownIt().enable("table").render(table.markdown()))
    assert (made.tags.count("td"), made.tags.count("th"), set(made.tags)) == (2, 2, {"table", "thead", "tbody", "tr", "th", "td"})
    assert "".join(made.text).count(NASTY) == 2
    _compiles(table)


def _compiles(table, tmp=None):
    latex = table.latex()
    rows = [line for line in latex.splitlines() if line.endswith(r" \\")]
    assert len(rows) == 1 + len(table.rows)
    assert all(len(re.findall(r"(?<!\\)&", row)) == len(table.head) - 1 for row in rows)
    cells = [re.sub(r"\\[&%$#_{}]|\\[a-z]+\{\}|\$\\?[A-Za-z'^_0-9|-]+\$", "", row.removesuffix(r" \\")) for row in rows]
    assert not any(re.search(r"[\\%$#_{}~^<>|\"]", cell) for cell in cells)
    if tmp is not None and shutil.which("pdflatex"):
        (tmp / "t.tex").write_text(
            "\\documentclass{article}\n\\usepackage{booktabs,longtable}\n\\usepackage[T1]{fontenc}\n\\begin{document}\n" + latex + "\\end{document}\n"
        )
        subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"], cwd=tmp, check=True, capture_output=True)


def test_latex_of_hostile_text_compiles(tmp_path):
    letters = NASTY + " − ± ∞ ∇ ‖ √ é 가" + "".join(map(chr, range(0x3B1, 0x3CA))) + "ΓΔΘΛΞΠΣΦΨΩ₀₂⁹²"
    _compiles(frame_table("t", NASTY, pd.DataFrame({NASTY: [letters], "b": [1.5]})), tmp_path)
    assert latex("λ Λ π ξ₁ 2²") == r"$\lambda$ $\Lambda$ $\pi$ $\xi$$_1$ 2$^2$"


def test_a_latex_table_longer_than_a_page_is_broken_over_pages(tmp_path):
    rows = [f"row {i}" for i in range(120)]
    table = frame_table("t", "Long", pd.DataFrame({"name": rows, "value": 1.0}))
    _compiles(table, tmp_path)
    assert r"\begin{longtable}" in table.latex()
    assert r"\endhead" in table.latex()
    if shutil.which("pdflatex"):
        assert re.search(r"Output written on t.pdf \(([2-9]) pages", (tmp_path / "t.log").read_text(encoding="latin-1"))


def test_the_table_of_trainable_depth_says_how_deep_and_at_which_rate(tmp_path):
    grid = {"depth": [4, 16], "activation": ["relu", "tanh"], "init": ["he_normal"], "norm": ["none"], "clip": ["none"], "learning_rate": [0.01, 0.1]}
    runs, steps, layers = make_tables(grid)
    is_lost = (runs["activation"] == "tanh") & (runs["depth"] == 16)
    runs["test_accuracy"] = (runs["learning_rate"] == 0.01) * 0.1 + 0.8 - 0.6 * is_lost
    # The rate is chosen by the loss, not by the accuracy.
    worse = runs.set_index("run_id")["learning_rate"].map({0.01: 1.0, 0.1: 0.0})
    steps["loss"] += steps["run_id"].map(worse)
    table = trainable_table(Frames("made_up", runs, steps, layers))
    assert table.head == ["cure", "trains to depth", "depth 4", "depth 16"]
    # An accuracy of TRAINED itself trains.
    assert table.rows == [["relu", "16", "0.800 at 0.1", "0.800 at 0.1"], ["tanh", "4", "0.800 at 0.1", "0.200 at 0.1"]]
    assert table.data[["cure", "depth", "learning_rate", "trains_to_depth"]].to_numpy().tolist() == [
        ["relu", 4, 0.1, 16], ["relu", 16, 0.1, 16], ["tanh", 4, 0.1, 4], ["tanh", 16, 0.1, 4],
    ]  # fmt: skip
    _compiles(table, tmp_path)


def test_pairs_of_axes_that_are_not_drawn_are_named_and_can_be_asked_for(tmp_path, capsys):
    many = GRID | {"init": ["he_normal", "small"], "norm": ["none", "layer"], "clip": ["none", "global_l2"], "seed": [0]}
    folder = make_folder(tmp_path / "many", many)
    report(folder)
    text = (folder / "report" / "report.md").read_text(encoding="utf-8")
    assert "6 of 10 pairs of axes are drawn. For others: gradyn report FOLDER --axes norm,clip." in text
    assert main(["report", str(folder), "--axes", "norm,clip,init"]) == 0
    text = (folder / "report" / "report.md").read_text(encoding="utf-8")
    assert "pairs of axes are drawn" not in text
    assert text.count("**By layer") == 3
    capsys.readouterr()
    assert main(["report", str(folder), "--axes", "norm,width"]) == 2
    assert "axes must be among those that vary, depth, activation, init, norm, clip; got 'width'" in capsys.readouterr().err


def test_made_twice_it_is_the_same(folder):
    before = {path.name: path.read_bytes() for path in (folder / "report").iterdir()}
    report(folder)
    assert {path.name: path.read_bytes() for path in (folder / "report").iterdir()} == before


@pytest.mark.parametrize("kind", ["missing", "empty", "foreign", "older"])
def test_a_folder_that_is_none_gives_one_line(kind, tmp_path, capsys):
    folder = tmp_path / "x"
    if kind != "missing":
        (folder / "runs").mkdir(parents=True)
    if kind == "foreign":
        pd.DataFrame({"a": [1]}).to_parquet(folder / "runs" / "a.parquet")
    if kind == "older":
        make_folder(folder, GRID)
        (folder / "sweep.json").write_text('{"schema_version": 0, "log": {}}')
    if kind == "foreign":
        with pytest.warns(UserWarning, match="not written by gradyn"):
            code = main(["report", str(folder)])
    else:
        code = main(["report", str(folder)])
    said = capsys.readouterr()
    assert (code, said.out, said.err.count("\n")) == (2, "", 1)
    assert "must" in said.err


def test_an_axis_of_updates_is_drawn_at_the_last_step(tmp_path):
    folder = make_folder(tmp_path / "clips", GRID | {"clip": ["none", "global_l2"], "depth": [4], "activation": ["relu"]})
    report(folder)
    text = (folder / "report" / "report.md").read_text(encoding="utf-8")
    assert text.count("at step 5") == 1
    assert "at initialization" not in text
    assert "No config.yaml" in text


def test_a_missing_column_is_named(tmp_path, capsys):
    folder = make_folder(tmp_path / "old", GRID)
    for path in (folder / "layers").glob("*.parquet"):
        pd.read_parquet(path).drop(columns="log10_delta_rms").to_parquet(path)
    assert main(["report", str(folder)]) == 2
    assert "log10_delta_rms" in capsys.readouterr().err
