"""The command of -c → its words: between blanks, and what quotes around a word enclose."""

from __future__ import annotations

import pytest

from runtime.child import words_of


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (" sleep  2 ", ["sleep", "2"]),
        ('sh -c "echo a  b; exit 3" x', ["sh", "-c", "echo a  b; exit 3", "x"]),
        ("sh -c 'echo \"a b\"'", ["sh", "-c", 'echo "a b"']),
        ('touch "" \'\'', ["touch", "", ""]),
        ("python3 -c print('a')", ["python3", "-c", "print('a')"]),
        ("echo don't 'twas", ["echo", "don't", "'twas"]),
        ('echo "a b', ["echo", '"a', "b"]),
        (r"grep \d+\  file", ["grep", r"\d+" + "\\", "file"]),
        ("sh -c 'a\nb'", ["sh", "-c", "a\nb"]),
        ("", []),
    ],
)
def test_words_of(command: str, words: list[str]) -> None:
    assert words_of(command) == words
