"""The scenarios by name, for the command line: they themselves carry the whole chain along."""

SCENARIOS: dict[str, str] = {
    "lazy": "A fifth of the attestors visit nobody and say that nobody answered",
    "copycat": "A fifth of the attestors repeat what others commit to",
    "liar": "A tenth of the attestors claim visits, a fifth say that all was ten times as slow",
    "colluder": "A fifth of the attestors vouch for hosters who sign for what they do not have",
    "withholding": "A fifth of the attestors open no report that speaks against their hosters",
    "sybil": "A third of the attestors are one operator's, in one network, for its own hosters",
    "outsourcing": "A fifth of the hosters hold nothing and fetch from another when asked",
    "slow-drip": "A fifth of the hosters send a byte now and then",
    "selective": "A fifth of the hosters serve only whom they take for an attestor",
    "self-dealing": "An owner has a fifth of plans, hosters and attestors for itself",
    "erosion": "A fifth of the hosters have lost 1 % of each feed, a tenth sign for false chunks",
    "weather": "All are honest: 5 % of requests are lost, 10 % of the attestors are away",
}
"""What each one plays."""
