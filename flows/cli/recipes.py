"""recipes, run-recipe, train, evaluate and predict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.app import TRAINING, app, recipes_app
from flows.cli.options import (
    At,
    Json,
    Store,
    count,
    err,
    fault,
    out,
    print_json,
    styled,
    table,
    warn,
)

if TYPE_CHECKING:
    from flows.recipe import Trained
    from trainers.loop import Progress
    from trainers.run import RunConfig

Name = Annotated[str, typer.Argument(help="A recipe; affectstore recipes list shows all.")]
InCorpus = Annotated[str, typer.Option("--corpus", "-c", help="The corpus to learn from.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="train.NAME=V, model.NAME=V or EXTRACTOR.PARAM=V; may be repeated."),
]
To = Annotated[
    Path | None,
    typer.Option("--to", help="The run's folder; default: runs/RECIPE-CORPUS-ID."),
]
OnDevice = Annotated[
    str | None, typer.Option("--device", help="auto, cpu or cuda; default: as it was trained.")
]
RunFolder = Annotated[Path, typer.Argument(help="The folder of a run.")]

#: more of them are a table
METRICS_IN_A_LINE = 6


@recipes_app.command("list")
def list_recipes(json: Json = False) -> None:
    """Show the recipes."""
    from trainers.errors import UnknownRecipe
    from trainers.listing import BUILT_IN, theirs

    found = [(name, listed.title, listed.source) for name, listed in BUILT_IN.items()]
    for name in sorted(theirs()):
        from trainers.recipe import recipe

        try:
            made = recipe(name)
        except UnknownRecipe as error:  # one broken package must not hide the others
            warn(str(error))
        else:
            found.append((made.name, made.title, made.source))
    if json:
        print_json([{"name": n, "title": title, "source": s} for n, title, s in found])
        return
    shown = table("recipe", "what", "source")
    for row in found:
        shown.add_row(*row)
    out.print(shown)


@recipes_app.command("show")
def show_recipe(name: Name, json: Json = False) -> None:
    """Show a recipe's settings and published figures."""
    from flows.recipe import described
    from trainers.recipe import recipe

    made = recipe(name)
    settings = described(made)
    if json:
        facts = {"name": made.name, "title": made.title, "source": made.source}
        print_json({**facts, "published": made.published, "settings": settings})
        return
    out.print(styled((made.name, "bold"), f": {made.title}"), soft_wrap=True)
    out.print(made.source, soft_wrap=True)
    for line in made.published:
        out.print(f"  published: {line}", soft_wrap=True)
    shown = table("setting", "default", "what")
    for row in settings:
        shown.add_row(*row)
    out.print(shown)


@app.command("run-recipe", rich_help_panel=TRAINING)
def run_recipe(
    name: Name,
    store: Store,
    corpus: InCorpus,
    set_: Settings = None,
    to: To = None,
    json: Json = False,
) -> None:
    """Extract what a recipe needs, train it, score it; again after a stop, it goes on."""
    from flows.cli.progress import console_progress
    from flows.recipe import extract_missing, make_config
    from flows.trainable import check_trainable

    config = make_config(name, store, corpus, set_ or [])
    _print_features(config, json)
    check_trainable(config)
    with console_progress(quiet=json) as extracting:
        summary = extract_missing(config, extracting)
    if summary is not None:
        err.print(summary.sentence(), soft_wrap=True)
        for failure in summary.failures[:5]:
            fault(f"{failure['clip']}: {failure['message']}")
        if summary.interrupted:
            raise typer.Exit(130)
    _train(config, to, json)


@app.command(rich_help_panel=TRAINING)
def train(
    name: Name,
    store: Store,
    corpus: InCorpus,
    set_: Settings = None,
    to: To = None,
    at: At = None,
    json: Json = False,
) -> None:
    """Train a recipe on features that are there; again after a stop, it goes on."""
    from flows.recipe import make_config

    config = make_config(name, store, corpus, set_ or [], at)
    _print_features(config, json)
    _train(config, to, json)


@app.command(rich_help_panel=TRAINING)
def evaluate(
    run: RunFolder,
    split: Annotated[str, typer.Option(help="The split to score.")] = "val",
    store: Annotated[str | None, typer.Option("--store", "-s", help="Another store.")] = None,
    corpus: Annotated[str | None, typer.Option("--corpus", "-c", help="Another corpus.")] = None,
    at: At = None,
    device: OnDevice = None,
    json: Json = False,
) -> None:
    """Score a trained run on a split."""
    from flows.cli.training import Notes
    from flows.trainable import naming_splits
    from trainers.results import otherwise_made
    from trainers.run import open_run

    notes = Notes()
    chosen = _on_device(device)
    made, context, _ = open_run(run, notes, store=store, corpus=corpus, at=at, settings=chosen)
    context.say(otherwise_made(context))
    with naming_splits(context, split):
        metrics = dict(made.evaluate(context, split))
    if json:
        facts = {"split": split, "corpus": context.corpus, "metrics": metrics}
        print_json(facts | {"notes": notes.lines})
        return
    _print_notes(notes.lines)
    _print_metrics(f"{made.name} on {context.corpus} {split}", metrics)


@app.command(rich_help_panel=TRAINING)
def predict(
    run: RunFolder,
    to: Annotated[
        Path,
        typer.Option(
            "--to", help="x.csv, or a folder: a text file per clip, as ABAW and EmotiW take them."
        ),
    ],
    split: Annotated[str | None, typer.Option(help="One split; default: all clips.")] = None,
    store: Annotated[str | None, typer.Option("--store", "-s", help="Another store.")] = None,
    corpus: Annotated[str | None, typer.Option("--corpus", "-c", help="Another corpus.")] = None,
    at: At = None,
    device: OnDevice = None,
    json: Json = False,
) -> None:
    """Write a trained run's predictions."""
    from flows.cli.training import Notes
    from flows.recipe import write_predictions
    from flows.trainable import naming_splits
    from trainers.results import otherwise_made
    from trainers.run import open_run

    told = Notes()
    chosen = _on_device(device)
    made, context, _ = open_run(run, told, store=store, corpus=corpus, at=at, settings=chosen)
    context.say(otherwise_made(context))
    with naming_splits(context, split):
        found = made.predict(context, split)
    notes = [*told.lines, *found.notes]
    files = write_predictions(found, to)
    if json:
        facts = {"to": str(to), "files": files, "rows": len(found.rows), "columns": found.columns}
        print_json(facts | {"notes": notes})
        return
    _print_notes(notes)
    out.print(
        f"{to}: {count(len(found.rows), 'row')} of {', '.join(found.columns)}", soft_wrap=True
    )


def _on_device(device: str | None) -> dict[str, dict[str, str]]:
    """The setting of a run that may differ from where it was trained."""
    return {} if device is None else {"train": {"device": device}}


def _print_notes(notes: Sequence[str]) -> None:
    for note in notes:
        err.print(note, soft_wrap=True)


def _print_features(config: RunConfig, quiet: bool) -> None:
    """Which features a run reads, which weights stand behind them, and what is trained on."""
    from features.weights import entry
    from flows.recipe import absent_weights, weights_behind

    if quiet:
        return
    for feature, weights in weights_behind(config).items():
        said = ", ".join(weights) or "no weights"
        err.print(styled("reads ", (feature, "bold"), f" ({said})"), soft_wrap=True)
    absent = absent_weights(config)
    for name in (n for n in config.pretrained if n not in absent):
        licence = entry(name).licence
        told = styled("starts from weights ", (name, "bold"), f" (licence: {licence})")
        err.print(told, soft_wrap=True)
    for name, remedy in absent.items():
        told = styled("starts from scratch, without weights ", (name, "bold"), f": {remedy}")
        err.print(told, soft_wrap=True)


def _print_metrics(what: str, metrics: Mapping[str, float]) -> None:
    """One line, or a table of what is too much for a line."""
    if len(metrics) <= METRICS_IN_A_LINE:
        line = ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())
        out.print(styled((what, "green"), f": {line}"), soft_wrap=True)
        return
    out.print(styled((what, "green"), ":"), soft_wrap=True)
    made = table("metric", "value", numbers=("value",))
    for name, value in metrics.items():
        made.add_row(name, f"{value:.3f}")
    out.print(made)


def _train(config: RunConfig, to: Path | None, json: bool) -> None:
    from flows.recipe import train as run

    with _training_progress(json) as progress:
        done = run(config, to, progress)
    _print_trained(config, done, json)


def _print_trained(config: RunConfig, done: Trained, json: bool) -> None:
    if json:
        print_json(
            {
                "folder": str(done.folder),
                "page": str(done.page),
                "features": config.features,
                "parameters": done.outcome.parameters,
                "metrics": dict(done.outcome.metrics),
                "notes": list(done.outcome.notes),
            }
        )
        return
    split = done.outcome.scored or done.context.settings.train.val_split
    _print_metrics(f"{config.recipe} on {config.corpus} {split}", done.outcome.metrics)
    out.print(f"results: {done.page}", soft_wrap=True)


@contextmanager
def _training_progress(quiet: bool) -> Iterator[Progress]:
    from flows.cli.training import Bars, Lines
    from trainers.loop import Progress

    if quiet:
        yield Progress()
    elif not err.is_terminal:
        yield Lines()
    else:
        with Bars() as bars:
            yield bars
