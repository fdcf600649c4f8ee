"""What a model counts: people, or objects of one or more other classes; with the words for them and their series.

People are counted in the series `people`, everything else in the series `count`, whose label `class` says what it is.
Displays take their words from here, so that a camera that counts cars never speaks of people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

PERSON: Final = "person"
PEOPLE_SERIES: Final = "people"
"""Series, and field of the entry of a frame, with the number of people."""
COUNT_SERIES: Final = "count"
"""The same for the number of objects of other classes."""
CLASS: Final = "class"
"""Label of a series, and field of an entry or event, with the class that is counted, if that is not people."""
PLURAL: Final = "plural"
"""Field beside `class`: what several of them are called, such as `cars`."""
JOINT: Final = "+"
"""Between the names of classes that are counted together, as in `car+bus`."""

_PEOPLE = "person persons people pedestrian pedestrians human humans man woman child worker rider cyclist head face"
PEOPLE_CLASSES: Final = frozenset(_PEOPLE.split(" "))
"""Names of classes whose objects are people."""
_IRREGULAR: Final = {
    "person": "people", "man": "men", "woman": "women", "child": "children", "mouse": "mice", "knife": "knives",
    "wolf": "wolves", "calf": "calves", "foot": "feet", "goose": "geese", "sheep": "sheep", "deer": "deer",
    "fish": "fish", "aircraft": "aircraft", "broccoli": "broccoli", "skis": "skis", "scissors": "scissors",
}  # fmt: skip


def plural_of(name: str) -> str:
    """What several objects of a class are called: `buses`, `traffic lights`, `mice`."""
    before, space, word = name.rpartition(" ")
    lower = word.lower()
    if lower in _IRREGULAR:
        plural = _IRREGULAR[lower]
    elif re.search(r"(s|x|z|ch|sh)$", lower):
        plural = f"{word}es"
    elif re.search(r"[^aeiou]y$", lower):
        plural = f"{word[:-1]}ies"
    else:
        plural = f"{word}s"
    return f"{before}{space}{plural}"


@dataclass(frozen=True)
class Counted:
    """What is counted.

    Attributes:
        name: The class, such as `car`; `person` for people of any class; `car+bus` for several together.
        plural: What several of them are called; found by the rules of English if it is not given.
    """

    name: str = PERSON
    plural: str = field(default="")

    def __post_init__(self) -> None:
        """Find the plural if none is given."""
        if not self.plural:
            object.__setattr__(self, PLURAL, " and ".join(map(plural_of, self.name.split(JOINT))))

    @property
    def singular(self) -> str:
        """What one of them is called."""
        return " or ".join(self.name.split(JOINT))

    @property
    def is_people(self) -> bool:
        """Whether people are counted, and nothing else."""
        return self.name == PERSON

    @property
    def series(self) -> str:
        """Name of the series with the number in each frame, and of the field of a frame's entry."""
        return PEOPLE_SERIES if self.is_people else COUNT_SERIES

    @property
    def fields(self) -> dict[str, str]:
        """What entries, events and labels of series say about it: nothing for people."""
        return {} if self.is_people else {CLASS: self.name, PLURAL: self.plural}

    def noun(self, number: float) -> str:
        """The word for so many of them: `car` or `cars`."""
        return self.singular if number == 1 else self.plural

    def amount(self, number: float) -> str:
        """Number and word: `1 car`, `3 cars`."""
        return f"{number:g} {self.noun(number)}"

    def title(self, rest: str) -> str:
        """A title that begins with the word, such as `Cars in view`."""
        return f"{self.plural[:1].upper()}{self.plural[1:]} {rest}".rstrip()


PEOPLE: Final = Counted()


def counted_of(fields: Mapping[str, str]) -> Counted:
    """What is counted, from `Counted.fields` in an entry, an event, labels, or the settings of the gear."""
    name = fields.get(CLASS) or PERSON
    return PEOPLE if name == PERSON else Counted(name, fields.get(PLURAL, ""))


def counted_classes(names: Sequence[str], plural: str = "") -> Counted:
    """What is counted where objects of these classes are: people if all of them are people.

    Args:
        names: Names of the classes.
        plural: What several objects are called; found by the rules of English if it is empty.

    Raises:
        ValueError: The plural is given for people, who are always called people.
    """
    if all(name.casefold() in PEOPLE_CLASSES for name in names):
        if plural not in ("", PEOPLE_SERIES):
            raise ValueError(f"the plural is {plural!r}, but people are counted, and are always called people")
        return PEOPLE
    return Counted(JOINT.join(names), plural)
