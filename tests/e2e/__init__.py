"""Real processes over loopback sockets."""
