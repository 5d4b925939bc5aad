"""Where a peer listens."""

from typing import Annotated

from pydantic import Field

from wire.codec import Message
from wire.primitives import PublicKey

Host = Annotated[str, Field(min_length=1, max_length=253)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Endpoint(Message):
    """Where a peer listens and the Noise key that answers there."""

    host: Host
    port: Port
    swarm_key: PublicKey
