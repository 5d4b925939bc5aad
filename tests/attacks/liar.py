"""A hoster that says of one session that it served more, under a number that it has signed before:
`python -m tests.attacks.liar --home HOME host run`.
"""

import sys
from typing import Any

import hoster.service
from holdfast.__main__ import main
from holdfast.commands import role_cli
from hoster.serving_service import Serving
from tests.attacks.mortal import stay


class Liar(Serving):
    """Signs twice for the same chunks."""

    def _sign(self) -> None:
        book: Any = self._book
        if not book.unsigned:
            return
        signed = book._signed
        super()._sign()
        book._signed, book._sequence = signed, book._sequence - 1
        book._account.bytes += 1_000
        super()._sign()


if __name__ == "__main__":
    hoster.service.Serving = Liar  # type: ignore[misc]
    role_cli.become = stay  # type: ignore[assignment]
    sys.exit(main())
