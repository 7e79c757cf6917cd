"""The typer application, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup, TyperOption

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


class _Commands(TyperGroup):
    """Lists commands in ``ORDER``; refuses an option that is given twice and has one value."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names, for help."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda n: ORDER.index(n) if n in ORDER else len(ORDER))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the words name, and what follows it."""
        name, command, rest = super().resolve_command(ctx, args)
        if not (command is None or isinstance(command, TyperGroup) or ctx.resilient_parsing):
            context = command.context_class(command, info_name=name, parent=ctx)
            given = command.make_parser(context).parse_args(list(rest))[2]
            for option in given:
                if not isinstance(option, TyperOption) or option.multiple or option.is_flag:
                    continue
                if given.count(option) > 1:
                    raise typer.BadParameter(
                        "given twice, and it has one value; several names go by commas: a,b",
                        ctx=context,
                        param=option,
                    )
        return name, command, rest


app = typer.Typer(
    name="affectstore",
    cls=_Commands,
    help="Turn a folder of videos into frame-aligned, versioned, shareable features.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _group(name: str, panel: str, words: str) -> typer.Typer:
    """Commands under one word, such as ``config show``."""
    made = typer.Typer(cls=_Commands, help=words, no_args_is_help=True)
    app.add_typer(made, name=name, rich_help_panel=panel)
    return made


features_app = _group("features", SETTINGS, "What can be extracted.")
weights_app = _group(
    "weights", SETTINGS, "Networks' weights: what is there, what is missing, adding them."
)
config_app = _group("config", SETTINGS, "The configuration that a store keeps.")
tracks_app = _group("tracks", SETTINGS, "Who is who in a clip, and who is its subject.")
import_app = _group("import", SETTINGS, "Take in what other programs made.")
recipes_app = _group("recipes", TRAINING, "The seed systems that can be trained.")


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
