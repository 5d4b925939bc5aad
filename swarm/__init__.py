"""Noise-encrypted connections, protomux channels on them, and topics only listed keys can join.

The lower half speaks npm `@hyperswarm/secret-stream` and `protomux` over TCP, byte for byte:
`noise` (one handshake) → `secret_stream` (encrypted frames) → `protomux` (channels), all
without I/O; `session` drives them over one socket and `tcp` dials and listens. The upper half
is ours: `topic` and `service` keep a full mesh among listed members. Read `secret_stream` first.
"""
