"""Text of strangers, shown to people: one line, and nothing that a terminal obeys.

A node's refusals, hosts in the registry and names in feeds end up on a terminal or in a log.
"""


def one_line(text: str) -> str:
    """The text without control characters, line breaks and changes of direction."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
