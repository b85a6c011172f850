"""WAV of every kind that recorders write, and FLAC: read right, or refused by name."""

import struct
import sys

import numpy as np
import pytest

from jaxgen.data import Data, load
from jaxgen.data.readers.sound_file import opened
from jaxgen.errors import DataError

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
GUID = bytes.fromhex("000000001000800000aa00389b71")
WAVE = np.sin(np.arange(100) / 5) * 0.7  # in [-1, 1]


def content_of(x, bits, tag):
    """Samples in [-1, 1] as the bytes of a kind."""
    if tag == FLOAT:
        return np.asarray(x, f"<f{bits // 8}").tobytes()
    whole = np.rint(np.asarray(x) * 2.0 ** (bits - 1)).astype(np.int64)
    if bits == 8:
        return (whole + 128).astype(np.uint8).tobytes()
    return b"".join(int(n).to_bytes(bits // 8, "little", signed=True) for n in whole.ravel())


def form_of(bits, tag, channels=1, rate=8000, extensible=False, valid=None):
    frame = channels * bits // 8
    plain = struct.pack(
        "<HHIIHH", EXTENSIBLE if extensible else tag, channels, rate, rate * frame, frame, bits
    )
    if not extensible:
        return plain
    return plain + struct.pack("<HHIH", 22, valid or bits, 0, tag) + GUID


def chunk(name, content, size=None):
    size = len(content) if size is None else size
    return name + struct.pack("<I", size) + content + b"\0" * (len(content) % 2)


def riff(*chunks, head=b"RIFF", size=None):
    body = b"WAVE" + b"".join(chunks)
    return head + struct.pack("<I", len(body) if size is None else size) + body


def write(path, bits=16, tag=PCM, x=WAVE, before=(), size=None, whole=None, **form):
    parts = [chunk(b"fmt ", form_of(bits, tag, **form)), *before]
    data = chunk(b"data", content_of(x, bits, tag), size)
    path.write_bytes(riff(*parts, data, size=whole))
    return path


def read_all(path):
    sound = opened(path)
    return sound.read(0, sound.num)


def refused(path):
    with pytest.raises(DataError) as caught:
        read_all(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert len(message.splitlines()) == 2
    return message


KINDS = [(8, PCM), (16, PCM), (24, PCM), (32, PCM), (32, FLOAT), (64, FLOAT)]


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(("bits", "tag"), KINDS)
def test_every_kind_of_number_is_read(tmp_path, bits, tag, extensible):
    sound = opened(write(tmp_path / "x.wav", bits, tag, extensible=extensible))
    assert (sound.num, sound.rate) == (100, 8000)
    step = 2.0 ** (1 - bits) if tag == PCM else 2.0 ** (-24 if bits == 32 else -53)
    np.testing.assert_allclose(sound.read(0, 100), WAVE, atol=step)
    np.testing.assert_allclose(sound.read(40, 7), WAVE[40:47], atol=step)


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_the_extremes_of_whole_numbers(tmp_path, bits):
    least = np.array([-1.0, 0.0, 1 - 2.0 ** (1 - bits)])
    found = opened(write(tmp_path / "x.wav", bits, x=least)).read(0, 3)
    np.testing.assert_array_equal(found, least)


def test_20_bits_lie_in_24(tmp_path):
    path = write(tmp_path / "x.wav", 24, extensible=True, valid=20)
    np.testing.assert_allclose(opened(path).read(0, 100), WAVE, atol=2.0**-23)


def test_channels_are_averaged(tmp_path):
    both = np.stack([WAVE, WAVE**2], axis=1)
    path = write(tmp_path / "x.wav", 24, x=both, channels=2)
    np.testing.assert_allclose(opened(path).read(0, 100), both.mean(1), atol=2.0**-23)


def test_chunks_of_other_programs_are_passed_over(tmp_path):
    other = [chunk(b"LIST", b"odd"), chunk(b"bext", bytes(600)), chunk(b"JUNK", b"")]
    path = write(tmp_path / "x.wav", before=other)
    path.write_bytes(path.read_bytes() + chunk(b"id3 ", bytes(10)))
    assert opened(path).num == 100


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0, 0x7FFFFFFF - 36, 0x80000000, 0xFFFFFFFF - 44])
def test_a_header_that_was_never_filled_in_goes_to_the_end_of_the_file(tmp_path, size):
    path = write(tmp_path / "x.wav", size=size, whole=size and 0xFFFFFFFF)
    assert opened(path).num == 100
    np.testing.assert_allclose(opened(path).read(90, 10), WAVE[90:], atol=2.0**-15)
    path.write_bytes(path.read_bytes()[:-1])  # in the midst of a sample
    assert opened(path).num == 99


def test_a_sound_of_no_samples_is_not_a_stream(tmp_path):
    path = write(tmp_path / "x.wav", x=[])
    path.write_bytes(riff(path.read_bytes()[12:], chunk(b"LIST", bytes(10))))
    assert opened(path).num == 0


def test_files_of_64_bit_sizes_are_read(tmp_path):
    data = content_of(WAVE, 16, PCM)
    for head in (b"RF64", b"BW64"):
        sizes = chunk(b"ds64", struct.pack("<QQQI", 0, len(data), 100, 0))
        parts = (sizes, chunk(b"fmt ", form_of(16, PCM)), chunk(b"data", data, 0xFFFFFFFF))
        path = tmp_path / "x.wav"
        path.write_bytes(riff(*parts, chunk(b"LIST", bytes(8)), head=head, size=0xFFFFFFFF))
        assert opened(path).num == 100


COMPRESSED = {2: "ADPCM", 6: "A-law", 7: "mu-law", 0x11: "IMA ADPCM", 0x55: "MP3", 0x31: "GSM"}


@pytest.mark.parametrize("tag", list(COMPRESSED))
@pytest.mark.parametrize("extensible", [False, True])
def test_compressed_sound_is_refused_by_its_name(tmp_path, tag, extensible):
    path = write(tmp_path / "x.wav", 8, tag, extensible=extensible)
    assert COMPRESSED[tag] in refused(path)


BAD = {
    "no channel": (lambda p: write(p, 16, PCM, channels=0), "at least 1"),
    "no rate": (lambda p: write(p, 16, PCM, rate=0), "at least 1"),
    "half precision": (lambda p: write(p, 16, FLOAT), "32 or 64"),
    "64-bit whole": (lambda p: write(p, 64, PCM), "8, 16, 24 or 32"),
    "unknown": (lambda p: write(p, 16, 0x1234), "0x1234"),
    "not a number": (lambda p: write(p, 32, FLOAT, x=[0.0, np.nan]), "nan"),
    "infinite": (lambda p: write(p, 64, FLOAT, x=[0.0, -np.inf]), "inf"),
    "too loud": (lambda p: write(p, 32, FLOAT, x=WAVE * 32768), "[-1, 1]"),
    "big-endian": (lambda p: p.write_bytes(b"RIFX" + riff()[4:]), "RIFX"),
    "no form": (lambda p: p.write_bytes(riff(chunk(b"data", bytes(8)))), "'fmt '"),
    "no samples": (lambda p: p.write_bytes(riff(chunk(b"fmt ", form_of(16, PCM)))), "header"),
    "short form": (lambda p: p.write_bytes(riff(chunk(b"fmt ", b"\1\0"), chunk(b"data", b""))), ""),
    "AIFF": (lambda p: p.write_bytes(b"FORM\0\0\0\x04AIFF"), "RIFF"),
    "nothing": (lambda p: p.write_bytes(b""), "RIFF"),
    "a claim without end": (
        lambda p: p.write_bytes(riff(chunk(b"LIST", b"", 0xFFFFFFF0))),
        "header",
    ),
}


@pytest.mark.parametrize("case", list(BAD))
def test_what_cannot_be_read_is_named(tmp_path, case):
    make, words = BAD[case]
    path = tmp_path / "x.wav"
    make(path)
    assert words in refused(path)


def test_a_folder_of_several_kinds_becomes_codes(tmp_path):
    kinds = [{"bits": bits, "tag": tag} for bits, tag in KINDS]
    for i in range(60):
        write(tmp_path / f"{i}.wav", **kinds[i % 6], extensible=i % 4 == 0)
    data = load(Data(str(tmp_path), transform="levels", length=50))
    codes = np.concatenate([split.resident["image"] for split in data.splits.values()])
    assert codes.shape == (120, 50)
    assert abs(codes.astype(int) - codes[0]).min(axis=0).max() <= 1


def test_flac_is_read_where_the_library_is(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    both = np.stack([WAVE, WAVE**2], axis=1)
    for bits in (16, 24):
        path = tmp_path / "x.flac"
        soundfile.write(path, both, 22050, subtype=f"PCM_{bits}")
        sound = opened(path)
        assert (sound.num, sound.rate) == (100, 22050)
        np.testing.assert_allclose(sound.read(30, 60), both[30:90].mean(1), atol=2.0 ** (1 - bits))
    path.write_bytes(path.read_bytes()[:60])
    assert "cannot be read as sound" in refused(path)
    path.write_bytes(b"no sound")
    assert "cannot be read as sound" in refused(path)


@pytest.mark.parametrize("num", [1, 100, 5000, 200_000])
@pytest.mark.parametrize("bits", [16, 24])
def test_flac_of_unknown_length_is_refused_by_that_name(num, bits, tmp_path):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "x.flac"
    soundfile.write(path, np.resize(WAVE, num), 22050, subtype=f"PCM_{bits}")
    assert opened(path).num == num
    content = bytearray(path.read_bytes())
    # STREAMINFO: 36 bits, the number of samples, which an encoder to a pipe leaves at 0
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert "does not say how many samples" in refused(path)


def test_silence_is_a_flac_file_of_few_bytes(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "x.flac", np.zeros(2_000_000), 22050)
    assert opened(tmp_path / "x.flac").num == 2_000_000


def test_flac_without_the_library_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    for i in range(40):
        (tmp_path / f"{i}.flac").write_bytes(b"fLaC")
    with pytest.raises(DataError, match=r"pip install 'jaxgen\[sound\]'"):
        load(Data(str(tmp_path)))
