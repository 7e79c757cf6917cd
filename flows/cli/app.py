"""The typer application, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from features.freed_memory import keep_freed_memory

#: headings of the commands in --help
EVERYDAY = "From videos to features"
SETTINGS = "What is computed, from what"
VERSIONS = "Versions"
TRAINING = "Training"
UPKEEP = "Upkeep and sharing"
#: the order of a person's first day; what isn't named here comes last
ORDER = (
    *("demo", "ingest", "plan", "extract", "status", "failures", "retry"),
    *("inspect", "picture", "export"),
    *("features", "config", "weights", "tracks", "import"),
    *("recipes", "run-recipe", "train", "evaluate", "predict"),
    *("tag", "tags", "log", "diff"),
)


class _InOrder(TyperGroup):
    """Lists commands in ``ORDER``."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names, for help."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda n: ORDER.index(n) if n in ORDER else len(ORDER))


app = typer.Typer(
    name="affectstore",
    cls=_InOrder,
    help="Turn a folder of videos into frame-aligned, versioned, shareable features.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
features_app = typer.Typer(help="What can be extracted.", no_args_is_help=True)
weights_app = typer.Typer(
    help="Networks' weights: what is there, what is missing, adding them.", no_args_is_help=True
)
config_app = typer.Typer(help="The configuration that a store keeps.", no_args_is_help=True)
tracks_app = typer.Typer(help="Who is who in a clip, and who is its subject.", no_args_is_help=True)
app.add_typer(features_app, name="features", rich_help_panel=SETTINGS)
app.add_typer(weights_app, name="weights", rich_help_panel=SETTINGS)
app.add_typer(config_app, name="config", rich_help_panel=SETTINGS)
app.add_typer(tracks_app, name="tracks", rich_help_panel=SETTINGS)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"affectstore {version('affectstore')}")
        raise typer.Exit


@app.callback()
def options(
    debug: bool = typer.Option(False, "--debug", help="Show the stack trace of an error."),
    version: bool = typer.Option(
        False, "--version", help="Show the version and exit.", callback=_version, is_eager=True
    ),
) -> None:
    """affectstore: the feature pipeline and store for affect research."""
    if debug:
        os.environ["AFFECTSTORE_DEBUG"] = "1"
        logging.basicConfig(level=logging.WARNING)
        for name in ("flows", "features", "storage", "corpora", "trainers"):
            logging.getLogger(name).setLevel(logging.DEBUG)


def main() -> None:
    """Entry point of the console script; ends the process with the exit code."""
    import flows.cli.commands  # noqa: F401  registers the commands
    from flows.cli.options import speaks_unicode

    keep_freed_memory()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not speaks_unicode(stream):
            # a name that a locale can't show must not end a command
            stream.reconfigure(errors="backslashreplace")
    try:
        app(standalone_mode=True)
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        code = getattr(error, "code", None)
        if os.environ.get("AFFECTSTORE_DEBUG"):
            raise
        if isinstance(code, str):
            typer.echo(f"affectstore: {error}", err=True)
        elif isinstance(error, PermissionError):
            typer.echo(f"affectstore: {error}; check whose it is, or name another place", err=True)
        else:
            typer.echo(
                f"affectstore: {type(error).__name__}: {error} "
                "(run again with affectstore --debug … for the trace)",
                err=True,
            )
        sys.exit(2)
