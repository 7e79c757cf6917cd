"""prefect.yaml names flows that exist, with parameters that they take."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import yaml

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


def test_the_image_copies_every_package() -> None:
    recipe = (ROOT / "containers" / "pipeline" / "Dockerfile").read_text()
    for package in ("flows", "features", "storage", "corpora", "trainers"):
        assert f"COPY {package} {package}" in recipe
