"""The typer application, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import logging
import os
import sys

import typer

app = typer.Typer(
    name="affectstore",
    help="Turn a folder of videos into frame-aligned, versioned, shareable features.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
features_app = typer.Typer(help="What can be extracted.", no_args_is_help=True)
weights_app = typer.Typer(
    help="Networks' weights: what is there, what is missing, adding them.", no_args_is_help=True
)
config_app = typer.Typer(help="The configuration that a store keeps.", no_args_is_help=True)
tracks_app = typer.Typer(help="Who is who in a clip, and who is its subject.", no_args_is_help=True)
app.add_typer(features_app, name="features")
app.add_typer(weights_app, name="weights")
app.add_typer(config_app, name="config")
app.add_typer(tracks_app, name="tracks")


@app.callback()
def options(
    debug: bool = typer.Option(False, "--debug", help="Show the stack trace of an error."),
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
        else:
            typer.echo(
                f"affectstore: {type(error).__name__}: {error} "
                "(run again with affectstore --debug … for the trace)",
                err=True,
            )
        sys.exit(2)
