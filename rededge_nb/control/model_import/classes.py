"""Names of classes: those of the model, and those that are counted."""

from __future__ import annotations

from collections.abc import Sequence

from rededge_nb.analytics.counted import JOINT, PEOPLE_CLASSES, PERSON
from rededge_nb.errors import ModelImportError

COCO = tuple(
    """person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign,
    parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella,
    handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard,
    surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange,
    broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop,
    mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors,
    teddy bear, hair drier, toothbrush""".replace("\n    ", " ").split(", ")
)
"""The 80 classes of COCO."""
_UNUSED = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
"""Numbers of COCO's categories, 1 to 90, that no object has."""
_names = iter(COCO)
COCO_CATEGORIES = tuple("unused" if number in _UNUSED else next(_names) for number in range(1, 91))
"""The classes of COCO in the places of their categories' numbers, from category 1 on."""


def coco_names(count: int) -> tuple[str, ...] | None:
    """COCO's names for a model that has as many classes, or None.

    Some models have 90 classes, for all numbers of categories, and some 91, where the first is not used.
    """
    return {80: COCO, 90: COCO_CATEGORIES, 91: ("unused", *COCO_CATEGORIES)}.get(count)


def class_names(
    count: int | None, given: Sequence[str], from_file: Sequence[str], evidence: str
) -> tuple[tuple[str, ...], str]:
    """The names of a model's classes, and where they are from.

    Args:
        count: How many classes the model's outputs have; None if that is not visible.
        given: Names that the user gave; `("coco",)` for COCO's.
        from_file: Names in the file.
        evidence: What shows the count, for messages.

    Raises:
        ModelImportError: The names are not known, or are too many or too few.
    """
    if tuple(given) == ("coco",):
        names = coco_names(count or len(COCO))
        if names is None:
            raise ModelImportError(f"classes is coco, but {evidence} has {count} classes: give their names")
        return names, "you"
    for names, source in ((tuple(given), "you"), (tuple(from_file), "the file")):
        if not names:
            continue
        if count is not None and len(names) != count:
            raise ModelImportError(
                f"{source} named {len(names)} classes ({_short(names)}), but {evidence} has {count}: give all names, "
                "in the order of the model, as classes"
            )
        return names, source
    if count is not None and (names := coco_names(count)) is not None:
        return names, f"the number of classes ({count}), which is COCO's"
    raise ModelImportError(
        f"the file does not name its classes{f', of which there are {count}' if count else ''}: give their names as "
        "classes, in the order of the model, or `coco` for the 80 classes of COCO"
    )


def counted_places(names: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...]:
    """Places, from 0, of the classes to count: those wanted, else person, else the only class, or the only of people.

    Raises:
        ModelImportError: The model has no such class, or it is not known which one to count.
    """
    by_name = {name.casefold(): place for place, name in reversed(list(enumerate(names)))}
    if not wanted:
        of_people = [name for name in by_name if name in PEOPLE_CLASSES]
        chosen = [PERSON] if PERSON in of_people else of_people or list(by_name)
        if len(chosen) != 1:
            raise ModelImportError(
                f"no class of the model is called {PERSON}: name the class to count (--class); "
                f"there are {_short(names)}"
            )
        wanted = chosen
    unknown = [name for name in wanted if name.casefold() not in by_name]
    if unknown:
        raise ModelImportError(f"the model has no class {', '.join(map(repr, unknown))}: there are {_short(names)}")
    places = tuple(dict.fromkeys(by_name[name.casefold()] for name in wanted))
    joint = [names[place] for place in places if JOINT in names[place]]
    if joint:
        raise ModelImportError(
            f"the class {joint[0]!r} has a {JOINT!r} in its name, which stands between classes that are counted "
            "together: give the names of all classes (--classes), and call it something else"
        )
    return places


def _short(names: Sequence[str]) -> str:
    shown = ", ".join(names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown
