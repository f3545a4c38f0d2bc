"""Windows of a talking head that overlap by two thirds: the mood can hardly have turned over."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from dcet.benchmarks.progress import Track
from dcet.benchmarks.room.replies import (
    Labels,
    Listener,
    Reply,
    Steadiness,
    compare_replies,
    count_labels,
)
from dcet.benchmarks.room.video import PICTURES_PER_S, Video, read_video
from dcet.runtime.arrays import SAMPLE_RATE_HZ

WINDOW_S, APART_S = 3, 1
SENSES = (("face",), ("audio",), ("audio", "face"))


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """All windows of all videos, given with some of their modalities."""

    modalities: tuple[str, ...]
    in_one_conversation: bool  # each video is one; otherwise each window is
    labels: Labels
    steadiness: Steadiness
    audio_weight: float  # mean


def measure_neighbours(
    listener: Listener, paths: Sequence[Path], lacking: Sequence[str], track: Track
) -> tuple[Neighbours, ...]:
    """Compare each window with the next: one row for each set of modalities that the bundle has.

    lacking: modalities that the bundle has no encoder for

    Raises UnusableMedia or MissingExtra.
    """
    conditions = [
        (senses, in_one)
        for senses in SENSES
        for in_one in (False, True)
        if not set(senses).intersection(lacking)
    ]
    replies: dict[tuple[tuple[str, ...], bool], list[list[Reply]]] = {}
    for path in track(paths, "videos"):
        video = read_video(path)
        for senses, in_one in conditions:
            replies.setdefault((senses, in_one), []).append(_hear(listener, video, senses, in_one))
    return tuple(
        _row(senses, in_one, of)
        for (senses, in_one), of in replies.items()
        if any(len(video) > 1 for video in of)
    )


def _row(
    senses: tuple[str, ...], in_one_conversation: bool, videos: Sequence[Sequence[Reply]]
) -> Neighbours:
    replies = [reply for video in videos for reply in video]
    return Neighbours(
        modalities=senses,
        in_one_conversation=in_one_conversation,
        labels=count_labels(replies),
        steadiness=compare_replies(both for video in videos for both in pairwise(video)),
        audio_weight=float(np.mean([reply.audio_weight for reply in replies])),
    )


def _hear(
    listener: Listener, video: Video, senses: Sequence[str], in_one_conversation: bool
) -> list[Reply]:
    replies = []
    for start_s in range(0, int(video.seconds) - WINDOW_S + 1, APART_S):
        end_s = start_s + WINDOW_S
        sound = video.sound[start_s * SAMPLE_RATE_HZ : end_s * SAMPLE_RATE_HZ]
        pictures = video.pictures[start_s * PICTURES_PER_S : end_s * PICTURES_PER_S]
        reply = listener.hear(
            sound if "audio" in senses else None,
            SAMPLE_RATE_HZ,
            pictures if "face" in senses else None,
            fresh=start_s == 0 or not in_one_conversation,
        )
        replies.append(reply)
    return replies
