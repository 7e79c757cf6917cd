"""The compose file: its services start programs that exist, with options that they know."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "containers" / "compose.yaml"


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load(FILE.read_text())["services"])


@pytest.mark.parametrize("name", ["scheduler", "worker", "prefect"])
def test_a_service_starts_a_program_with_options_that_it_has(
    name: str, services: dict[str, dict[str, Any]]
) -> None:
    program, *words = services[name]["entrypoint"]
    told = subprocess.run(
        [str(Path(sys.executable).parent / program), *words, "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    options = [word for word in services[name]["command"] if word.startswith("--")]
    assert options
    for option in options:
        assert option in told


def test_every_service_runs_the_image_that_the_file_builds(
    services: dict[str, dict[str, Any]],
) -> None:
    built = services["scheduler"]
    assert (FILE.parent / built["build"]["context"] / built["build"]["dockerfile"]).is_file()
    assert {service["image"] for service in services.values()} == {built["image"]}


def test_the_addresses_in_the_commands_are_services_ports(
    services: dict[str, dict[str, Any]],
) -> None:
    scheduler = dict(zip(*[iter(services["scheduler"]["command"])] * 2, strict=True))
    address = f"tcp://scheduler:{scheduler['--port']}"
    assert services["worker"]["command"][0] == address
    assert f"--scheduler {address}" in FILE.read_text()
    prefect = dict(zip(*[iter(services["prefect"]["command"])] * 2, strict=True))
    url = services["affectstore"]["environment"]["PREFECT_API_URL"]
    assert url == f"http://prefect:{prefect['--port']}/api"
