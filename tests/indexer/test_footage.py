"""What videos look like: key frames some seconds apart and at cuts, never more than so many, whatever the file says."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from indexer import footage as module
from indexer.errors import EvidenceError
from indexer.footage import MOST, footage
from indexer.likeness import CROPS, SIZE, likeness
from search.engine.signatures import Pictures

av = pytest.importorskip("av")
FRAME = 4 + SIZE * len(CROPS)


def scene(seed: int) -> Image.Image:
    chooser = random.Random(seed)
    picture = Image.new("RGB", (320, 192), tuple(chooser.randrange(256) for _ in range(3)))
    pen = ImageDraw.Draw(picture)
    for _ in range(14):
        x, y = chooser.randrange(320), chooser.randrange(192)
        box = (x - chooser.randrange(10, 80), y - chooser.randrange(10, 60), x + 40, y + 30)
        pen.ellipse(box, fill=tuple(chooser.randrange(256) for _ in range(3)))
    return picture


def film(
    frames: Iterable[Image.Image],
    kind: str = "mp4",
    codec: str = "mpeg4",
    *,
    rate: int = 5,
    every: int = 5,
    size: tuple[int, int] = (320, 192),
) -> bytes:
    """A video of these frames, with a key frame every so many."""
    body = io.BytesIO()
    with av.open(body, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.codec_context.gop_size = every
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.bit_rate = 2_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())
    return body.getvalue()


def moments(body: bytes) -> list[int]:
    return [int.from_bytes(body[at : at + 4], "little") for at in range(4, len(body), FRAME)]


def shown(*scenes: int, frames: int = 15) -> list[Image.Image]:
    return [picture for seed in scenes for picture in [scene(seed)] * frames]


@pytest.mark.parametrize(
    ("kind", "codec"),
    [("mp4", "mpeg4"), ("matroska", "mpeg4"), ("avi", "mjpeg"), ("mpegts", "mpeg2video"), ("flv", "flv")],
)
def test_every_scene_is_seen_in_every_container(kind: str, codec: str) -> None:
    rate = 25 if codec == "mpeg2video" else 5
    told = footage(io.BytesIO(film(shown(1, 2, 3, frames=3 * rate), kind, codec, rate=rate, every=rate)))
    assert told[:4] == (320).to_bytes(2, "little") + (192).to_bytes(2, "little")
    kept = Pictures(told[at + 4 : at + FRAME] for at in range(4, len(told), FRAME))
    for seed, second in ((1, 0), (2, 3), (3, 6)):
        shares = kept.like(likeness(io.BytesIO(png(scene(seed))))[4:])
        assert shares.max() > 0.95
        assert abs(moments(told)[int(shares.argmax())] - 1000 * second) <= 2500
    assert kept.like(likeness(io.BytesIO(png(scene(9))))[4:]).max() < 0.9


def png(picture: Image.Image) -> bytes:
    body = io.BytesIO()
    picture.save(body, "PNG")
    return body.getvalue()


def test_moments_are_some_seconds_apart_but_a_cut_is_seen_at_once() -> None:
    assert moments(footage(io.BytesIO(film(shown(1, frames=50))))) == [0, 2000, 4000, 6000, 8000]
    assert moments(footage(io.BytesIO(film(shown(1, 2, frames=5))))) == [0, 1000]


def test_a_long_video_has_no_more_moments_than_another() -> None:
    frames = shown(*range(6), frames=1) * 60
    body = film(frames, rate=1, every=1)
    told = moments(footage(io.BytesIO(body)))
    assert MOST // 2 <= len(told) <= MOST
    assert told[-1] > 350_000 - 10_000


def test_the_same_video_gives_the_same_bytes() -> None:
    body = film(shown(1, 2))
    assert footage(io.BytesIO(body)) == footage(io.BytesIO(body))


def test_a_video_of_one_colour_has_nothing_to_be_found_by() -> None:
    assert len(footage(io.BytesIO(film([Image.new("RGB", (320, 192), "navy")] * 10)))) == 4


def test_a_frame_that_is_too_large_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PIXELS", 320 * 192 - 1)
    with pytest.raises(EvidenceError):
        footage(io.BytesIO(film(shown(1))))


def test_no_other_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(film(shown(1)))
    lists = {
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{tmp_path}/a.mp4\n#EXT-X-ENDLIST\n",
        "list.ffconcat": f"ffconcat version 1.0\nfile '{tmp_path}/a.mp4'\n",
        "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    }
    for name, body in lists.items():
        (tmp_path / name).write_text(body)
        with (tmp_path / name).open("rb") as file, pytest.raises(EvidenceError):
            footage(file)


@pytest.mark.parametrize("body", [b"", b"\0" * 4000, b"RIFF\xff\xff\xff\xffAVI LIST", b"\x1aE\xdf\xa3" + b"\xff" * 60])
def test_what_is_no_video_is_an_error_of_the_evidence(body: bytes) -> None:
    with pytest.raises(EvidenceError):
        footage(io.BytesIO(body))


@pytest.mark.parametrize("kind", ["matroska", "avi", "mpegts", "flv", "mp4"])
def test_damage_gives_what_was_seen_before_it_or_an_error_of_the_evidence(kind: str) -> None:
    codec = {"mpegts": "mpeg2video", "flv": "flv"}.get(kind, "mpeg4")
    whole = film(shown(1, 2, frames=10), kind, codec, rate=25)
    chooser = random.Random(kind)
    seen = 0
    for _ in range(40):
        broken = bytearray(whole)
        for _ in range(chooser.randrange(1, 30)):
            broken[chooser.randrange(len(broken))] = chooser.randrange(256)
        try:
            told = footage(io.BytesIO(bytes(broken[: chooser.randrange(1, len(broken) + 1)])))
        except EvidenceError:
            continue
        seen += 1
        assert (len(told) - 4) % FRAME == 0
    if kind != "mp4":  # whose index stands at the end
        assert seen
