"""Drives an orchestrator with PyPI's `livepeer-gateway`, a client that knows nothing of Framegate.

usage: live_client.py ORCHESTRATOR_URL CLIP COUNTED_S [PIPELINE]

Starts a live job with the package's default arguments (its second, header-only reader of the output
included), publishes the pictures of CLIP, and reads the result while doing so. Prints one JSON
line: pictures sent, pictures received of the first COUNTED_S seconds, sizes, and the last event.

Only the first seconds count because the package cancels its own upload when it is closed, and so
throws away what it still holds of the last segment: in one run of five, against any server.
"""

import asyncio
import json
import os
import sys
import traceback

import av
from livepeer_gateway.lv2v import StartJobRequest, start_lv2v
from livepeer_gateway.media_publish import MediaPublishConfig

PATIENCE_S = 90


async def publish(job, clip):
    """Sends the clip at the speed of its own clock, as a camera would."""
    media = job.start_media(MediaPublishConfig())
    sent = 0
    started = asyncio.get_running_loop().time()
    with av.open(clip) as container:
        first = None
        for frame in container.decode(video=0):
            first = frame.time if first is None else first
            due = started + frame.time - first
            await asyncio.sleep(max(0, due - asyncio.get_running_loop().time()))
            await media.write_frame(frame)
            sent += 1
    await media.close()
    return sent


async def receive(job, counted_s):
    """Reads decoded pictures until the output ends, and counts those of the first seconds."""
    seen, sizes, first = 0, set(), None
    async with job.media_output(start_seq=0) as output:
        async for picture in output.frames():
            if picture.kind != "video":
                continue
            first = picture.frame.time if first is None else first
            seen += picture.frame.time - first < counted_s
            sizes.add((picture.frame.width, picture.frame.height))
    return {"received": seen, "sizes": sorted(sizes)}


async def events(job):
    """Reads events until the channel ends and returns the last one."""
    last = None
    async for event in job.events():
        last = event
    return last


async def main(url, clip, counted_s, pipeline="sketch-video"):
    job = start_lv2v(url, StartJobRequest(model_id=pipeline, params={"shade": 0}))
    listening = asyncio.create_task(events(job))
    reading = asyncio.create_task(receive(job, float(counted_s)))
    sent = await publish(job, clip)
    result = await asyncio.wait_for(reading, PATIENCE_S)
    ended = await asyncio.wait_for(listening, PATIENCE_S)
    await job.close()
    print(json.dumps({"sent": sent, **result, "ended": ended}))


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    try:
        asyncio.run(main(*sys.argv[1:]))
    except Exception:
        # The package's threads would keep a failed run alive for ever.
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
