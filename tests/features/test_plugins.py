"""Packages of other people add extractors and weights; a broken one stops nobody else's work."""

from __future__ import annotations

import logging

import pytest

from features.errors import RequestError, UnknownFeature
from features.registry import declaration_of, declarations, feature_specs, left_out
from features.weights import entry, registry
from features.weights import left_out as weights_left_out
from flows.pipeline import configure
from storage.records import Node
from tests.features.site_kit import Site, site, zeros

__all__ = ["site"]

WEIGHTS = """
from features.weights import Weights
MINE = [Weights(name={name!r}, files=("net.bin",), sha256s=(), source="s", licence="MIT",
                commercial=True, purpose="p")]
"""


def nodes() -> dict[str, Node]:
    return {node.feature: node for node in configure({}).nodes}


def only_reason() -> str:
    (one,) = left_out()
    assert "mfcc_mel" in nodes(), "others' work goes on"
    return str(one)


def test_an_extractor_is_found(site: Site) -> None:
    site.install("nice", zeros("nice"), extractors="nice = Zeros")
    assert "nice" in feature_specs()
    assert left_out() == ()


def test_one_that_makes_a_built_in_feature_takes_nothing_over(site: Site) -> None:
    site.install("taker", zeros("other", "mfcc_mel"), extractors="other = Zeros")
    assert declaration_of("mfcc_mel").cls.__module__ == "features.mfcc_mel"
    assert "feature mfcc_mel of affectstore, too" in only_reason()
    assert "package taker 2.1" in only_reason()


def test_one_with_a_built_in_extractors_name_takes_nothing_over(site: Site) -> None:
    site.install("taker", zeros("mfcc_mel", "mine"), extractors="other = Zeros")
    assert "extractor mfcc_mel of affectstore, too" in only_reason()
    with pytest.raises(UnknownFeature, match=r"package taker 2\.1 is left out"):
        declaration_of("mine")


def test_of_two_packages_with_one_feature_neither_is_used(site: Site) -> None:
    site.install("one-net", zeros("one", "shared"), extractors="one = Zeros")
    site.install("two-net", zeros("two", "shared"), extractors="two = Zeros")
    assert "shared" not in feature_specs()
    first, second = map(str, left_out())
    assert "package one-net 2.1 is left out" in first
    assert "package two-net 2.1" in first
    assert "package two-net 2.1 is left out" in second
    with pytest.raises(UnknownFeature, match="feature shared of entry point two"):
        declaration_of("shared")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import a_module_that_is_not_there", "can't be imported (ModuleNotFoundError: No module"),
        ("raise SystemExit('stop')", "can't be imported (SystemExit: stop)"),
        ("Zeros = 3", "it is no class with @extractor"),
        (zeros("a", more=", weights=('mynet',)"), "no weights are named 'mynet'"),
        (zeros("a", more=", inputs={'x': 'nothing'}"), "reads nothing, which no extractor"),
        (zeros("a", more=", inputs={'x': 'a'}"), "read each other in a circle (a)"),
        (zeros("a", "../../evil"), "a feature can't be named '../../evil'"),
        (zeros("a", "Upper"), "a feature can't be named 'Upper'"),
        (zeros("a.b"), "an extractor can't be named 'a.b'"),
        (zeros("a").replace('"video"', '"vidoe"'), "reads='vidoe' isn't one of video, audio"),
        (zeros("a", more=", scope='clips'"), "scope='clips' isn't one of frames, clip"),
        (zeros("a", more=", device='cuda'"), "device='cuda' isn't one of cpu, gpu"),
        (zeros("a").replace('rate="frame"', 'rate="frames"'), "there is no rate 'frames'"),
        (zeros("a").replace('rate="frame"', 'rate="segment", every=0'), "above 0"),
        (zeros("a") + "\n    x: int\nZeros.Params.__init__ = None", "its declaration fails"),
    ],
)
def test_a_broken_one_is_left_out_by_entry_point_and_package(
    site: Site, source: str, said: str
) -> None:
    site.install("broken-net", source, extractors="mine = Zeros")
    reason = only_reason()
    assert said in reason
    assert reason.startswith("entry point mine (broken_net:Zeros) of package broken-net 2.1 is")
    assert "uninstall" in reason


def test_it_is_said_once(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.install("broken-once", "import nothing_of_that_name", extractors="mine = Zeros")
    with caplog.at_level(logging.WARNING):
        declarations()
        declarations()
    assert sum("broken-once" in message for message in caplog.messages) == 1


def test_who_reads_from_one_that_is_left_out_is_left_out_too(site: Site) -> None:
    site.install("first-net", zeros("first", more=", weights=('lost',)"), extractors="a = Zeros")
    site.install(
        "second-net", zeros("second", more=", inputs={'x': 'first'}"), extractors="b = Zeros"
    )
    assert ["second-net" in str(one) for one in left_out()] == [False, True]
    assert "first" not in feature_specs()


def test_a_package_adds_weights_for_its_extractor(site: Site) -> None:
    source = zeros("mine", more=", weights=('my-net',)") + WEIGHTS.format(name="my-net")
    site.install("with-weights", source, extractors="mine = Zeros", weights="mine = MINE")
    assert left_out() == weights_left_out() == ()
    assert entry("my-net").licence == "MIT"
    assert nodes()["mine"].weights == {"my-net": "absent"}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (WEIGHTS.format(name="expnet"), "weights expnet are those of affectstore, too"),
        (WEIGHTS.format(name="../up"), "weights can't be named '../up'"),
        (WEIGHTS.format(name="a").replace("net.bin", "../b"), "files lie in its own folder"),
        ("MINE = 'expnet'", "it is no features.weights.Weights"),
    ],
)
def test_broken_weights_are_left_out(site: Site, source: str, said: str) -> None:
    site.install("odd-weights", source, weights="mine = MINE")
    (one,) = weights_left_out()
    assert said in str(one)
    assert "package odd-weights 2.1" in str(one)
    assert entry("expnet").purpose != "p"


def test_of_two_packages_with_weights_of_one_name_neither_is_used(site: Site) -> None:
    for package in ("net-a", "net-b"):
        site.install(package, WEIGHTS.format(name="shared-net"), weights="mine = MINE")
    assert "shared-net" not in registry()
    with pytest.raises(RequestError, match="no weights are named 'shared-net'"):
        entry("shared-net")
