"""`verify` and `explain` on a file, with no node, no home and no network."""

import json

import pytest

import holdfast.__main__  # noqa: F401 - hangs the commands into the application
from audit.suspicion import OneStore, Relay
from chain.trust import beginning
from holdfast.cli import run
from holdfast.pages.verdict_page import hint_lines, plain
from owner.hints_service import Hints
from tests.chain.bundles import audited, bundle_of
from tests.people import BY_ID, HOSTERS, OWNER
from wire.codec import encode
from wire.zbase32 import encode as key_text


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "none"))
    path = tmp_path / "report.holdfast"
    path.write_bytes(encode(bundle_of(audited())))
    return path


def said(capsys, *arguments):
    assert not run([str(argument) for argument in arguments])
    return capsys.readouterr().out


def refused(capsys, *arguments):
    assert run([str(argument) for argument in arguments])
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_verify_says_what_it_checked(file, capsys):
    text = said(capsys, "verify", file, "--network", audited().network.hex())
    for part in ("certificate of block", "VRF proof", "receipt", "state root", "valid: 4 of 4"):
        assert part in text
    assert "whole" in text
    found = json.loads(said(capsys, "verify", file, "--json"))
    assert found["checked"] == {
        "terms_followed": 0,
        "certificate_signatures": 1,
        "records_under_the_state_root": 20,
        "vrf_proofs": 8,
        "receipts": 16,
        "chunks": 44,
        "checkpoint": False,
    }
    assert all("lower_bound_ppm" in verdict for verdict in found["verdicts"])


def test_verify_takes_a_checkpoint_that_is_trusted(file, tmp_path, capsys):
    own = beginning(audited().genesis)
    good, forked, bad = (tmp_path / name for name in ("good", "forked", "bad"))
    good.write_bytes(encode(own))
    forked.write_bytes(encode(own.model_copy(update={"block": b"x" * 32})))
    bad.write_bytes(b"nothing")
    assert "through your checkpoint" in said(capsys, "verify", file, "--checkpoint", good)
    assert "broke their word" in refused(capsys, "verify", file, "--checkpoint", forked)
    assert "is no checkpoint" in refused(capsys, "verify", file, "--checkpoint", bad)
    assert "cannot read" in refused(capsys, "verify", file, "--checkpoint", tmp_path / "none")


def test_explain_tells_the_newest_challenge_of_a_file(file, capsys):
    text = said(capsys, "explain", "--bundle", file)
    assert "epoch 2" in text
    for part in ("fault", "receipt of the hoster's own", "loses its collateral of 301", "visit by"):
        assert part in text


def test_explain_tells_an_older_challenge_by_its_id(file, capsys):
    found = json.loads(said(capsys, "explain", "--bundle", file, "--json"))
    newest = found["challenge"]["challenge"]
    older = audited().draft.availability.at(audited().library.key).verdicts[0].hex()
    assert older != newest
    text = said(capsys, "explain", older, "--bundle", file)
    assert "epoch 1" in text
    assert "collateral" not in text


def test_explain_tells_one_hosters_and_one_attestors_part(file, capsys):
    world = audited()
    hoster, attestor = world.contracts[0].hoster, world.challenge.members[0]
    found = json.loads(
        said(
            capsys,
            *("explain", "--bundle", file, "--json"),
            *("--hoster", key_text(hoster), "--attestor", key_text(attestor)),
        )
    )
    assert [one["account"] for one in found["members"]] == [key_text(attestor)]
    (one,) = found["verdicts"]
    assert one["verdict"]["hoster"] == key_text(hoster)
    (visit,) = one["visits"]
    assert visit["attestor"] == key_text(attestor)
    plans = {p.contract: p for p in world.visit_plans(BY_ID[attestor])}
    contract = bytes.fromhex(one["verdict"]["contract"])
    assert visit["task"]["indices"] == list(plans[contract].indices)


def test_what_cannot_be_explained_is_told_in_one_line(file, tmp_path, capsys):
    nobody = key_text(OWNER.id)
    for arguments, why in (
        (("explain",), "say what to explain"),
        (("explain", "f" * 64, "--bundle", file), "does not show"),
        (("explain", "--bundle", file, "--hoster", nobody), "no verdict on that hoster"),
        (("explain", "--bundle", file, "--attestor", nobody), "not a member"),
        (("explain", "--bundle", tmp_path / "none"), "cannot read"),
        (("explain", "--bundle", file, "--network", "00"), "not of the one you trust"),
    ):
        assert why in refused(capsys, *arguments)


def test_hints_are_told_as_hints_and_as_json():
    one, other, third = (key.id for key in HOSTERS)
    alike = [OneStore(pair, 0, 0, 20, 0) for pair in ((one, other), (other, third))]
    hints = Hints(9, [Relay(one, 9, 9, 31_000)], alike)
    relay, group, word = hint_lines(hints)
    assert key_text(one) in relay
    assert "31.0 ms" in relay
    assert all(key_text(hoster) in group for hoster in (one, other, third))
    assert "nobody is paid or punished" in word
    assert list(hint_lines(Hints(9, [], []))) == []
    found = json.loads(json.dumps(plain(hints)))
    assert found["relays"][0]["hoster"] == key_text(one)
    assert found["pairs"][1]["hosters"] == [key_text(other), key_text(third)]
