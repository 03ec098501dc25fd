"""The command line. One file per command; each is imported when it is asked for, so that `fastmd --help` is quick."""

import errno
import importlib
import warnings

import click

from .. import __version__

COMMANDS = ("info", "sample", "inspect", "check", "train", "committee", "evaluate", "validate", "md", "lammps", "convert", "config")  # in the order of --help


class _Commands(click.Group):
    """Finds a command in the file of its name. A ValueError is the user's to mend: its message, no traceback."""

    def list_commands(self, ctx):
        return COMMANDS

    def get_command(self, ctx, name):
        return importlib.import_module("." + name, __name__).command if name in COMMANDS else None

    def invoke(self, ctx):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", UserWarning)
                warnings.showwarning = lambda message, *_: click.echo(f"Warning: {message}", err=True)
                return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort):  # RuntimeErrors too, but no errors
            raise
        except (ValueError, RuntimeError) as e:
            raise click.ClickException(str(e)) from None
        except OSError as e:
            if e.errno == errno.EPIPE:  # the reader has seen enough: click's own business
                raise
            raise click.ClickException(f"{e.filename or 'output'}: {e.strerror}") from None
        except MemoryError:
            raise click.ClickException("not enough memory") from None
        except ImportError as e:
            if e.name in ("torch", "matplotlib"):
                raise click.ClickException(f"this command needs {e.name}: pip install 'fastmd[train]'") from None
            raise


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="fastmd")
def main():
    """Behler-Parrinello neural-network potentials, from reference data to molecular dynamics.

    \b
    The road:
      fastmd sample sw --crystal Si -T 300:2500          training data from molecular dynamics, sampled by force
      fastmd inspect data.extxyz                         what is in the data, or in a potential; which symmetry functions fit it
      fastmd check data.extxyz --test test.extxyz        what looks wrong in the data: units, signs, duplicates, leaks, outliers
      fastmd train data.extxyz -o si.nnp --report out    train; out/report.json and out/report.png say how good it is
      fastmd committee a.nnp b.nnp c.nnp -o si.nnp       several trainings as one potential that says where they disagree
      fastmd evaluate si.nnp test.extxyz                 errors on data it has not seen
      fastmd validate si.nnp --reference sw -o out       lattice, elasticity, g(r) and drift of the energy, beside a reference
      fastmd md si.nnp start.xyz -T 600 --steps 10000    molecular dynamics
      fastmd lammps run melt.in -n 2                     the same in LAMMPS, over MPI; or label data with LAMMPS's potentials
      fastmd convert n2p2-folder water.nnp               potentials and data from and to the files of RuNNer and n2p2
      fastmd config --cflags --libs                      for the compiler of a C or C++ program that uses fastmd.h
      fastmd info                                        version, instruction set, threads, optional packages; with a potential: how it is computed
    In Python:
      atoms.calc = fastmd.Calculator("si.nnp")           any ASE script runs with it

    Units: eV, angstrom, fs, kelvin. `fastmd COMMAND --help` explains each command.
    """
