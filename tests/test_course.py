"""The course's pages say what the code says, in every language: outputs, numbers, commands, exercises, links and pictures."""

from __future__ import annotations

import ast
import fnmatch
import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from markdown_it import MarkdownIt

import gradyn

ROOT = Path(__file__).resolve().parents[1]
COURSE = ROOT / "docs" / "course"
# Languages in which every page has to be there; a page that is there has to be right in any.
COMPLETE = ("en", "ko")
WRITTEN = sorted(path.relative_to(COURSE).as_posix() for path in COURSE.glob("*/*.md"))
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def build() -> Iterator[ModuleType]:
    """docs/course/build.py, which is no package and finds facts.py beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(COURSE)
        spec = importlib.util.spec_from_file_location("build_course", COURSE / "build.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
        sys.modules.pop("facts")


def text(page: str) -> str:
    return (COURSE / page).read_text(encoding="utf-8")


def test_every_page_is_there_in_every_language(build: ModuleType) -> None:
    there = {language: {Path(page).stem for page in WRITTEN if page.startswith(f"{language}/")} for language in build.LANGUAGES}
    assert {Path(page).parts[0] for page in WRITTEN} <= set(build.LANGUAGES)
    for language, pages in there.items():
        assert pages <= set(build.PAGES), f"a page of {language} is not in PAGES of build.py"
        if language in COMPLETE:
            assert pages == set(build.PAGES)


def test_a_page_that_is_none_is_refused(build: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["--program", "9"]) == 2
    assert capsys.readouterr() == ("", "The page must be one of 1 to 8; got 9.\n")


@pytest.mark.parametrize("page", WRITTEN)
def test_a_page_holds_what_its_code_prints_and_the_numbers_that_the_code_has(build: ModuleType, page: str) -> None:
    written, now = text(page), build.filled(text(page), build.facts())
    # Line by line, for pytest's own difference of two pages is slow.
    for number, (line, right) in enumerate(zip(written.splitlines(), now.splitlines(), strict=False), start=1):
        assert line == right, f"line {number}; run `make docs`"
    assert written == now


@pytest.mark.parametrize("page", WRITTEN)
def test_a_page_and_its_twin_have_the_same_blocks_and_numbers(build: ModuleType, page: str) -> None:
    language, name = page.split("/")
    for other in build.LANGUAGES:
        if other == language or not (COURSE / other / name).exists():
            continue
        for (kind, body), (twin_kind, twin_body) in zip(FENCE.findall(text(page)), FENCE.findall(text(f"{other}/{name}")), strict=True):
            assert (kind, body) == (twin_kind, twin_body)
        assert set(build.NUMBER.findall(text(page))) == set(build.NUMBER.findall(text(f"{other}/{name}")))


@pytest.mark.parametrize("page", WRITTEN)
def test_the_entry_leads_to_every_page(page: str) -> None:
    assert f"]({page})" in (COURSE / "README.md").read_text(encoding="utf-8")


def test_the_program_of_a_page_is_its_blocks_in_order(build: ModuleType) -> None:
    for page in build.PAGES:
        blocks = [body for kind, body in FENCE.findall(text(f"en/{page}.md")) if kind == "python"]
        assert ast.dump(ast.parse(build.program(page))) == ast.dump(ast.parse("".join(blocks)))


def test_every_fact_is_on_a_page(build: ModuleType) -> None:
    used = {found["name"] for page in WRITTEN for found in build.NUMBER.finditer(text(page))}
    assert used == set(build.facts())


@pytest.mark.parametrize("page", WRITTEN)
def test_a_page_ends_in_three_exercises_with_an_answer_that_runs(build: ModuleType, page: str) -> None:
    summary = build.LANGUAGES[page.split("/")[0]]
    *_, exercises = re.split(r"^## .+$", text(page), flags=re.MULTILINE)
    parts = re.split(r"^\*\*\D+(\d)\.\*\* ", exercises, flags=re.MULTILINE)
    assert parts[1::2] == ["1", "2", "3"]
    for question in parts[2::2]:
        asked, answer = question.split(f"\n\n<details><summary>{summary}</summary>\n\n")
        assert "<details" not in asked
        # Without the blank lines GitHub shows the Markdown inside as it is written.
        assert answer.rstrip().endswith("\n\n</details>")
        assert answer.count("</details>") == 1
        prose, kinds = FENCE.sub("", answer), [kind for kind, _ in FENCE.findall(answer)]
        assert len(prose.split()) > 20, "an answer has prose"
        assert kinds[-2:] == ["python", "text"], "an answer ends in a block and what it prints"


@pytest.mark.parametrize("page", WRITTEN)
def test_the_commands_of_a_page_exist(reader: ModuleType, page: str) -> None:
    makefile, swept = (ROOT / "Makefile").read_text(encoding="utf-8"), set()
    for block in reader.blocks(text(page)):
        for line in block.body.splitlines() if block.language == "sh" else ():
            words = shlex.split(line)
            if words[0] == "make":
                targets = [word for word in words[1:] if "=" not in word]
                assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets), line
                patterns = [word.removeprefix("ID=") for word in words if word.startswith("ID=")]
                assert all(fnmatch.filter((path.stem for path in (ROOT / "experiments").glob("*.py")), pattern) for pattern in patterns), line
            elif words[:2] in (["gradyn", "plan"], ["gradyn", "sweep"]):
                assert gradyn.plan(words[2:]), line
                swept |= {word.removeprefix("name=") for word in words if word.startswith("name=")}
            elif words[:2] == ["gradyn", "figures"]:
                assert words[2].removeprefix("results/") in swept, line
            elif words[0] in ("python", "source"):
                assert (ROOT / words[1]).exists() or words == ["source", ".venv/bin/activate"], line
            else:
                pytest.fail(f"{line}: a command of another kind; say here how it is known to exist")


@pytest.mark.parametrize("page", WRITTEN)
def test_the_formulas_of_a_page_survive_markdown(page: str) -> None:
    prose = re.sub(r"`[^`\n]+`", "", FENCE.sub("", text(page)))
    displayed, inline = re.findall(r"\$\$.+?\$\$", prose, re.DOTALL), re.sub(r"\$\$.+?\$\$", "", prose, flags=re.DOTALL)
    # GitHub ends a formula with its line, and takes a backslash in front of punctuation for Markdown's own: \\, and \\{ lose it.
    assert [line for line in inline.splitlines() if line.count("$") % 2] == []
    assert [part for part in [*displayed, *re.findall(r"\$.+?\$", inline)] if re.search(r"\\[^A-Za-z\s]", part)] == []
    # Nor may an underscore between brackets become emphasis: no tag stands in a formula.
    html = re.sub(r"<(pre|code)\b.*?</\1>", "", MarkdownIt("commonmark").enable("table").render(text(page)), flags=re.DOTALL)
    displayed, inline = re.findall(r"\$\$.+?\$\$", html, re.DOTALL), re.sub(r"\$\$.+?\$\$", "", html, flags=re.DOTALL)
    assert [part for part in [*displayed, *re.findall(r"\$.+?\$", inline)] if "<" in part] == []


def test_every_picture_is_small_and_on_a_page(build: ModuleType) -> None:
    # Where a link leads to nothing test_readme.py says so.
    pictures = {path.name for path in (COURSE / "figures").iterdir()}
    shown = {name for page in WRITTEN for name in re.findall(r"!\[[^\]]+\]\(\.\./figures/([^)]+)\)", text(page))}
    assert pictures == shown == {f"{stem}.png" for stems in build.PAGES.values() for stem in stems}
    assert max(path.stat().st_size for path in (COURSE / "figures").iterdir()) < 150_000


MARKED = "The loss is <!--=loss-->5<!--/-->.\n"


def test_filling_mends_a_number_and_an_output(build: ModuleType) -> None:
    page = MARKED + "\n```python\nx = 2\nprint(x + 1)\n```\n\n```text\n4\n```\n\n```python\nprint(x)\n```\n\nEnd.\n"
    right = MARKED.replace("5", "4") + "\n```python\nx = 2\nprint(x + 1)\n```\n\n```text\n3\n```\n\n```python\nprint(x)\n```\n\n```text\n2\n```\n\nEnd.\n"
    assert build.filled(page, {"loss": "4"}) == right
    assert build.filled(right, {"loss": "4"}) == right


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("The loss is <!--=lost-->4<!--/-->.", "a name of facts.py; got lost"),
        ("- <!--=loss-->4<!--/--> is the loss.", "must not begin a line"),
        ("The loss is <!--=loss-->4.", "must be <!--=name-->number<!--/-->"),
    ],
)
def test_a_marker_that_nobody_would_fill_is_refused(build: ModuleType, page: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        build.filled(page, {"loss": "4"})


def test_a_block_that_fails_is_shown(build: ModuleType) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        build.filled("```python\nx = 1\n```\n\n```python\nx / 0\n```\n", {})
    assert caught.value.__notes__ == ["in python block 2:\nx / 0\n"]
