"""The words and the series for what is counted."""

from __future__ import annotations

import pytest

from rededge_nb.analytics.counted import PEOPLE, Counted, counted_classes, counted_of, plural_of


@pytest.mark.parametrize(
    ("name", "plural"),
    [
        ("person", "people"), ("car", "cars"), ("bus", "buses"), ("wine glass", "wine glasses"), ("bench", "benches"),
        ("traffic light", "traffic lights"), ("puppy", "puppies"), ("toy", "toys"), ("computer mouse", "computer mice"),
        ("sheep", "sheep"), ("skis", "skis"), ("box", "boxes"),
    ],
)  # fmt: skip
def test_plurals(name: str, plural: str) -> None:
    assert plural_of(name) == plural


def test_people_are_called_people_whatever_their_class_is() -> None:
    for names in (["person"], ["Pedestrian"], ["rider", "worker"]):
        counted = counted_classes(names)
        assert (counted, counted.series, counted.fields) == (PEOPLE, "people", {})
    assert [PEOPLE.amount(number) for number in (0, 1, 2)] == ["0 people", "1 person", "2 people"]
    with pytest.raises(ValueError, match="'riders', but people are counted"):
        counted_classes(["rider"], "riders")


def test_other_classes_have_their_own_words() -> None:
    cars = counted_classes(["car"])
    assert (cars.series, cars.amount(1), cars.amount(3), cars.title("in view")) == (
        "count", "1 car", "3 cars", "Cars in view",
    )  # fmt: skip
    both = counted_classes(["person", "bicycle"])
    assert (both.name, both.series) == ("person+bicycle", "count")
    assert (both.amount(1), both.amount(2)) == ("1 person or bicycle", "2 people and bicycles")
    assert counted_classes(["aircraft"], "planes").amount(2) == "2 planes"


@pytest.mark.parametrize("counted", [PEOPLE, Counted("traffic light"), Counted("bus", "coaches")])
def test_the_fields_of_an_entry_say_what_is_counted(counted: Counted) -> None:
    assert counted_of(counted.fields) == counted
