"""A longer wire: `python -m benchmarks.delay DELAY_MS LISTEN:TARGET ...` forwards with a delay.

What comes in on a port of this machine goes out to another one so many milliseconds later, in
both directions and in order. It stands in for `tc netem`, which needs privileges.
"""

import asyncio
import sys
from functools import partial

HOST = "127.0.0.1"


async def _forward(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float
) -> None:
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def write() -> None:
        while True:
            due, data = await queue.get()
            await asyncio.sleep(due - loop.time())
            if not data:
                writer.close()
                return
            writer.write(data)

    writing = asyncio.create_task(write())
    try:
        while data := await reader.read(1 << 18):
            queue.put_nowait((loop.time() + delay_s, data))
    except ConnectionError:
        pass
    queue.put_nowait((loop.time() + delay_s, b""))
    await writing


async def _accept(
    target: int, delay_s: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        there, back = await asyncio.open_connection(HOST, target)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_forward(reader, back, delay_s), _forward(there, writer, delay_s))


async def _main(delay_ms: float, routes: list[tuple[int, int]]) -> None:
    for listen, target in routes:
        accept = partial(_accept, target, delay_ms / 1000)
        await asyncio.start_server(accept, HOST, listen)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    pairs = [route.split(":") for route in sys.argv[2:]]
    asyncio.run(_main(float(sys.argv[1]), [(int(listen), int(target)) for listen, target in pairs]))
