"""Secret streams without sockets, for tests."""

from swarm.secret_stream import SecretStream
from wire.keys import KeyPair

ALICE = KeyPair(b"a" * 32)
BOB = KeyPair(b"b" * 32)


def alice() -> SecretStream:
    """The initiator."""
    return SecretStream(ALICE, initiator=True, ephemeral_seed=b"e" * 32, header=b"h" * 24)


def bob() -> SecretStream:
    """The responder."""
    return SecretStream(BOB, initiator=False, ephemeral_seed=b"f" * 32, header=b"g" * 24)


def connect(initiator: SecretStream, responder: SecretStream) -> None:
    """Exchange all handshake and header messages."""
    responder.receive(initiator.start())
    initiator.receive(b"".join(responder.take_answers()))
    responder.receive(b"".join(initiator.take_answers()))
    initiator.receive(b"".join(responder.take_answers()))


def connected() -> tuple[SecretStream, SecretStream]:
    """Two ends that are ready for plaintext."""
    ends = alice(), bob()
    connect(*ends)
    return ends
