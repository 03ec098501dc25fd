"""The documentation: what it shows is run, what it prints is what is shown (up to numbers), what it names is there, and it builds."""

import contextlib
import html
import importlib
import importlib.util
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import fastmd
from fastmd.cli import COMMANDS, main

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
MODULES = ("fastmd.train.dataset", "fastmd.train.loop", "fastmd.train.report", "fastmd.autograd", "fastmd.validate", "fastmd.datacheck", "fastmd.sample")

page = pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)


# ------------------------------------------------------------------------------------------------------- what is run

def blocks(text):
    """[(language, number of its first line, text)] of what stands between ``` and ```"""
    found, language, begin, lines = [], None, 0, []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("```"):
            lines.append(line)
        elif language is None:
            language, begin, lines = line[3:].strip(), number + 1, []
        else:
            found.append((language, begin, "\n".join(lines) + "\n"))
            language = None
    assert language is None, f"the block that begins before line {begin} does not end"
    return found


def plain(text):
    """Lines without the numbers, which may differ between machines, and without the widths of tables"""
    text = re.sub(r"[-+]?\d[\d.]*(e[-+]?\d+)?", "#", text)
    text = re.sub(r"[─━]+", "─", text)
    return [" ".join(line.split()) for line in text.splitlines()]


def missing(shown, printed):
    """The first line of `shown` that is in no line of `printed` after that of the line before; `...` stands for any lines"""
    lines = iter(plain(printed))
    for raw, line in zip(shown.splitlines(), plain(shown)):
        if line not in ("", "...") and not any(line in candidate for candidate in lines):
            return raw
    return None


def run_python(text, name, first, namespace):
    """What it prints"""
    code = compile("\n" * (first - 1) + text, name, "exec")  # so that a traceback has the line in the page
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, namespace)
    return out.getvalue()


def run_console(text, name, first):
    """Runs the lines that begin with $; what follows one is what it prints."""
    for piece in re.split(r"^\$ ", text, flags=re.M)[1:]:
        line, _, shown = piece.partition("\n")
        program, *arguments = shlex.split(line, comments=True)
        assert program == "fastmd", f"{name}, block at line {first}: `{line}` is not run by the tests"
        ran = CliRunner().invoke(main, arguments, env={"COLUMNS": "120"}, catch_exceptions=False)
        assert ran.exit_code == 0, f"{name}, block at line {first}: `{line}` ends with {ran.exit_code}\n{ran.output}"
        wrong = missing(shown, ran.output)
        assert wrong is None, f"{name}, block at line {first}: `{line}` does not print\n{wrong}\nbut\n{ran.output}"


def run_page(path):
    """All blocks of a page in order: Python in one namespace, a `text` block is what the Python before it prints."""
    namespace, printed = {"__name__": "page"}, None
    for language, first, text in blocks(path.read_text()):
        if language == "python":
            printed = run_python(text, path.name, first, namespace)
        elif language == "console":
            run_console(text, path.name, first)
        elif language == "text":
            assert printed is not None, f"{path.name}, line {first}: a text block is what the Python before it prints, and there is none"
            wrong = missing(text, printed)
            assert wrong is None, f"{path.name}, line {first}: not printed is\n{wrong}\nbut\n{printed}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Pages are run in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def small_potential(path):
    """Two functions, two nodes, and a repulsion that keeps atoms apart, whatever the network says"""
    functions = {"Si": [fastmd.G2("Si", 4.0, 0.1), fastmd.G2("Si", 4.0, 1.0, 2.5)]}
    path.parent.mkdir(exist_ok=True)
    fastmd.NNPotential(functions, {"Si": fastmd.Network.random(2, (2,), rng=1)}, repulsion=fastmd.Repulsion({("Si", "Si"): fastmd.ZBL(1.5, 2.2)})).save(path)


@pytest.mark.plain_core
@pytest.mark.filterwarnings("ignore::fastmd.ExtrapolationWarning")
def test_the_tutorial_runs_and_prints_what_it_shows(folder):
    pytest.importorskip("torch")
    pytest.importorskip("matplotlib")
    run_page(DOCS / "tutorial.md")


@pytest.mark.parametrize("path", [path for path in PAGES if path.name != "tutorial.md"], ids=lambda p: p.name)
def test_the_python_of_the_other_pages_runs(folder, path):
    if path.name == "lammps.md":
        if importlib.util.find_spec("lammps") is None:
            pytest.skip("LAMMPS is not installed")
    small_potential(folder / "demo" / "silicon.nnp")  # where the README looks
    small_potential(folder / "silicon.nnp")           # and the first page of the documentation
    run_page(path)


def test_what_is_not_printed_is_found():
    assert missing("epoch 1 2.5\n...\ntest RMSE -3e-4 meV", "epoch  7   11\nother\ntest RMSE 2.25 meV, more\n") is None
    assert missing("epoch 1\ntrain 2", "train 1\nepoch 1\n") == "train 2"  # in order
    assert missing("epochs 1", "epoch 1\n") == "epochs 1"


def test_a_block_that_fails_is_reported_with_its_line():
    with pytest.raises(ZeroDivisionError) as e:
        run_python("a = 1\na / 0\n", "page.md", 40, {})
    assert e.traceback[-1].lineno == 40 and str(e.traceback[-1].path).endswith("page.md")  # counted from 0
    with pytest.raises(AssertionError, match="not run by the tests"):
        run_console("$ rm -r out\n", "page.md", 1)
    with pytest.raises(AssertionError, match="does not print"):
        run_console("$ fastmd info\nnonsense\n", "page.md", 1)
    with pytest.raises(AssertionError, match="ends with 2"):
        run_console("$ fastmd tarin\n", "page.md", 1)


# ----------------------------------------------------------------------------------------------------- what is named

def command_lines(text):
    """The `fastmd ...` in a page or a help text: indented or in ```, after `$ `, or between backticks"""
    lines = re.findall(r"^(?: {4,}|\$ )(fastmd .*)$", text, re.M) + re.findall(r"`(fastmd [^`\n]+)`", text)
    return [re.split(r"\s{2,}", line)[0] for line in lines if not re.match(r"fastmd(?:-| [A-Z]|/)", line)]  # fastmd COMMAND stands for all


@pytest.fixture
def parse(monkeypatch):
    """A function that raises click's UsageError for a command or an option that is not there, a value of the wrong kind, too many or few arguments."""
    monkeypatch.setattr(click.Path, "convert", lambda self, value, parameter, context: value)  # files need not be there

    def parse(line):
        words = shlex.split(line, comments=True)[1:]
        words = words[:next((k for k, word in enumerate(words) if word in (">", "|")), None)]
        command = main if words[0].startswith("-") else main.get_command(click.Context(main), words[0])
        if command is None:
            raise click.UsageError(f"no command {words[0]}")
        if isinstance(command, click.Group) and command is not main and len(words) > 1:  # fastmd lammps build
            words = words[1:]
            command = command.get_command(click.Context(command), words[0])
            if command is None:
                raise click.UsageError(f"no command {line}")
        if command is main or len(words) > 1:  # `fastmd md` by itself is the command's name
            with contextlib.suppress(click.exceptions.Exit), contextlib.redirect_stdout(io.StringIO()):  # --help and --version
                command.make_context(words[0], words if command is main else words[1:])

    return parse


@page
def test_every_command_line_in_the_pages_parses(path, parse):
    for line in command_lines(path.read_text()):
        parse(line)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_line_in_the_help_parses(name, parse):
    command = importlib.import_module(f"fastmd.cli.{name}").command
    help = "\n".join(c.help for c in (command, *getattr(command, "commands", {}).values()))
    lines = command_lines("\n".join("    " + line.strip() for line in help.splitlines()))
    assert lines or name == "info"
    for line in lines:
        parse(line)


def test_command_lines_are_found_and_wrong_ones_refused(parse):
    text = "    fastmd inspect x.nnp     # what\n$ fastmd md a b\n`fastmd train` and `fastmd COMMAND --help`\n    fastmd/  dir\n"
    assert command_lines(text) == ["fastmd inspect x.nnp", "fastmd md a b", "fastmd train"]
    assert len(command_lines((ROOT / "README.md").read_text())) > 5
    for line in ("fastmd tarin x", "fastmd md a.nnp b.xyz --stpes 10", "fastmd md a.nnp b.xyz --steps ten", "fastmd md a.nnp", "fastmd info a b", "fastmd lammps bulid", "fastmd lammps run a --rank 2",
                 "fastmd --versoin"):
        with pytest.raises(click.UsageError):
            parse(line)


@page
def test_every_link_in_the_pages_leads_somewhere(path):
    for target in re.findall(r"!?\[[^\]]*\]\(([^)\s]+)\)", path.read_text()):
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            file = path.parent / file if file else path
            assert file.exists(), f"{path.name}: {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", file.read_text(), re.M)
                assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, f"{path.name}: {target}"


@page
def test_every_source_file_in_the_pages_is_there(path):
    files = [str(p) for folder in ("fastmd", "fastmd_ext", "tests", "bench", "examples", "docs") for p in (ROOT / folder).rglob("*")]
    files += map(str, ROOT.glob("*"))
    for name in re.findall(r"[\w./]+\.(?:py|hpp|cpp|h|pyx|md|toml)(?![.\w])", path.read_text()):
        assert any(file.endswith("/" + name.removeprefix("../")) for file in files), f"{path.name}: {name}"


def documented():
    """Dotted names that api.md asks autodoc for"""
    return re.findall(r"^\.\. auto\w+:: (\S+)$", (DOCS / "api.md").read_text(), re.M)


@pytest.mark.parametrize("name", fastmd.__all__)
def test_every_public_name_is_in_the_api_reference(name):
    assert f"fastmd.{name}" in documented()


@pytest.mark.parametrize("name", MODULES)
def test_the_modules_beside_the_public_names_are_in_the_api_reference(name):
    if name != "fastmd.sample":
        pytest.importorskip("torch")
    module, there = importlib.import_module(name), documented()
    assert any(d == name or d.startswith(name + ".") for d in there)
    for n in getattr(module, "__all__", ()):
        assert f"{name}.{n}" in there or (f"fastmd.{n}" in there and getattr(fastmd, n) is getattr(module, n))


def test_what_training_takes_is_in_the_api_reference():
    assert {"fastmd.train.loop.train", "fastmd.train.loop.Settings"} <= set(documented())


def test_the_header_is_included_and_is_the_one_that_is_installed():
    included, = re.findall(r"literalinclude\} (\S+\.h)$", (DOCS / "api.md").read_text(), re.M)
    assert (DOCS / included).read_bytes() == (Path(fastmd.__file__).parent / "include" / "fastmd.h").read_bytes()


# ----------------------------------------------------------------------------------------------------- the built pages

@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for name in ("sphinx", "myst_parser", "sphinx_click", "torch"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: the pages cannot be built (pip install 'fastmd[docs]')")
    out = tmp_path_factory.mktemp("site")
    built = subprocess.run([sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", out / "doctrees", DOCS, out / "html"],
                           capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert built.returncode == 0, built.stdout + built.stderr
    return out / "html"


def words(site, name):
    """The text of a built page"""
    text = (site / f"{name}.html").read_text()
    return html.unescape(re.sub(r"<[^>]+>", "", re.sub(r"<(script|style).*?</\1>", "", text, flags=re.S)))


def test_the_pages_build_without_a_warning_and_hold_what_they_should(site):
    api, commands = words(site, "api"), words(site, "commands")
    for name in fastmd.__all__:
        assert f"fastmd.{name}(" in api or f"fastmd.{name}¶" in api
    assert "FASTMD_API fastmd_pairs *fastmd_find_pairs" in api
    for name in COMMANDS:
        assert f"fastmd {name} [OPTIONS]" in commands
    assert "fastmd check train.extxyz --test test.extxyz" in commands  # two hyphens, not a dash


def test_docstrings_and_help_keep_their_columns(site):
    api, commands = words(site, "api"), words(site, "commands")
    assert "virial : (3, 3) eV, minus the derivative of the energy with respect to strain\n" in api
    assert re.search(r"fastmd check data\.extxyz --test test\.extxyz {2,}what looks wrong", commands)


def test_pictures_are_in_the_built_pages(site):
    for page in site.glob("*.html"):
        for source in re.findall(r'<img[^>]* src="([^"]+)"', page.read_text()):
            assert (site / source).is_file(), f"{page.name}: {source}"
