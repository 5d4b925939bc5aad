"""Keys for one use each, from one master seed."""

import itertools

from wire.keys import KeyPair, Use, derive

MASTER = bytes(range(32))


def test_every_use_and_context_has_a_key_of_its_own():
    contexts = [(), (b"",), (b"a",), (b"b",), (b"a", b"b"), (b"ab",), (b"", b"ab")]
    seeds = {
        derive(master, use, *context)
        for master, use, context in itertools.product((MASTER, bytes(32)), Use, contexts)
    }
    assert len(seeds) == 2 * len(Use) * len(contexts)


def test_derived_keys_stay_the_same_between_releases():
    # A change here locks every operator out of its accounts.
    assert {use.value: derive(MASTER, use).hex()[:16] for use in Use} == DERIVED
    assert derive(MASTER, Use.VISIT, b"challenge", b"contract").hex()[:16] == "9559e58f90c1e2bf"


DERIVED = {
    "account": "9c7ee602333e215d",
    "swarm": "041e4b84346d9573",
    "receipt": "caac007135898285",
    "vrf": "44237468e4c781d0",
    "validator": "996163ea3bfc7664",
    "cosigner": "5b1cd6410bf4ad75",
    "coin": "6ec46d6cb7b4926e",
    "visit": "ced00806ef338eee",
    "feed": "343704313d837d3f",
}


def test_a_key_pair_is_its_seeds():
    # RFC 8032 section 7.1, test 1.
    pair = KeyPair(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
    assert pair.public.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert pair.sign_raw(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555"
        "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    assert KeyPair.derive(MASTER, Use.ACCOUNT).seed == derive(MASTER, Use.ACCOUNT)


def test_a_key_pair_shows_no_secret():
    pair = KeyPair(MASTER)
    assert pair.public.hex()[:16] in repr(pair)
    for text in (repr(pair), str(pair), f"{pair}"):
        assert MASTER.hex()[:8] not in text
