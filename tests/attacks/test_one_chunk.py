"""Row 35: one chunk of very many is thrown away. Samples rarely show it; nothing claims they do."""

import pytest

import holdfast.__main__  # noqa: F401 - hangs the commands into the application
from audit.confidence import MILLION, detection_ppm, lower_bound_ppm
from chain.bundle import check_bundle
from holdfast.cli import run
from tests.chain.bundles import audited, bundle_of
from tests.chain.challenges.test_settlement import verdicts
from tests.stages import settled
from wire.codec import encode

CLAIMS = ("intact", "complete", "all chunks are", "nothing is lost", "lossless")


def test_a_perfect_score_claims_neither_all_chunks_nor_certainty():
    for verdict in verdicts(settled()):
        assert verdict.score_ppm == MILLION
        assert verdict.lower_bound_ppm < MILLION
        assert verdict.detection_ppm == detection_ppm(40, 12) == 300_000


@pytest.mark.parametrize("samples", [1, 30, 300, 4_096, 10**6])
def test_no_number_of_samples_makes_a_share_certain(samples):
    assert lower_bound_ppm(samples, 0) < MILLION


@pytest.mark.parametrize(("length", "asked"), [(1_000, 300), (1_000, 990), (1 << 20, 300)])
def test_power_is_certain_only_where_a_loss_must_show(length, asked):
    assert detection_ppm(length, asked) < MILLION


def test_no_report_says_that_a_feed_is_whole(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "none"))
    file = tmp_path / "report.holdfast"
    file.write_bytes(encode(bundle_of(audited())))
    for command in (["verify", str(file)], ["explain", "--bundle", str(file)]):
        assert not run(command)
        text = " ".join(capsys.readouterr().out.split())
        assert "What no figure here says: that a feed is whole." in text
        assert "erasure coding" in text
        assert "on its own disk" in text
        assert not [claim for claim in CLAIMS if claim in text.lower()]


def test_the_power_in_a_file_is_checked_like_all_else():
    for verdict in check_bundle(bundle_of(audited())).verdicts:
        assert verdict.detection_ppm == detection_ppm(40, verdict.distinct)
