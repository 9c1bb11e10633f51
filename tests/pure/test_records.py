"""lang.records against `dataclasses`: the same values, comparisons, refusals and copies."""

import dataclasses
import pickle
from typing import Any

import pytest

from lang import records


@records.dataclass(frozen=True)
class Frozen:
    a: int
    b: tuple[int, ...] = ()
    hidden: str = records.field(default="", compare=False)


@records.dataclass(frozen=True)
class Derived(Frozen):
    more: int = 7


@records.dataclass
class Open:
    a: int
    made: dict[str, int] = records.field(default_factory=dict)
    later: int = records.field(init=False)


@records.dataclass(frozen=True)
class Named:
    values: int
    name: str = ""
    cls: int = 0


@records.dataclass(frozen=True, eq=False)
class Node:
    a: int


@dataclasses.dataclass(frozen=True)
class Peer:
    a: int
    b: tuple[int, ...] = ()
    hidden: str = dataclasses.field(default="", compare=False)


def test_values_by_place_name_and_default() -> None:
    assert (Frozen(1).b, Frozen(1, (2,)).b, Frozen(b=(3,), a=1).b) == ((), (2,), (3,))
    assert repr(Frozen(1)).replace("Frozen", "Peer") == repr(Peer(1))
    assert Derived(1, more=8).more == 8 and Derived(1).more == 7
    assert [item.name for item in records.fields(Derived)] == ["a", "b", "hidden", "more"]


def test_any_name_of_a_field() -> None:
    assert (Named(5).values, Named(5, "x", cls=3)) == (5, Named(values=5, name="x", cls=3))


@pytest.mark.parametrize("arguments", [(), (1, (), "", 4)])
def test_wrong_arguments(arguments: tuple[Any, ...]) -> None:
    for made in (Frozen, Peer):
        with pytest.raises(TypeError):
            made(*arguments)


def test_equality_and_hash() -> None:
    assert Frozen(1) == Frozen(1, hidden="other") and hash(Frozen(1)) == hash(Frozen(1, hidden="other"))
    assert Frozen(1) != Frozen(2) and Frozen(1) != Derived(1)
    assert Node(1) != Node(1) and len({Node(1), Node(1)}) == 2
    one, two = Open(1), Open(1)
    one.later = two.later = 3
    assert one == two
    two.later = 4
    assert one != two
    with pytest.raises(TypeError):
        hash(Open(1))


def test_frozen_refuses() -> None:
    with pytest.raises(AttributeError):
        Frozen(1).a = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del Node(1).a


def test_factories_are_not_shared() -> None:
    first, second = Open(1), Open(1)
    first.made["x"] = 1
    assert second.made == {} and not hasattr(first, "later")
    first.a = 5
    assert first.a == 5


def test_replace() -> None:
    assert records.replace(Derived(1), a=2) == Derived(2)
    with pytest.raises(TypeError):
        records.replace(Frozen(1), nothing=2)  # type: ignore[call-arg]


def test_match_and_pickle() -> None:
    match Derived(1, (2,)):
        case Derived(a, b):
            assert (a, b) == (1, (2,))
    assert pickle.loads(pickle.dumps(Derived(1, (2,)))) == Derived(1, (2,))
    assert [records.is_dataclass(item) for item in (Frozen, Frozen(1), int)] == [True, True, False]
