"""fastmd config"""

import click


@click.command("config")
@click.option("--cflags", is_flag=True, help="Where fastmd.h is.")
@click.option("--libs", is_flag=True, help="Where libfastmd is, for the linker and for the program when it runs.")
def command(cflags, libs):
    """What a C or C++ compiler takes to build with fastmd.h and libfastmd, the C interface of this fastmd; both parts if none is asked for.

    \b
    Example:
      cc -std=c99 $(fastmd config --cflags) program.c $(fastmd config --libs) -o program
    What there is:
      fastmd config
    """
    import shlex
    from pathlib import Path

    home = Path(__file__).resolve().parents[1]
    words = []
    if cflags or not libs:
        words += [f"-I{home / 'include'}"]
    if libs or not cflags:
        words += [f"-L{home / 'lib'}", f"-Wl,-rpath,{home / 'lib'}", "-lfastmd"]
    click.echo(shlex.join(words))
