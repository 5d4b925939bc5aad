"""What a quality is paid: at each edge of each band, one below it and one above."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chain.challenges.bands import MILLION, bands, pay_ppm, speed_ppm
from chain.genesis import Parameters

PARAMETERS = Parameters()

SCORES = [
    (1_000_000, 1_000_000),
    (999_999, 950_000),
    (990_001, 950_000),
    (990_000, 950_000),
    (989_999, 800_000),
    (950_001, 800_000),
    (950_000, 800_000),
    (949_999, 600_000),
    (900_001, 600_000),
    (900_000, 600_000),
    (899_999, 300_000),
    (500_001, 300_000),
    (500_000, 300_000),
    (499_999, 100_000),
    (1, 100_000),
    (0, 100_000),
]


@pytest.mark.parametrize(("score", "pay"), SCORES)
def test_a_score_is_paid_by_its_band(score, pay):
    assert pay_ppm(PARAMETERS.score_bands, score) == pay


SPEEDS = [
    (1_000_000, 1_000_000),
    (999_999, 800_000),
    (800_001, 800_000),
    (800_000, 800_000),
    (799_999, 500_000),
    (500_001, 500_000),
    (500_000, 500_000),
    (499_999, 250_000),
    (250_001, 250_000),
    (250_000, 250_000),
    (249_999, 0),
    (0, 0),
]


@pytest.mark.parametrize(("speed", "pay"), SPEEDS)
def test_a_speed_is_paid_by_its_band_and_below_the_last_not_at_all(speed, pay):
    assert pay_ppm(PARAMETERS.speed_bands, speed) == pay


AGREED = [
    # p95 and agreed latency, throughput and agreed throughput, speed
    (0, 50, 0, 0, MILLION),
    (50, 50, 1_000, 1_000, MILLION),
    (49, 50, 1_001, 1_000, MILLION),
    (51, 50, 1_000, 1_000, 980_392),
    (100, 50, 1_000, 1_000, 500_000),
    (10**15, 1, 1_000, 1_000, 0),
    (50, 50, 999, 1_000, 999_000),
    (50, 50, 0, 1, 0),
    (100, 50, 250, 1_000, 250_000),
    (200, 50, 500, 1_000, 250_000),
]


@pytest.mark.parametrize(("latency", "agreed", "rate", "agreed_rate", "speed"), AGREED)
def test_the_speed_is_the_worse_of_latency_and_throughput(
    latency, agreed, rate, agreed_rate, speed
):
    assert speed_ppm(latency, agreed, rate, agreed_rate) == speed


PPM = st.integers(0, MILLION)


@given(PPM, PPM)
def test_who_serves_worse_is_never_paid_more(one, other):
    for scale in (PARAMETERS.score_bands, PARAMETERS.speed_bands):
        worse, better = sorted((one, other))
        assert pay_ppm(scale, worse) <= pay_ppm(scale, better) <= MILLION


@pytest.mark.parametrize(
    "edges",
    [
        (),
        ((500_000, 1), (500_000, 0)),
        ((500_000, 1), (500_001, 0)),
        ((500_000, 1), (499_999, 2)),
        tuple((1_000 - each, 0) for each in range(17)),
    ],
)
def test_bands_that_make_no_sense_are_no_parameters(edges):
    with pytest.raises(ValidationError):
        Parameters.model_validate(dict(PARAMETERS) | {"score_bands": bands(*edges)})
