"""The members of a flip in their private topic: the transport of `session.py`."""

from hashlib import blake2b

from swarm.service import Topic


class Members:
    """Says each thing once: the topic itself gives all that was said to whoever connects later.

    A flip repeats itself at every stall. Its repetitions would fill the topic's bounded
    history and push out what a member that comes late still lacks.
    """

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        # As many as a member has different words, its own and others': a few for each member.
        self._said: set[bytes] = set()

    async def broadcast(self, data: bytes) -> None:
        """Send to every member, now or when it connects, unless it was sent before."""
        name = blake2b(data, digest_size=16).digest()
        if name not in self._said:
            self._said.add(name)
            self._topic.broadcast(data)

    async def receive(self) -> tuple[bytes, bytes]:
        """The next message, and the Noise key of the member that sent it."""
        return await self._topic.receive()
