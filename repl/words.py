"""Numbers → words of the prompt's messages."""


def counted(number: int, what: str) -> str:
    """`1 probe`, `2 probes`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
