"""Each kind of image file is read right or refused by its own name; all are made here."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from jaxgen.data.readers.image_file import pixels, shape_of, suffixes
from jaxgen.errors import DataError

GREY = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
COLOUR = np.stack([GREY, GREY + 1, 255 - GREY], axis=-1)
ORIENTATION = 0x0112


def written(path, image, **options):
    image.save(path, **options)
    return path


def read(path):
    return pixels(path, None, shape_of(path, None))


def refused(path):
    with pytest.raises(DataError) as caught:
        shape_of(path, None)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert len(message.splitlines()) == 2
    return message


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".pnm", ".tga", ".qoi"])
def test_colours_are_read_exactly(tmp_path, suffix):
    options = {"lossless": True} if suffix == ".webp" else {}
    path = written(tmp_path / f"x{suffix}", Image.fromarray(COLOUR), **options)
    np.testing.assert_array_equal(read(path), COLOUR)


def test_palettes_are_the_colours_that_they_stand_for(tmp_path):
    image = Image.new("P", (6, 4))
    image.putdata([i % 3 for i in range(24)])
    image.putpalette([255, 0, 0, 0, 9, 0, 1, 2, 3])
    for name in ("x.png", "x.gif", "x.bmp", "x.tif"):
        x = read(written(tmp_path / name, image))
        assert x.shape == (4, 6, 3)
        assert x.reshape(-1, 3)[:4].tolist() == [[255, 0, 0], [0, 9, 0], [1, 2, 3], [255, 0, 0]]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".pbm"])
def test_black_and_white_is_0_and_255(tmp_path, suffix):
    bits = GREY % 20 == 0
    path = written(tmp_path / f"x{suffix}", Image.fromarray(bits))
    x = read(path)
    np.testing.assert_array_equal(x[..., 0], 255 * bits)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_images_are_upright(tmp_path, suffix, orientation):
    """The corner of the upright image that is marked, by what the orientation says is stored."""
    upright = np.zeros((32, 48), np.uint8)
    upright[:16, :16] = 255
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored))
    if suffix == ".webp":
        image = image.convert("RGB")
    x = read(written(tmp_path / f"x{suffix}", image, exif=exif))
    assert x.shape[:2] == (32, 48)
    np.testing.assert_allclose(x[..., 0].astype(int), upright, atol=12)


def chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def test_an_orientation_behind_the_pixels_of_a_png_is_honoured(tmp_path):
    path = written(tmp_path / "x.png", Image.fromarray(GREY))
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    late = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    content = path.read_bytes()
    path.write_bytes(content[:-12] + late + content[-12:])
    np.testing.assert_array_equal(read(path)[..., 0], np.rot90(GREY, -1))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_damaged_exif_is_no_orientation(tmp_path):
    path = written(
        tmp_path / "x.jpg", Image.fromarray(GREY), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"
    )
    assert read(path).shape == (4, 6, 1)


def png_of_16_bits(colour):
    """A PNG of 6 x 4 pixels of 16 bits a sample, which Pillow cannot write in colour."""
    width = 6 if colour else 2
    rows = b"".join(b"\0" + bytes(6 * width) for _ in range(4))
    header = struct.pack(">IIBBBBB", 6, 4, 16, 2 if colour else 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def tiff_of_16_bits(samples):
    """An uncompressed TIFF of 6 x 4 pixels of 16 bits a sample."""
    num_bytes = 6 * 4 * samples * 2
    widths = struct.pack(f"<{samples}H", *[16] * samples)
    tags = [
        (256, 3, 1, 6),
        (257, 3, 1, 4),
        (258, 3, samples, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 32),
        (277, 3, 1, samples),
        (278, 3, 1, 4),
        (279, 4, 1, num_bytes),
    ]
    directory = struct.pack("<H", len(tags))
    directory += b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return (
        b"II*\0"
        + struct.pack("<I", 32 + num_bytes)
        + widths.ljust(24, b"\0")
        + (bytes(num_bytes) + directory)
    )


def sgi(shape, wide):
    """An SGI picture of 6 x 4 pixels, of 16 bits a sample if it is wide."""
    content = io.BytesIO()
    image = Image.fromarray(np.zeros((4, 6, *shape), np.uint8))
    image.save(content, "SGI", bpc=2 if wide else 1)
    return content.getvalue()


SIXTEEN = {
    "colour.sgi": (sgi((3,), wide=True), "16-bit colours"),
    "colour.rgb": (sgi((3,), wide=True), "16-bit colours"),
    "grey.bw": (sgi((), wide=True), "16-bit grey"),
    "colour.png": (png_of_16_bits(True), "16-bit colours"),
    "grey.png": (png_of_16_bits(False), "16-bit grey"),
    "colour.tif": (tiff_of_16_bits(3), "16-bit colours"),
    "colour.ppm": (b"P6\n6 4\n65535\n" + bytes(144), "16-bit colours"),
    "plain.ppm": (b"P3\n2 1\n1023\n1 2 3 4 5 6\n", "16-bit colours"),
    "grey.pgm": (b"P5\n6 4\n65535\n" + bytes(48), "16-bit grey"),
    "float.pfm": (b"Pf\n2 1\n-1.0\n" + bytes(8), "floating-point"),
}


@pytest.mark.parametrize("shape", [(), (3,)])
def test_an_sgi_picture_of_bytes_is_read(tmp_path, shape):
    (tmp_path / "x.sgi").write_bytes(sgi(shape, wide=False))
    assert shape_of(tmp_path / "x.sgi", None) == (4, 6, *(shape or (1,)))


@pytest.mark.parametrize("name", list(SIXTEEN))
def test_more_than_8_bits_are_refused_by_their_name(tmp_path, name):
    content, words = SIXTEEN[name]
    path = tmp_path / name
    path.write_bytes(content)
    assert words in refused(path)


def test_more_than_8_bits_of_jpeg_2000_and_tiff(tmp_path):
    grey = Image.fromarray(GREY.astype(np.uint16) * 250)
    for name in ("x.jp2", "x.j2k", "x.tif", "x.png"):
        assert "16-bit grey" in refused(written(tmp_path / name, grey))
    path = written(tmp_path / "colour.j2k", Image.fromarray(COLOUR), irreversible=False)
    assert read(path).shape == (4, 6, 3)
    content = bytearray(path.read_bytes())
    siz = content.index(b"\xff\x51")
    for component in range(3):
        content[siz + 40 + 3 * component] = 15  # 16 bits, less 1
    path.write_bytes(bytes(content))
    assert "16-bit colours" in refused(path)


MODES = {
    "RGBA": "alpha channel",
    "LA": "alpha channel",
    "CMYK": "printer",
    "F": "floating-point",
    "I": "more than 8 bits",
    "LAB": "L*a*b*",
    "YCbCr": "YCbCr",
}


@pytest.mark.parametrize("mode", list(MODES))
def test_each_kind_is_refused_by_its_own_name(tmp_path, mode):
    path = written(tmp_path / "x.tif", Image.new(mode, (6, 4)))
    message = refused(path)
    assert MODES[mode] in message
    assert ("alpha" in message) == (mode in ("RGBA", "LA"))


@pytest.mark.parametrize(
    ("mode", "transparency"),
    [("L", 3), ("RGB", (1, 2, 3)), ("P", 0), ("P", b"\0\x80\xff"), ("1", 0)],
)
def test_transparency_in_a_chunk_is_refused(tmp_path, mode, transparency):
    path = written(tmp_path / "x.png", Image.new(mode, (6, 4)), transparency=transparency)
    assert "tRNS" in refused(path)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".tif", ".png"])
def test_later_frames_are_refused(tmp_path, suffix):
    first, *others = (Image.fromarray(COLOUR // n) for n in (1, 2, 3))
    path = written(tmp_path / f"x{suffix}", first, save_all=True, append_images=others)
    assert "3 frames" in refused(path)


def test_the_preview_in_a_cameras_file_is_no_frame(tmp_path):
    first = Image.fromarray(COLOUR)
    path = written(tmp_path / "x.jpg", first, format="MPO", save_all=True, append_images=[first])
    assert read(path).shape == (4, 6, 3)


def test_a_fourth_channel_of_no_meaning_is_not_lost(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGBX", (6, 4)).save(buffer, "TIFF")
    path = tmp_path / "x.tif"
    path.write_bytes(buffer.getvalue())
    assert "more than three channels" in refused(path)


def test_the_suffixes_are_those_that_pillow_decodes():
    found = suffixes()
    assert {".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".tif", ".webp", ".pbm", ".jp2"} <= found
    assert not {".mp4", ".mpg", ".h5", ".eps", ".pdf", ".wav", ".txt"} & found
