"""The demo: from made clips to features and pictures, by the same commands a person types."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from shlex import quote

from corpora.demo import make_demo
from flows.picture import clip_picture
from storage import FeatureStore

CORPUS = "demo"


def run(folder: Path) -> None:
    """Make clips, ingest, plan, extract, status; one PNG per clip."""
    started = time.perf_counter()
    media, root, pictures = folder / "media", folder / "store", folder / "pictures"
    say(f"six synthetic clips in {media}")
    make_demo(media)
    store = ["--store", str(root)]
    command("ingest", str(media), "--adapter", "demo", "--corpus", CORPUS, *store)
    command("plan", *store)
    command("extract", *store)
    command("status", *store)
    opened = FeatureStore.open(root, read_only=True)
    for clip in opened.clips(CORPUS)["clip"].to_pylist():
        say(str(clip_picture(opened, clip, CORPUS, pictures / f"{clip}.png")))
    say(f"done in {time.perf_counter() - started:.0f} s; look at the pictures above, then try:")
    say(f"  affectstore inspect --store {quote(str(root))} {clip}")


def command(*words: str) -> None:
    """Show a command, then run it as a person would."""
    say("$ affectstore " + " ".join(words))
    done = subprocess.run(
        [sys.executable, "-c", "from flows.cli import main; main()", *words], check=False
    )
    if done.returncode:
        sys.exit(done.returncode)


def say(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)


if __name__ == "__main__":
    run(Path(sys.argv[1] if len(sys.argv) > 1 else ".demo"))
