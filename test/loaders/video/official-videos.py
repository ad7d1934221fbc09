"""Prints the rows of official-videos.txt: what the official input pipeline (torchvision 0.14.1, PyAV 10.0.0) makes of each file named.

Decoders conceal damage differently on one thread and on several, so run it on one processor (taskset -c 0); the rows of damaged VP8 come
from a run on two, where the official code drops what its decoder passes over on one.
"""

import contextlib
import hashlib
import io
import os
import sys
import warnings

import av
from torchvision.datasets.video_utils import VideoClips

warnings.filterwarnings("ignore")
av.logging.set_level(av.logging.PANIC)


def short_hash(data):
    return hashlib.sha256(data).hexdigest()[:16]


def answers(path, frames, rate, step, most):
    """Hashes of the first clips' RGB bytes [frames, H, W, 3]; 'dropped' when there is none, 'fails' where an exception ends it."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        try:
            clips = VideoClips([path], frames, step, frame_rate=rate, num_workers=0)
        except Exception:
            return ["fails"]
        found = []
        for clip in range(min(most, clips.num_clips())):
            try:
                found.append(short_hash(clips.get_clip(clip)[0].numpy().tobytes()))
            except Exception:
                found.append("fails")
    return found or ["dropped"]


for path in sys.argv[1:]:
    with open(path, "rb") as file:
        row = [os.path.basename(path), short_hash(file.read())]
    row += [answers(path, frames, frames / 10, 1000, 1)[0] for frames in (4, 8, 16, 32, 64)]
    # six clips of four frames, each of which read_video seeks to
    row.append(",".join(answers(path, 4, 1.6, 3, 6)))
    print(*row, flush=True)
