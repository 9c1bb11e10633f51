"""The widths of a row's columns, with and without a terminal."""

from codegen.plan import Column, Event, EventField, Place
from lang.types import UINT16, UINT32, UINT64, Formatted, Inet, Str, Tuple, Type
from runtime.rows import column_widths, header


def row(*columns: tuple[str, Type]) -> Event:
    fields = tuple(EventField(kind, 0) for _, kind in columns)
    titles = tuple(Column(title, title) for title, _ in columns)
    return Event(1, "emit", 64, Place("x.ebt", 1, 1), fields, columns=titles)


CONNECTION = row(
    ("PID", UINT32), ("COMM", Str(16)), ("LADDR", Inet()), ("LPORT", UINT16), ("RADDR", Inet()),
    ("RPORT", UINT16), ("MS", Formatted("ms", UINT64)),
)  # fmt: skip


def test_as_wide_as_the_types_where_nobody_looks() -> None:
    assert column_widths(CONNECTION) == column_widths(CONNECTION, 200) == [7, 16, 16, 6, 16, 6, 10]


def test_a_narrow_terminal_takes_from_the_widest() -> None:
    assert column_widths(CONNECTION, 83) == column_widths(CONNECTION)
    assert column_widths(CONNECTION, 80) == [7, 13, 16, 6, 16, 6, 10]
    assert len(header(CONNECTION, column_widths(CONNECTION, 72))) == 72


def test_no_column_is_narrower_than_its_usual_values() -> None:
    assert column_widths(CONNECTION, 20) == [5, 10, 15, 5, 15, 5, 6]


def test_text_at_the_end_takes_what_is_left() -> None:
    opened = row(("COMM", Str(16)), ("FILE", Str(200)))
    assert column_widths(opened) == column_widths(opened, 21) == [16, 0]
    assert column_widths(opened, 19) == [14, 0] and column_widths(opened, 3) == [10, 0]


def test_the_parts_of_a_format_make_its_width() -> None:
    end = Formatted("format", Tuple((Inet(), UINT16)), ("%s:%d",))
    ends = row(("FROM", end), ("TO", end), ("PID", UINT32))
    assert column_widths(ends) == [len("255.255.255.255:65535")] * 2 + [7]
    assert column_widths(ends, 20) == [15, 15, 5]
    state = Formatted("format", Tuple((Str(1024),)), ("%s",))
    assert column_widths(row(("STATE", state), ("PID", UINT32))) == [12, 7]


def test_seconds_have_room_for_four_digits() -> None:
    times = row(("A", Formatted("sec", UINT64, ("9",))), ("B", Formatted("sec", UINT64, ("2",))))
    assert column_widths(times) == [len("1234.123456789"), 10] and column_widths(times, 9) == [12, 6]


def test_a_title_is_never_cut() -> None:
    assert column_widths(row(("BYTES_WRITTEN", UINT16), ("PID", UINT32)), 1) == [13, 5]
