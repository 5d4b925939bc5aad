"""What the visits behind a feed's verdicts hint at, gathered from a node."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from audit.suspicion import OneStore, Relay, Timed, clusters, one_store, relays
from chain.challenge_records import ChallengeRecord, ReportRecord, VerdictRecord
from chain.client.light_client import ChainClient
from chain.records import Table


@dataclass(frozen=True, slots=True)
class Hints:
    """For people who choose hosters: the attestors' word, and no proof of anything."""

    visits: int
    """That brought chunks."""
    relays: list[Relay]
    pairs: list[OneStore]

    @property
    def clusters(self) -> list[tuple[bytes, ...]]:
        """Hosters that pairs link."""
        return clusters(self.pairs)


async def hints_of(chain: ChainClient, verdicts: Sequence[VerdictRecord]) -> Hints:
    """The hints in all visits that these verdicts are about, as far as the chain keeps them."""
    names = list(dict.fromkeys(verdict.challenge for verdict in verdicts))
    challenges = await chain.kept(ChallengeRecord, Table.CHALLENGE, names)
    keys = [each.challenge + member for each in challenges for member in each.opened]
    reports = await chain.kept(ReportRecord, Table.REPORT, keys)
    hosters = {(verdict.challenge, verdict.contract): verdict.hoster for verdict in verdicts}
    visits = [
        Timed(
            round=report.challenge,
            attestor=report.attestor,
            hoster=hosters[report.challenge, visit.contract],
            connect_us=visit.summary.connect_us,
            first_byte_us=visit.summary.first_byte_us,
        )
        for report in reports
        for visit in report.visits
        if visit.served and (report.challenge, visit.contract) in hosters
    ]
    failed: dict[bytes, dict[bytes, bool]] = defaultdict(dict)
    for verdict in verdicts:
        if verdict.verdict != "skipped":
            failed[verdict.challenge][verdict.hoster] = verdict.verdict != "served"
    return Hints(len(visits), relays(visits), one_store(visits, failed))
