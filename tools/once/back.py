"""The server's data folder put back to an earlier copy, under processes that go on."""

import asyncio
import os
import shutil
import time


async def put_back(server, world, journal, folder, every):
    """Each time: a copy with the server stopped, some seconds of work, and the copy back in place."""
    copy = os.path.join(folder, "copy")
    while True:
        await asyncio.sleep(every * 0.5)
        copied = time.monotonic()
        await whole(take(server, copy, journal))
        await asyncio.sleep(every * 0.5)
        await whole(restore(server, copy, copied, world, journal))


async def whole(step):
    """A step that is not left half done when the run ends."""
    task = asyncio.ensure_future(step)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def take(server, copy, journal):
    await stop(server)
    shutil.rmtree(copy, ignore_errors=True)
    await asyncio.to_thread(shutil.copytree, server.store, copy)
    server.start()
    await server.ready()
    journal.fault("copy", server.name)


async def restore(server, copy, copied, world, journal):
    line = {"copied": copied, "t0": time.monotonic(), "w0": time.time()}
    await stop(server)
    shutil.rmtree(server.store)
    await asyncio.to_thread(shutil.copytree, copy, server.store)
    world.forget()
    # From here on nothing may be answered from what is gone.
    line |= {"t1": time.monotonic(), "w1": time.time()}
    server.start()
    await server.ready()
    journal.write("back", **line)
    journal.fault("put-back", server.name)


async def stop(server):
    server.being_killed = True
    server.signal(15)
    await server.ended()
