"""Scenes of coloured shapes and questions about them: the world that tiny_vlm knows.

Everything here is a pure function of a `random.Random`, so a seed names a scene and its questions for good. Six of
the 48 colour-shape pairs (`HELD_OUT_PAIRS`) are never drawn nor named on the training side; on the held-out side every
scene shows at least one of them. Training and held-out seeds are disjoint ranges as well (`scene_rng`).

Answers are drawn before the question is made, so that "Yes" and "No", and the letters A to D, are equally frequent
within each skill.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageDraw

Skill = Literal["existence", "count", "position", "colour"]
Kind = Literal["yes_no", "letter", "open"]
Split = Literal["train", "held_out"]
Pair = tuple[str, str]
Rgb = tuple[int, int, int]

SKILLS: tuple[Skill, ...] = ("existence", "count", "position", "colour")
CELL = 28
"""Side in pixels of what becomes one vision token (patch 14, merged 2 by 2)."""
STEP = 7
"""Centres lie within a pixel of multiples of this."""
SIZES: tuple[tuple[int, int], ...] = ((112, 112), (112, 84), (84, 112), (140, 84), (84, 140))
"""Width and height in pixels of the canvases; the first is the usual one."""
COLOURS: dict[str, Rgb] = {
    "red": (215, 35, 40),
    "blue": (35, 70, 215),
    "green": (30, 155, 60),
    "yellow": (240, 215, 30),
    "purple": (155, 45, 165),
    "orange": (245, 135, 20),
    "black": (25, 25, 25),
    "pink": (245, 130, 190),
}
SHAPES: tuple[str, ...] = ("circle", "square", "triangle", "cross", "ring", "diamond")
PLURALS: dict[str, str] = {
    "circle": "circles",
    "square": "squares",
    "triangle": "triangles",
    "cross": "crosses",
    "ring": "rings",
    "diamond": "diamonds",
    "shape": "shapes",
}
NUMBERS: tuple[str, ...] = ("zero", "one", "two", "three", "four", "five")
BACKGROUNDS: tuple[Rgb, ...] = ((255, 255, 255), (225, 225, 225), (250, 240, 220), (215, 230, 240))
ALL_PAIRS: tuple[Pair, ...] = tuple((colour, shape) for colour in COLOURS for shape in SHAPES)
HELD_OUT_PAIRS: tuple[Pair, ...] = (
    ("red", "triangle"),
    ("blue", "cross"),
    ("green", "circle"),
    ("yellow", "square"),
    ("purple", "diamond"),
    ("orange", "ring"),
)
TRAIN_PAIRS: tuple[Pair, ...] = tuple(pair for pair in ALL_PAIRS if pair not in HELD_OUT_PAIRS)
MAX_COUNT = 4
"""The largest number that a question asks about."""


@dataclass(frozen=True, slots=True)
class Item:
    """One shape on the canvas."""

    shape: str
    """One of `SHAPES`; empty, in practice scenes only, for a blob."""
    colour: str
    """One of `COLOURS`; empty, in practice scenes only, for another colour."""
    x: int
    """Centre, pixels from the left."""
    y: int
    """Centre, pixels from the top."""
    radius: int
    """Half of the side of the enclosing square, pixels, 11 to 14."""
    rgb: Rgb
    """The colour as drawn: that of `COLOURS`, each channel off by at most 12."""

    @property
    def pair(self) -> Pair:
        """Colour and shape."""
        return (self.colour, self.shape)


@dataclass(frozen=True, slots=True)
class Scene:
    """Up to five shapes on a plain ground, no two of them in one 28-pixel cell."""

    width: int
    height: int
    background: Rgb
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A question without its instruction; `prompt` adds one."""

    skill: Skill
    kind: Kind
    text: str
    options: tuple[str, ...] | None
    """The choices of a letter question, in the order A, B, C, D; None for the other kinds."""
    answer: str
    """"Yes" or "No", a letter, or for open questions one lower-case word or digit."""


def scene_rng(split: Split, seed: int) -> random.Random:
    """Return the generator of scene number `seed` (0 or more) of one side; the sides never share a stream."""
    return random.Random(f"tiny-vlm/{split}/{seed}")


def make_scene(rng: random.Random, split: Split, size: tuple[int, int] = SIZES[0]) -> Scene:
    """Draw up a scene.

    Args:
        rng: Source of all choices.
        split: `train` uses only `TRAIN_PAIRS`; `held_out` all pairs, at least one of `HELD_OUT_PAIRS` among them.
        size: Width and height in pixels, multiples of 28.

    Returns:
        A scene of one to five items; in about half of them one pair, colour or shape is repeated.
    """
    pairs = TRAIN_PAIRS if split == "train" else ALL_PAIRS
    count = rng.choice((1, 2, 2, 3, 3, 4, 4, 5))
    first = rng.choice(TRAIN_PAIRS if split == "train" else HELD_OUT_PAIRS)
    style = rng.random()
    chosen = [first]
    while len(chosen) < count:
        pool: Sequence[Pair] = pairs
        if style < 0.25 and rng.random() < 0.75:
            pool = (first,)
        elif style < 0.42 and rng.random() < 0.8:
            pool = [pair for pair in pairs if pair[1] == first[1]]
        elif style < 0.5 and rng.random() < 0.8:
            pool = [pair for pair in pairs if pair[0] == first[0]]
        chosen.append(rng.choice(pool))
    while True:
        places = _places(rng, count, size)
        if places is not None:
            break
    background = _jitter(rng, rng.choice(BACKGROUNDS), 8)
    items = tuple(
        Item(shape, colour, x, y, radius, _jitter(rng, COLOURS[colour], 12))
        for (colour, shape), (x, y, radius) in zip(chosen, places, strict=True)
    )
    return Scene(size[0], size[1], background, items)


def make_practice_scene(rng: random.Random, size: tuple[int, int] = SIZES[0]) -> Scene:
    """Draw up a scene for the vision tower alone.

    Among shapes of training pairs it has known shapes in colours without a name (`colour` is empty) and blobs (`shape`
    is empty) in known colours, so that the tower learns shapes apart from colours and meets no held-out pair.

    Args:
        rng: Source of all choices.
        size: Width and height in pixels, multiples of 28.

    Returns:
        A scene of three to six items.
    """
    count = rng.randint(3, 6)
    while True:
        places = _places(rng, count, size)
        if places is not None:
            break
    items = []
    for x, y, radius in places:
        what = rng.random()
        colour, shape = rng.choice(TRAIN_PAIRS)
        if what < 0.5:
            colour, shape = "", rng.choice(SHAPES)
        elif what < 0.85:
            colour, shape = rng.choice(tuple(COLOURS)), ""
        rgb = _jitter(rng, COLOURS[colour], 12) if colour else _nameless(rng)
        items.append(Item(shape, colour, x, y, radius, rgb))
    return Scene(size[0], size[1], _jitter(rng, rng.choice(BACKGROUNDS), 8), tuple(items))


def _nameless(rng: random.Random) -> Rgb:
    """Return a colour that is far from every known one and from the backgrounds."""
    while True:
        red, green, blue = (rng.randrange(256) for _ in range(3))
        if max(red, green, blue) - min(red, green, blue) < 40 and max(red, green, blue) > 150:
            continue
        if all(math.dist((red, green, blue), known) > 40 for known in COLOURS.values()):
            return (red, green, blue)


def _places(rng: random.Random, count: int, size: tuple[int, int]) -> list[tuple[int, int, int]] | None:
    """Return `count` places (x, y, radius) that do not touch, or None when the dice fell badly."""
    width, height = size
    places: list[tuple[int, int, int]] = []
    for _ in range(60):
        radius = rng.randint(11, 14)
        x = STEP * rng.randint(2, width // STEP - 2) + rng.randint(-1, 1)
        y = STEP * rng.randint(2, height // STEP - 2) + rng.randint(-1, 1)
        clear = all(
            max(abs(x - px), abs(y - py)) > radius + pr + 2 and (x // CELL, y // CELL) != (px // CELL, py // CELL)
            for px, py, pr in places
        )
        if clear:
            places.append((x, y, radius))
            if len(places) == count:
                return places
    return None


def _jitter(rng: random.Random, rgb: Rgb, amount: int) -> Rgb:
    """Move each channel by at most `amount`, within 0 to 255."""
    red, green, blue = (min(255, max(0, channel + rng.randint(-amount, amount))) for channel in rgb)
    return (red, green, blue)


def draw(scene: Scene) -> Image.Image:
    """Return the scene as an RGB image of `scene.width` by `scene.height` pixels."""
    image = Image.new("RGB", (scene.width, scene.height), scene.background)
    pen = ImageDraw.Draw(image)
    for item in scene.items:
        x, y, r = item.x, item.y, item.radius
        if item.shape == "circle":
            pen.ellipse((x - r, y - r, x + r, y + r), fill=item.rgb)
        elif item.shape == "square":
            pen.rectangle((x - r + 1, y - r + 1, x + r - 1, y + r - 1), fill=item.rgb)
        elif item.shape == "triangle":
            pen.polygon(((x, y - r), (x + r, y + r), (x - r, y + r)), fill=item.rgb)
        elif item.shape == "":
            blob = random.Random(f"{x}/{y}/{r}/{item.rgb}")
            corners = blob.randint(3, 9)
            turn = blob.random()
            reach = [(r * blob.uniform(0.5, 1), 2 * math.pi * (n + turn) / corners) for n in range(corners)]
            pen.polygon([(x + d * math.cos(a), y + d * math.sin(a)) for d, a in reach], fill=item.rgb)
        elif item.shape == "ring":
            pen.ellipse((x - r, y - r, x + r, y + r), outline=item.rgb, width=r // 2)
        elif item.shape == "diamond":
            pen.polygon(((x, y - r), (x + r * 2 // 3, y), (x, y + r), (x - r * 2 // 3, y)), fill=item.rgb)
        else:
            arm = r // 3
            pen.rectangle((x - arm, y - r, x + arm, y + r), fill=item.rgb)
            pen.rectangle((x - r, y - arm, x + r, y + arm), fill=item.rgb)
    return image


# --- questions -------------------------------------------------------------------------------------------------------

_PLACES = (" in this image", " in this image", " in the image", " in the picture", "")
_CORNERS = ("top left", "top right", "bottom left", "bottom right")
_SIDES = ("left", "right", "above", "below")
_BESIDE, _OVER = "to the left or to the right of {}", "above or below {}"
_CHOICES = {"left": _BESIDE, "right": _BESIDE, "above": _OVER, "below": _OVER}
_ACROSS, _UP = "in the left half or in the right half", "in the top half or in the bottom half"
_HALVES = {"left": _ACROSS, "right": _ACROSS, "top": _UP, "bottom": _UP}
_CORNER_MARGIN = 8
_RELATION_MARGIN = 14


def _article(noun: str) -> str:
    """Return the noun phrase with "a" or "an"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _name(pair: Pair) -> str:
    """Return "red circle" for a pair."""
    return f"{pair[0]} {pair[1]}"


def _pairs(split: Split) -> tuple[Pair, ...]:
    """Return the pairs that questions of this side may name."""
    return TRAIN_PAIRS if split == "train" else ALL_PAIRS


def _prefer_held_out(rng: random.Random, pairs: Sequence[Pair], split: Split) -> Pair:
    """Choose a pair; on the held-out side one of the held-out pairs, if there is one among them, four times in five."""
    if split == "held_out":
        held_out = [pair for pair in pairs if pair in HELD_OUT_PAIRS]
        if held_out and rng.random() < 0.8:
            return rng.choice(held_out)
    return rng.choice(list(pairs))


def _letter(rng: random.Random, skill: Skill, text: str, right: str, wrong: Sequence[str]) -> Question:
    """Make a letter question whose right option stands at a place drawn first, all places equally likely."""
    options = list(wrong)
    rng.shuffle(options)
    place = rng.randrange(len(options) + 1)
    options.insert(place, right)
    return Question(skill, "letter", text, tuple(options), "ABCD"[place])


def _present(scene: Scene) -> list[Pair]:
    """Return the pairs in the scene, each once, in order of appearance."""
    return list(dict.fromkeys(item.pair for item in scene.items))


def _existence(rng: random.Random, scene: Scene, split: Split, kind: Kind) -> Question | None:
    where = rng.choice(_PLACES)
    present = _present(scene)
    shapes = {pair[1] for pair in present}
    if kind == "yes_no":
        yes = rng.random() < 0.5
        level = rng.random()
        if level < 0.6:
            pool = present if yes else [pair for pair in _pairs(split) if pair not in present]
            noun = _name(_prefer_held_out(rng, pool, split))
        elif level < 0.9:
            names = [shape for shape in SHAPES if (shape in shapes) == yes]
            if not names:
                return None
            noun = rng.choice(names)
        else:
            colours = {pair[0] for pair in present}
            names = [colour for colour in COLOURS if (colour in colours) == yes]
            noun = f"{rng.choice(names)} shape"
        text = rng.choice(
            (
                f"Is there {_article(noun)}{where}?",
                f"Is there {_article(noun)}{where}?",
                f"Does the image contain {_article(noun)}?",
                f"Can you see {_article(noun)}{where}?",
            )
        )
        return Question("existence", "yes_no", text, None, "Yes" if yes else "No")
    if kind == "open" or rng.random() < 0.35:
        colour_shapes: dict[str, set[str]] = {}
        for colour, shape in present:
            colour_shapes.setdefault(colour, set()).add(shape)
        single = [(colour, next(iter(found))) for colour, found in colour_shapes.items() if len(found) == 1]
        if not single:
            return None
        pair = _prefer_held_out(rng, single, split)
        text = rng.choice(
            (
                f"Which shape is {pair[0]}?",
                f"What shape is the {pair[0]} object{where}?",
                f"What is the shape of the {pair[0]} object?",
            )
        )
        if kind == "open":
            return Question("existence", "open", text, None, pair[1])
        others = [shape for shape in SHAPES if shape != pair[1] and (pair[0], shape) in _pairs(split)]
        return _letter(rng, "existence", text, pair[1], rng.sample(others, 3))
    right = _prefer_held_out(rng, present, split)
    absent = [pair for pair in _pairs(split) if pair not in present]
    wrong = rng.sample(absent, 3)
    named = [_name(pair) for pair in wrong]
    plain = rng.random() < 0.5
    style = (lambda noun: noun) if plain else _article
    text = rng.choice(
        (
            f"Which of these is{where}?",
            "Which of these does the image show?",
            f"What can be seen{where}?",
            "Which of the following is in the image?",
        )
    )
    if text == "Which of these is?":
        text = "Which of these is there?"
    return _letter(rng, "existence", text, style(_name(right)), [style(noun) for noun in named])


def _groups(scene: Scene) -> dict[str, int]:
    """Return what can be counted in a scene: "shape", "circle", "red circle", "red shape" -> how many there are."""
    groups: dict[str, int] = {"shape": len(scene.items)}
    for item in scene.items:
        for noun in (item.shape, f"{item.colour} shape", _name(item.pair)):
            groups[noun] = groups.get(noun, 0) + 1
    return {noun: count for noun, count in groups.items() if count <= MAX_COUNT}


def _plural(noun: str) -> str:
    """Return "red circles" for "red circle"."""
    head, _, last = noun.rpartition(" ")
    return f"{head} {PLURALS[last]}".lstrip()


def _count(rng: random.Random, scene: Scene, split: Split, kind: Kind) -> Question | None:
    where = rng.choice(_PLACES)
    groups = _groups(scene)
    if not groups:
        return None
    by_count: dict[int, list[str]] = {}
    for noun, number in groups.items():
        by_count.setdefault(number, []).append(noun)
    weights = [1.0 if number == 1 else 2.5 for number in by_count]
    actual = rng.choices(list(by_count), weights)[0]
    noun = rng.choice(by_count[actual])
    if kind == "yes_no":
        yes = rng.random() < 0.5
        asked = actual
        if not yes:
            asked = rng.choice([number for number in range(1, MAX_COUNT + 1) if number != actual])
            absent = [pair for pair in _pairs(split) if _name(pair) not in groups]
            if absent and rng.random() < 0.15:
                noun = _name(rng.choice(absent))
        word = NUMBERS[asked] if rng.random() < 0.85 else str(asked)
        if asked == 1:
            text = rng.choice((f"Is there only one {noun}{where}?", f"Is there exactly one {noun}{where}?"))
        else:
            text = rng.choice(
                (
                    f"Are there {word} {_plural(noun)}{where}?",
                    f"Are there {word} {_plural(noun)}{where}?",
                    f"Are there exactly {word} {_plural(noun)}{where}?",
                    f"Is there a total of {word} {_plural(noun)}{where}?",
                )
            )
        return Question("count", "yes_no", text, None, "Yes" if yes else "No")
    text = rng.choice(
        (
            f"How many {_plural(noun)} are there{where}?",
            f"How many {_plural(noun)} are{where}?",
            f"What is the number of {_plural(noun)}{where}?",
        )
    )
    if text.endswith(" are?"):
        text = text.replace(" are?", " are there?")
    if kind == "open":
        return Question("count", "open", text, None, str(actual))
    digits = rng.random() < 0.6
    options = [str(number) if digits else NUMBERS[number] for number in range(1, MAX_COUNT + 1)]
    right = options.pop(actual - 1)
    return _letter(rng, "count", text, right, options)


def _references(scene: Scene) -> list[tuple[str, Item]]:
    """Return the phrases that name exactly one item: "red circle", or "circle" where there is one circle only."""
    groups: dict[str, list[Item]] = {}
    for item in scene.items:
        for noun in (item.shape, _name(item.pair)):
            groups.setdefault(noun, []).append(item)
    return [(noun, items[0]) for noun, items in groups.items() if len(items) == 1]


def _position(rng: random.Random, scene: Scene, split: Split, kind: Kind) -> Question | None:
    references = _references(scene)
    rng.shuffle(references)
    if split == "held_out":
        references.sort(key=lambda named: " " not in named[0] or named[1].pair not in HELD_OUT_PAIRS)
    if not references:
        return None
    noun, item = references[0]
    others = [(other, at) for other, at in references[1:] if at is not item]
    if others and rng.random() < 0.75:
        other, at = others[0]
        dx, dy = item.x - at.x, item.y - at.y
        if kind != "letter":
            axis = [name for name, gap in (("x", dx), ("y", dy)) if abs(gap) >= _RELATION_MARGIN]
            if not axis:
                return None
            true = ("left" if dx < 0 else "right") if rng.choice(axis) == "x" else ("above" if dy < 0 else "below")
            if kind == "open":
                text = f"Is the {noun} {_CHOICES[true].format(f'the {other}')}?"
                return Question("position", "open", text, None, true)
            yes = rng.random() < 0.5
            asked = true if yes else {"left": "right", "right": "left", "above": "below", "below": "above"}[true]
            if asked in ("left", "right"):
                phrase = rng.choice(
                    (f"on the {asked} side of", f"on the {asked} side of", f"to the {asked} of", f"on the {asked} of")
                )
            else:
                phrase = asked
            tail = rng.choice(("", "", " in the image", " in this image"))
            return Question(
                "position", "yes_no", f"Is the {noun} {phrase} the {other}{tail}?", None, "Yes" if yes else "No"
            )
        if abs(dx) >= max(2 * abs(dy), _RELATION_MARGIN):
            true = "left" if dx < 0 else "right"
        elif abs(dy) >= max(2 * abs(dx), _RELATION_MARGIN):
            true = "above" if dy < 0 else "below"
        else:
            return None
        text = rng.choice(
            (f"Where is the {noun} relative to the {other}?", f"Where is the {noun} compared with the {other}?")
        )
        style = {"left": "to the left", "right": "to the right"} if rng.random() < 0.5 else {}
        options = {side: style.get(side, side) for side in _SIDES}
        return _letter(rng, "position", text, options.pop(true), list(options.values()))
    off_x, off_y = item.x - scene.width / 2, item.y - scene.height / 2
    if kind != "letter":
        true = ("left" if off_x < 0 else "right") if rng.random() < 0.5 else ("top" if off_y < 0 else "bottom")
        if abs(off_x if true in ("left", "right") else off_y) < _CORNER_MARGIN:
            return None
        if kind == "open":
            return Question("position", "open", f"Is the {noun} {_HALVES[true]} of the image?", None, true)
        yes = rng.random() < 0.5
        asked = true if yes else {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}[true]
        half = rng.choice(("side", "half")) if asked in ("left", "right") else "half"
        text = f"Is the {noun} {'on' if half == 'side' else 'in'} the {asked} {half} of the image?"
        return Question("position", "yes_no", text, None, "Yes" if yes else "No")
    if min(abs(off_x), abs(off_y)) < _CORNER_MARGIN:
        return None
    corner = f"{'top' if off_y < 0 else 'bottom'} {'left' if off_x < 0 else 'right'}"
    where = rng.choice((" in the image", " in this image", ""))
    text = rng.choice((f"Where is the {noun}{where}?", f"In which part of the image is the {noun}?"))
    return _letter(rng, "position", text, corner, [name for name in _CORNERS if name != corner])


def _colour(rng: random.Random, scene: Scene, split: Split, kind: Kind) -> Question | None:
    where = rng.choice(_PLACES)
    by_shape: dict[str, set[str]] = {}
    for item in scene.items:
        by_shape.setdefault(item.shape, set()).add(item.colour)
    if kind == "yes_no" and rng.random() < 0.4:
        yes = rng.random() < 0.5
        present = _present(scene)
        pool = present
        if not yes:
            pool = [pair for pair in _pairs(split) if pair not in present and pair[1] in by_shape]
        if not pool:
            return None
        noun = _name(_prefer_held_out(rng, pool, split))
        return Question("colour", "yes_no", f"Is there {_article(noun)}{where}?", None, "Yes" if yes else "No")
    single = [(next(iter(colours)), shape) for shape, colours in by_shape.items() if len(colours) == 1]
    if not single:
        return None
    pair = _prefer_held_out(rng, single, split)
    colour, shape = pair
    many = sum(item.shape == shape for item in scene.items) > 1
    noun, verb = (PLURALS[shape], "are") if many else (shape, "is")
    others = [other for other in COLOURS if other != colour and (other, shape) in _pairs(split)]
    if kind == "yes_no":
        yes = rng.random() < 0.5
        asked = colour if yes else rng.choice(others)
        text = rng.choice(
            (
                f"{verb.capitalize()} the {noun} {asked}?",
                f"{verb.capitalize()} the {noun}{where} {asked}?",
                f"Is the colour of the {noun} {asked}?",
            )
        )
        return Question("colour", "yes_no", text, None, "Yes" if yes else "No")
    word = rng.choice(("colour", "color"))
    text = rng.choice(
        (
            f"What is the {word} of the {noun}{where}?",
            f"What {word} {verb} the {noun}{where}?",
            f"Which {word} {'do' if many else 'does'} the {noun} have?",
        )
    )
    if kind == "open":
        return Question("colour", "open", text, None, colour)
    wrong = rng.sample(others, 3)
    return _letter(rng, "colour", text, colour, wrong)


_MAKERS: dict[Skill, Callable[[random.Random, Scene, Split, Kind], Question | None]] = {
    "existence": _existence,
    "count": _count,
    "position": _position,
    "colour": _colour,
}


def make_question(rng: random.Random, scene: Scene, split: Split, skill: Skill, kind: Kind) -> Question | None:
    """Ask something about a scene.

    Args:
        rng: Source of all choices.
        scene: What is asked about.
        split: Which pairs the question may name; held-out pairs are preferred on the held-out side.
        skill: One of `SKILLS`.
        kind: How it is to be answered.

    Returns:
        A question with one right answer, or None when this scene (or these dice) allow none.
    """
    return _MAKERS[skill](rng, scene, split, kind)


# --- prompts ---------------------------------------------------------------------------------------------------------

SHORT = "Answer the question using a single word or phrase."
LETTER = "Answer with the option's letter from the given choices directly."
YES_NO_ENDINGS: tuple[str, ...] = (
    f"\n{SHORT}",
    f"\n{SHORT}",
    " Please answer yes or no.",
    f" Please answer yes or no.\n{SHORT}",
    "\nPlease answer yes or no.",
    "\nAnswer the question with Yes or No.",
    "\nAnswer with Yes or No.",
    " Answer:",
    "",
)
LETTER_ENDINGS: tuple[str, ...] = (
    f"\n\n{LETTER}",
    f"\n\n{LETTER}",
    f"\n{LETTER}",
    f"\n{LETTER}",
    "\nAnswer with the option's letter.",
    "\nAnswer with the option letter only.",
    "\nPlease select the correct answer from the options above.",
    "",
)
OPEN_ENDINGS: tuple[str, ...] = (f"\n{SHORT}", f"\n\n{SHORT}", "\nAnswer with one word or number.")
OPENINGS: tuple[str, ...] = ("", "", "", "", "\n", "<image 1> ", "<image 1>\n", "Question: ")
"""What may stand between the image and the question."""


def prompt(question: Question, rng: random.Random | None = None) -> str:
    """Return the text of the user's turn.

    Args:
        question: What is asked.
        rng: Chooses among the phrasings; None takes the first of each, which are those of the MME and MMMU prompts.

    Returns:
        Opening, question, options and instruction, joined as the benchmarks join them.
    """
    endings = {"yes_no": YES_NO_ENDINGS, "letter": LETTER_ENDINGS, "open": OPEN_ENDINGS}[question.kind]
    opening, ending, brackets, header = OPENINGS[0], endings[0], False, ""
    if rng is not None:
        opening, ending = rng.choice(OPENINGS), rng.choice(endings)
        brackets = rng.random() < 0.3
        header = "Options:\n" if rng.random() < 0.1 else ""
    text = f"{opening}{question.text}"
    if question.options is not None:
        form = "({}) {}" if brackets else "{}. {}"
        lines = [form.format(letter, option) for letter, option in zip("ABCD", question.options, strict=False)]
        text += "\n" + header + "\n".join(lines)
    return text + ending
