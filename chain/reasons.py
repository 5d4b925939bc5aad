"""Why the ledger says no. Members are appended, never renamed: blocks carry them."""

from enum import StrEnum

from audit.evidence import Flaw
from wire.errors import Malformed


class Reason(StrEnum):
    """A rule that a transaction breaks."""

    # the envelope
    WRONG_NETWORK = "wrong_network"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_ACCOUNT = "unknown_account"
    NONCE_USED = "nonce_used"
    NONCE_AHEAD = "nonce_ahead"
    FEE_TOO_LOW = "fee_too_low"
    EXPIRED = "expired"
    VALID_TOO_LONG = "valid_too_long"
    UNEXPECTED_SIDECAR = "unexpected_sidecar"
    # money
    INSUFFICIENT_BALANCE = "insufficient_balance"
    INSUFFICIENT_STAKE = "insufficient_stake"
    STAKE_LOCKED = "stake_locked"
    # registry, feeds, plans
    KEY_TAKEN = "key_taken"
    UNKNOWN_FEED = "unknown_feed"
    FEED_EXISTS = "feed_exists"
    BAD_HEAD = "bad_head"
    HEAD_NOT_NEWER = "head_not_newer"
    NOT_THE_OWNER = "not_the_owner"
    TOO_MANY_SAMPLES = "too_many_samples"
    START_IN_PAST = "start_in_past"
    # contracts
    UNKNOWN_CONTRACT = "unknown_contract"
    NOT_THE_HOSTER = "not_the_hoster"
    CONTRACT_CLOSED = "contract_closed"
    STALE_HEAD = "stale_head"
    ALREADY_ACKNOWLEDGED = "already_acknowledged"
    # challenges
    UNKNOWN_CHALLENGE = "unknown_challenge"
    NOT_A_MEMBER = "not_a_member"
    WRONG_PHASE = "wrong_phase"
    WRONG_ATTEMPT = "wrong_attempt"
    BAD_SEAL = "bad_seal"
    BAD_OPENING = "bad_opening"
    ALREADY_COMMITTED = "already_committed"
    NOT_COMMITTED = "not_committed"
    COMMITMENT_MISMATCH = "commitment_mismatch"
    COIN_NOT_OPEN = "coin_not_open"
    ALREADY_OPENED = "already_opened"
    EVIDENCE_MISMATCH = "evidence_mismatch"
    BAD_PLAN_PROOF = "bad_plan_proof"
    ALREADY_VOTED = "already_voted"
    # added since: members are appended
    KEY_UNPROVEN = "key_unproven"
    NO_CONSENT = "no_consent"
    BEYOND_OFFER = "beyond_offer"
    UNKNOWN_PLAN = "unknown_plan"
    PLAN_CLOSED = "plan_closed"
    BAD_EVIDENCE = "bad_evidence"
    ALREADY_CONVICTED = "already_convicted"
    UNKNOWN_VALIDATOR = "unknown_validator"
    NOT_LISTED = "not_listed"
    BAD_REVEAL = "bad_reveal"
    ALREADY_REVEALED = "already_revealed"
    TOO_MANY_EPOCHS = "too_many_epochs"
    TOO_MANY_SPONSORS = "too_many_sponsors"
    TOP_UP_TOO_SMALL = "top_up_too_small"
    WRONG_STATUS = "wrong_status"
    NO_PAUSE_LEFT = "no_pause_left"
    NOT_REGISTERED = "not_registered"
    ALREADY_LEAVING = "already_leaving"
    KEY_RETIRED = "key_retired"
    NO_SUCH_REPORT = "no_such_report"
    UNKNOWN_REQUEST = "unknown_request"
    REQUEST_CLOSED = "request_closed"
    ALREADY_ASKED = "already_asked"
    ASKED_TOO_SOON = "asked_too_soon"
    TOO_MUCH_ASKED = "too_much_asked"
    NO_SUCH_CHUNK = "no_such_chunk"
    BAD_ANSWER = "bad_answer"
    ANNOUNCED_TOO_LATE = "announced_too_late"
    ABSENT_TOO_LONG = "absent_too_long"
    ABSENT_TOO_OFTEN = "absent_too_often"
    EXPIRES_TOO_SOON = "expires_too_soon"
    EVIDENCE_UNREADABLE = "evidence_unreadable"


def parse_reason(text: str) -> Reason | Flaw:
    """The reason of that name: of the ledger, or of the audit's rules that it applies."""
    for reasons in (Reason, Flaw):
        if text in {member.value for member in reasons}:
            return reasons(text)
    raise Malformed(f"the node gave an unknown reason: {text[:64]}")
