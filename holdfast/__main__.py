"""`holdfast`, and `python -m holdfast`."""

import sys

from holdfast.cli import app, run
from holdfast.commands import (
    chain_cli,
    explain_cli,
    feed_cli,
    flip_cli,
    owner_cli,
    role_cli,
    rotate_cli,
    simulate_cli,
)

for group in (
    chain_cli,
    feed_cli,
    flip_cli,
    owner_cli,
    explain_cli,
    role_cli,
    rotate_cli,
    simulate_cli,
):
    group.add_to(app)


def main() -> None:
    """Run the command and exit with its code."""
    sys.exit(run())


if __name__ == "__main__":
    main()
