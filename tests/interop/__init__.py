"""The real npm Hypercore at the other end of a real socket."""
