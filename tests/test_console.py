"""What is printed: nothing that a terminal obeys, and nothing that an encoding cannot say."""

import io
import os

import pytest

from jaxgen.console import is_printable, note, printable, say

SHOWN = {
    b"caf\xe9": r"caf\xe9",
    b"\xff\x80": r"\xff\x80",
    "日本".encode(): "日本",
    b"\x9b31mred": r"\x9b31mred",  # no escape: its number alone
    "half \N{HIRAGANA LETTER A}".encode()[:-1]: r"half \xe3\x81",
    b"\x1b[31mred": "red",
}


@pytest.mark.parametrize("name", list(SHOWN))
def test_a_byte_that_is_no_text_is_shown_by_its_number(name):
    shown = printable(os.fsdecode(name))
    assert shown == SHOWN[name]
    shown.encode()


def test_only_what_would_be_hidden_is_not_printable():
    assert all(is_printable(os.fsdecode(name)) for name in list(SHOWN)[:5])
    assert not any(
        map(is_printable, ["\x1b[31m", "a\nb", "\t", "\u202e", "\x00", "\ud800", "\x9b"])
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_the_output_cannot_say_is_shown_by_its_number(encoding):
    buffer = io.BytesIO()
    with io.TextIOWrapper(buffer, encoding) as file:
        say("-18.10 ± 0.20 日 \udce9", file)
        file.flush()
        said = buffer.getvalue().decode(encoding)
    assert said.startswith(r"-18.10 \xb1 0.20" if encoding == "ascii" else "-18.10 ± 0.20")
    assert said.endswith("\\xe9\n")


def test_a_note_is_a_line_on_standard_error(capsys):
    note("a\x1b[31m\udcff")
    assert capsys.readouterr() == ("", "note: a\\xff\n")
    say("plain")
    assert capsys.readouterr() == ("plain\n", "")
