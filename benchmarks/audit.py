"""Reports on the chain: what judging takes beside its cryptography, how many, and their size.

`report_verify_vs_crypto` is for reports on one target, `report_of_16_vs_crypto` on sixteen, where
fewer proofs of VRFs count. `challenges_per_s_vs_150` is for ten reports on one target, as blocks
apply them: signature, decoding, every claim, the record, the settlement. `challenges_vs_crypto`
holds the same beside what its cryptography alone allows. All are of 30 chunks of feeds of 1,000.
Times are of the processor, so other load matters less, and all caches that outlive a challenge are
emptied before each.
"""

import gc
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache
from hashlib import blake2b, sha256
from time import process_time
from typing import Any
from unittest.mock import patch

from audit import plan
from audit.messages import Evidence
from audit.plan import plan_input
from benchmarks.audit_reports import CHALLENGE, COIN, NETWORK, Round, Scale, make_round
from benchmarks.figure import Figure, Wanted
from chain.bodies.challenges import OpenReport
from chain.challenges import judging, settlement
from chain.rules import open_report
from chain.state import Draft
from wire import signing, vrf
from wire.codec import decode

REPEATS = 15
"""A figure of time is the best of so many runs."""

HASHES = (
    "audit.plan.blake2b", "audit.entries.sha256", "feed.multiproof.blake2b", "feed.tree.blake2b",
    "wire.merkle.sha256",
    "wire.primitives.blake2b", "wire.prng.blake2b",
)  # fmt: skip
"""Where the judge takes its hashes from."""


def run(wanted: Wanted) -> list[Figure]:
    """The figures that are wanted, of all that are measured."""
    large, small = make_round(Scale(targets=16)), make_round(Scale(targets=1))
    gc.freeze()  # what was made here is no business of a collector that a node would run
    signed = max(large.reports, key=lambda report: report.size)
    challenges = cache(lambda: _challenges(small))
    measured: dict[str, Callable[[], Figure]] = {
        "report_verify_vs_crypto": lambda: _verify_vs_crypto("report_verify_vs_crypto", small, 0.6),
        "report_of_16_vs_crypto": lambda: _verify_vs_crypto("report_of_16_vs_crypto", large, 0.6),
        "challenges_per_s_vs_150": lambda: Figure(
            "challenges_per_s_vs_150", challenges()[0], "/s", "limit", 150, bar=1
        ),
        "challenges_vs_crypto": lambda: Figure(
            "challenges_vs_crypto", challenges()[0], "/s", "crypto alone", challenges()[1], bar=0.6
        ),
        "report_bytes_vs_300": lambda: Figure(
            "report_bytes_vs_300",
            signed.size - len(signed.sidecar),
            "bytes",
            "limit",
            300,
            bar=1,
            at_most=True,
        ),
    }
    return [make() for name, make in measured.items() if wanted(name)]


def _forget() -> None:
    """As a node that has not seen this challenge."""
    vrf.output.cache_clear()
    plan.forget()


def _judge_all(made: Round) -> None:
    for signed in made.reports:
        assert signed.is_signed()
        judging.judge_report(
            NETWORK,
            made.parameters,
            made.challenge,
            made.draw,
            signed.transaction.sender,
            signed.sidecar,
        )


def _verify_vs_crypto(name: str, made: Round, bar: float) -> Figure:
    judged, raw = _rates(lambda: _judge_all(made), _crypto_of(made), REPEATS)
    count = len(made.reports)
    return Figure(name, count * judged, "/s", "crypto alone", count * raw, bar=bar)


def _rates(work: Callable[[], None], crypto: Callable[[], None], repeats: int) -> Sequence[float]:
    """How often a second each can be done, the best of so many times, in turns."""
    best = [float("inf")] * 2
    for _ in range(repeats):
        for place, one in enumerate((work, crypto)):
            _forget()
            best[place] = min(best[place], _seconds(one))
    return [1 / seconds for seconds in best]


def _crypto_of(made: Round) -> Callable[[], None]:
    """The signature checks, VRF proofs and hashes of judging these reports, and nothing else."""
    noted = _Noted()
    _forget()
    with ExitStack() as patches:
        for name in HASHES:
            patches.enter_context(patch(name, noted.hashing(name)))
        patches.enter_context(patch.object(signing, "crypto_sign_open", noted.opening))
        _judge_all(made)
    keys = {drawn.account: drawn.vrf_key for drawn in made.draw.attestors}
    proofs = [
        (keys[signed.transaction.sender], decode(Evidence, signed.sidecar).plan_proof)
        for signed in made.reports
    ]
    alpha = plan_input(NETWORK, CHALLENGE, COIN)

    def work() -> None:
        noted.do_again()
        for public, proof in proofs:
            vrf.verify(public, alpha, proof)

    return work


class _Noted:
    """What was hashed and what was opened, to do it again and nothing else."""

    def __init__(self) -> None:
        self._hashed: dict[tuple[str, int, bytes], list[bytes]] = {}
        self._opened: list[tuple[bytes, bytes]] = []
        self._open = signing.crypto_sign_open

    def hashing(self, name: str) -> Callable[..., Any]:
        function = name.rsplit(".", 1)[1]
        real = {"sha256": sha256, "blake2b": blake2b}[function]

        def note(data: bytes = b"", digest_size: int = 32, **options: Any) -> Any:
            kind = function, digest_size, options.get("key", b"")
            self._hashed.setdefault(kind, []).append(data)
            if function == "blake2b":
                options["digest_size"] = digest_size
            return real(data, **options)

        return note

    def opening(self, message: bytes, key: bytes) -> bytes:
        self._opened.append((message, key))
        return self._open(message, key)

    def do_again(self) -> None:
        for message, key in self._opened:
            self._open(message, key)
        for (function, size, key), inputs in self._hashed.items():
            if function == "sha256":
                for data in inputs:
                    sha256(data).digest()
            else:
                for data in inputs:
                    blake2b(data, digest_size=size, key=key).digest()


def _challenges(made: Round) -> Sequence[float]:
    return _rates(lambda: _conclude(made), _crypto_of(made), 4 * REPEATS)


def _conclude(made: Round) -> None:
    """All reports of a challenge, and its verdicts."""
    draft = Draft(made.state)
    for signed in made.reports:
        assert signed.is_signed()
        transaction = signed.transaction
        assert isinstance(transaction.body, OpenReport)
        above = draft.draft()
        open_report.apply(above, made.block, transaction.sender, transaction.body, signed.sidecar)
        draft.merge(above)
    settlement.settle(draft, made.block, CHALLENGE, bytes(32))
    assert draft.challenges.at(CHALLENGE).status == "settled"


def _seconds(work: Callable[[], None]) -> float:
    began = process_time()
    work()
    return process_time() - began
