"""Verdicts, and the story of a challenge, for people."""

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from rich.table import Table as Grid

from chain.challenge_records import VerdictRecord
from chain.challenges.explaining import MEANINGS, Story, VerdictStory, VisitStory
from chain.hosting_records import DataRequest
from holdfast.output import bytes_text, ppm_text, time_text
from owner.hints_service import Hints
from wire.codec import Message
from wire.zbase32 import encode

COLOURS = {"served": "green", "fault": "red", "unproven": "yellow", "skipped": "dim"}

UNKNOWN = (
    "What no figure here says: that a feed is whole. *Least* is the share of chunks that is "
    "served at least, with 95 % confidence; *power* is the chance that a loss of 1 % of the "
    "chunks would have shown. The loss of a single chunk of many rarely does: only erasure coding "
    "by the owner helps there. Nor is it shown that a hoster keeps the chunks on its own disk."
)

KEYS = ("account", "attestor", "hoster", "hosters")

SHOWN_CHUNKS = 12
"""Of a visit, for people; --json has all."""


def short(account: bytes) -> str:
    """An account as people tell it from others."""
    return encode(account)[:12] + "…"


def verdict_table(verdicts: Iterable[VerdictRecord]) -> Grid:
    """Verdicts, one a line."""
    grid = Grid(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    left = ("hoster", "verdict")
    for column in (
        *("epoch", "hoster", "verdict", "score", "least", "power", "proven"),
        *("p95", "per s", "paid"),
    ):
        grid.add_column(column, justify="left" if column in left else "right", overflow="fold")
    for verdict in verdicts:
        shares = (verdict.score_ppm, verdict.lower_bound_ppm, verdict.detection_ppm)
        grid.add_row(
            str(verdict.epoch),
            encode(verdict.hoster)[:8] + "…",
            f"[{COLOURS[verdict.verdict]}]{verdict.verdict}[/]",
            *(ppm_text(share).removesuffix(" %") for share in shares),
            f"{verdict.samples - verdict.missing}/{verdict.samples}",
            time_text(verdict.latency_p95_us),
            bytes_text(verdict.throughput_bytes_per_s),
            str(verdict.paid_base),
        )
    return grid


def story_lines(story: Story) -> Iterator[str]:
    """A whole challenge, line by line."""
    challenge = story.challenge
    yield f"challenge {challenge.challenge.hex()}, epoch {challenge.epoch}: {challenge.status}"
    yield (
        f"drawn at height {challenge.drawn_height}, visits from {challenge.window_start} to "
        f"{challenge.window_end}, attempt {challenge.attempt} of its coin flip"
    )
    yield "members"
    for member in story.members:
        yield f"  {short(member.account)}  {member.conduct}, paid {member.paid_base} in all"
    for verdict in story.verdicts:
        yield ""
        yield from verdict_lines(verdict)


def verdict_lines(story: VerdictStory) -> Iterator[str]:
    """One target: the visits, what they come to, and each coin."""
    verdict = story.verdict
    colour = COLOURS[verdict.verdict]
    yield f"hoster {encode(verdict.hoster)}: [{colour}]{verdict.verdict}[/]"
    yield f"  contract {verdict.contract.hex()}, feed {encode(verdict.feed)}"
    for visit in story.visits:
        yield from _visit_lines(visit)
    yield f"  why {verdict.verdict}: {_because(story)}"
    yield (
        f"  {verdict.samples - verdict.missing} of {verdict.samples} requests proven: "
        f"{ppm_text(verdict.lower_bound_ppm)} at least are served (95 % confidence); "
        f"{verdict.distinct} different chunks: a loss of 1 % would show with "
        f"{ppm_text(verdict.detection_ppm)}"
    )
    yield from (f"  {line}" for line in _pay_lines(story))
    if story.warning is not None:
        chunks = ", ".join(map(str, story.warning.chunks))
        yield f"  the chain then asked for chunks {chunks}: {_warning(story.warning)}"


def _warning(request: DataRequest) -> str:
    match request.status:
        case "answered":
            return "all were shown"
        case "unanswered":
            return "not shown in time, so the hoster lost its collateral and the contract"
        case "void":
            return "the contract ended meanwhile"
        case _:
            return f"due by height {request.deadline}" if request.deadline else "due soon"


def _visit_lines(visit: VisitStory) -> Iterator[str]:
    summary = visit.judged.summary
    outcome = summary.outcome
    yield (
        f"  visit by {short(visit.attestor)}: {outcome.name.lower()} ({int(outcome)}), "
        f"{summary.served} of {summary.planned} chunks; {MEANINGS[outcome]}; fault of: "
        f"{visit.blame}; paid {visit.paid_base}"
        + (f", and {visit.rewarded_base} of the collateral" if visit.rewarded_base else "")
    )
    if visit.task is not None:
        chunks = visit.task.indices
        more = f" and {len(chunks) - SHOWN_CHUNKS} more" if len(chunks) > SHOWN_CHUNKS else ""
        yield (
            f"    planned at {ppm_text(visit.task.join_ppm)} of the window, chunks "
            f"{', '.join(map(str, chunks[:SHOWN_CHUNKS]))}{more}"
        )
    else:
        yield "    its evidence is not at hand, so neither are its plan's time and chunks"
    if visit.judged.unproven:
        yield f"    not proven: {', '.join(map(str, visit.judged.unproven))}"
    if summary.served:
        yield (
            f"    connected in {time_text(summary.connect_us)}, first chunk after "
            f"{time_text(summary.first_byte_us)}, p95 {time_text(summary.latency_p95_us)}, "
            f"{bytes_text(summary.throughput_bytes_per_s)}/s"
        )


def _because(story: VerdictStory) -> str:
    verdict, sla = story.verdict, story.plan.sla
    proving = sum(visit.judged.served > 0 for visit in story.visits if not visit.judged.skipped)
    match verdict.verdict:
        case "fault":
            return (
                "a receipt of the hoster's own is for bytes that are not the feed's; one is enough"
            )
        case "skipped":
            return f"{verdict.reports} visits count, not more than half of the committee"
        case "served":
            return (
                f"more than two thirds of {verdict.reports} visits each prove "
                f"{ppm_text(sla.availability_ppm)} of their chunks or more"
            )
        case "unproven":
            return (
                f"{proving} of {verdict.reports} visits prove anything; more than two thirds had "
                f"to prove {ppm_text(sla.availability_ppm)} of their chunks"
            )


def _pay_lines(story: VerdictStory) -> Iterator[str]:
    verdict, price = story.verdict, story.plan.price_base
    if not verdict.epoch_used:
        reason = (
            "nothing is concluded" if verdict.verdict == "skipped" else "the contract had ended"
        )
        yield f"pay: none, and no epoch is used up, for {reason}"
        return
    if verdict.verdict == "served":
        yield (
            f"hoster: {verdict.paid_base} = {story.full_base} * {ppm_text(story.score_pay_ppm)} "
            f"for a score of {ppm_text(verdict.score_ppm)} * {ppm_text(story.speed_pay_ppm)} for "
            f"{ppm_text(story.speed_ppm)} of the agreed speed"
        )
    else:
        yield f"hoster: 0 of {story.full_base}, for only *served* is paid"
    if story.slashed_base:
        rewards = sum(visit.rewarded_base for visit in story.visits)
        yield (
            f"hoster: loses its collateral of {story.slashed_base}; {rewards} to who proved it, "
            "the rest is burnt"
        )
    attestors = sum(visit.paid_base for visit in story.visits)
    yield (
        f"of the price of {price}: {verdict.paid_base} to the hoster, {attestors} to attestors, "
        f"{story.validator_base} to the block's writer, {story.kept_base} stays in escrow"
    )


def hint_lines(hints: Hints) -> Iterator[str]:
    """What visits hint at, or that they hint at nothing."""
    for relay in hints.relays:
        yield (
            f"[yellow]hint[/]: {encode(relay.hoster)} may fetch elsewhere what it is asked for: in "
            f"{relay.slow} of {relay.visits} visits the first chunk took longer than its line and "
            f"the other hosters explain, {time_text(relay.extra_us)} in the median"
        )
    for group in hints.clusters:
        yield (
            "[yellow]hint[/]: these may be one store, or stand in one place, for they are reached "
            f"alike or fail together: {', '.join(map(encode, group))}"
        )
    if hints.relays or hints.clusters:
        yield "hints are the attestors' word; nobody is paid or punished by them"


def plain(value: Any, name: str = "") -> Any:
    """Dataclasses and records as JSON: keys in z-base-32, other bytes in hexadecimal."""
    if isinstance(value, Message):
        return value.model_dump(mode="json")
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name), each.name) for each in fields(value)}
    if isinstance(value, tuple | list):
        return [plain(each, name) for each in value]
    if isinstance(value, bytes):
        return encode(value) if name in KEYS else value.hex()
    return value
