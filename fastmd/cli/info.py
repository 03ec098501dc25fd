"""fastmd info"""

import platform

import click


@click.command("info")
def command():
    """What fastmd runs with here: version, instruction set, threads, Python and optional packages. (What is in a file: fastmd inspect.)"""
    from importlib.metadata import PackageNotFoundError, version

    from .. import __version__, _core

    def installed(package):
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed (pip install 'fastmd[train]')"

    rows = {"fastmd": __version__, "instruction set": f"{_core.isa()} (this CPU runs {', '.join(_core.isas())}; FASTMD_ISA chooses)",
            "threads": f"{_core.default_threads()} (FASTMD_THREADS chooses)", "python": platform.python_version(), **{p: installed(p) for p in ("torch", "matplotlib")}}
    for name, value in rows.items():
        click.echo(f"{name:16s} {value}")
