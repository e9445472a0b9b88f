"""What a video looks like now and then, so that a still finds it, and videos that share scenes find one another.

Key frames alone are decoded: an encoder puts one where a scene begins. Of those, frames some seconds apart stay,
and such as show another scene than the one before; where they become too many, every other one goes and the rest
stand further apart. Each is told with its moment, and what `indexer.likeness` makes of it, or as a picture.

Source: FFmpeg, libavformat and libavcodec, through PyAV; the options skip_frame, max_pixels, format_whitelist.
Limits: of several video streams the first counts; scenes without a key frame of their own are not seen, nor what
lies beyond `MOST_BYTES` of the stream; frames of one colour have no likeness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

from indexer.errors import EvidenceError
from indexer.likeness import WORKING, vectors

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = 1
"""Rises when the same video gives other bytes."""
MOST = 120
"""Frames of one video that stay."""
APART = 2_000
"""Milliseconds between frames of one scene, at first."""
MOST_PIXELS = 1 << 26
"""Of one frame; those of 8K have half of it."""
MOST_BYTES = 4 << 30
"""Of packets that are gone through."""
_SELDOM = 400
"""Milliseconds between frames that are decoded at all, where every frame is a key frame."""
_MOST_DECODED = 1_000
_BAD_PACKETS = 50
"""One behind the other, after which the rest is given up."""
_CUT = 24
"""Mean difference of grey values in frames of two scenes."""
_GLANCE = 16
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,asf,mpeg,mpegvideo,mpegts,ogg,rm,mxf,dv,ivf,h264,hevc,m4v,swf,nut"
)
"""What may be read: nothing that names other files, such as a playlist."""
_SHOWN = 1600
"""Pixels of the longer side of a still."""


class NoFilmError(EvidenceError):
    """There is sound, or something else, but no picture that moves."""


class _Nameless:
    """The file without its name, which must not tell what it is."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell


def footage(file: BinaryIO) -> bytes:
    """Width and height, two bytes each; for each moment its milliseconds in four bytes, and what was seen.

    Raises:
        EvidenceError: it is no video of which a frame can be decoded.
    """
    size, chosen = _scenes(file, MOST, _small)
    seen = ((moment, vectors(grey)) for moment, grey in chosen)
    told = b"".join(moment.to_bytes(4, "little") + body for moment, body in seen if body)
    return b"".join(min(side, 65_535).to_bytes(2, "little") for side in size) + told


def stills(file: BinaryIO, most: int) -> list[tuple[int, Image]]:
    """The milliseconds and the picture, in RGB and upright, of up to `most` moments.

    Raises:
        NoFilmError: there is no video in it.
        EvidenceError: it is no video of which a frame can be decoded.
    """
    return _scenes(file, most, _shown)[1]


def _scenes(file: BinaryIO, most: int, show: Callable[[Any], Image]) -> tuple[tuple[int, int], list[tuple[int, Image]]]:
    """Width and height, and the moments that stay with what `show` makes of their frames."""
    chosen: list[tuple[int, Image]] = []
    glance = b""
    apart = APART
    width = height = 0
    for moment, frame in _key_frames(file):
        width, height, shown = frame.width, frame.height, show(frame)
        before, glance = glance, shown.resize((_GLANCE, _GLANCE)).convert("L").tobytes()
        if chosen and moment - chosen[-1][0] < apart and not _is_cut(before, glance):
            continue
        chosen.append((moment, shown))
        if len(chosen) > most:
            chosen = chosen[::2]
            apart *= 2
    if not chosen:
        raise EvidenceError("unsupported", "cannot be looked at: no frame of it can be decoded")
    return (width, height), chosen


def _is_cut(one: bytes, other: bytes) -> bool:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) > _CUT * len(one)


def _key_frames(file: BinaryIO) -> Iterator[tuple[int, Any]]:
    """Milliseconds from the beginning, and the frame."""
    try:
        import av
    except ImportError as error:
        raise EvidenceError("missing-library", "looking at videos needs PyAV: pip install archivore[video]") from error
    file.seek(0)
    only = {"format_whitelist": _FORMATS, "protocol_whitelist": "none", "max_streams": "100"}
    # From version 19 on, what is said in another encoding is no error.
    lenient: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
    try:
        with av.open(_Nameless(file), container_options=only, io_open=_refuse, **lenient) as container:
            if not container.streams.video:
                raise NoFilmError("unsupported", "cannot be looked at: no video stream that is known")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise EvidenceError("unsupported", "cannot be looked at: the codec is not known")
            stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
            stream.codec_context.thread_count = 1
            stream.codec_context.skip_frame = "NONKEY"
            yield from _decoded(container, stream)
    except (av.FFmpegError, ValueError, OSError, OverflowError, ArithmeticError) as error:
        raise EvidenceError("unsupported", f"cannot be looked at: {error}") from error


def _refuse(url: str, flags: int, options: dict[str, str]) -> BinaryIO:
    raise PermissionError("a video opens no other file")


def _decoded(container: Any, stream: Any) -> Iterator[tuple[int, Any]]:
    import av

    seldom = max(_SELDOM, (container.duration or 0) // 1000 // _MOST_DECODED)
    due = read = bad = decoded = 0
    first: Fraction | None = None
    try:
        for packet in container.demux(stream):
            read += packet.size
            if read > MOST_BYTES or bad > _BAD_PACKETS or decoded > 2 * _MOST_DECODED:
                break
            if packet.size and not packet.is_keyframe:
                continue
            at = packet.pts if packet.pts is not None else packet.dts
            base = packet.time_base or Fraction(0)
            if packet.size and at is not None:
                first = at * base if first is None else first
                if 0 < int((at * base - first) * 1000) < due:
                    continue
            try:
                frames = packet.decode()
            except av.FFmpegError:
                bad += 1
                continue
            bad = 0
            for frame in frames:
                decoded += 1
                told = frame.pts * frame.time_base - (first or 0) if frame.pts is not None and frame.time_base else 0
                moment = min(max(0, int(told * 1000)), (1 << 32) - 1)
                due = moment + seldom
                yield moment, frame
    except av.FFmpegError:
        return  # what was seen before the damage counts


def _shown(frame: Any) -> Image:
    scale = min(1.0, _SHOWN / max(frame.width, frame.height))
    width, height = (max(1, round(side * scale)) for side in (frame.width, frame.height))
    picture: Image = frame.reformat(width=width, height=height, format="rgb24").to_image()
    return picture.rotate(frame.rotation, expand=True) if frame.rotation % 360 in (90, 180, 270) else picture


def _small(frame: Any) -> Image:
    from PIL import Image

    grey = frame.reformat(width=WORKING, height=WORKING, format="gray", interpolation="AREA")
    plane = grey.planes[0]
    small = Image.frombytes("L", (WORKING, WORKING), bytes(plane), "raw", "L", plane.line_size, 1)
    return small.rotate(frame.rotation) if frame.rotation % 360 in (90, 180, 270) else small
