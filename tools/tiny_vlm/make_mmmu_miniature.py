"""Write MMMU's miniature: six rows in the columns of the real dataset, about held-out scenes.

    python tools/tiny_vlm/make_mmmu_miniature.py

Four multiple-choice rows (one per skill of tiny_vlm), one open row, and one with two images. Every run writes the same
files.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scenes import HELD_OUT_PAIRS, Kind, Question, Scene, Skill, draw, make_question, make_scene, scene_rng

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "mmmu" / "miniature"
FIRST_SEED = 2_000_000
IMAGE_COLUMNS = [f"image_{number}" for number in range(1, 8)]
ROWS: tuple[tuple[str, Skill, Kind, str], ...] = (
    ("validation_Art_1", "colour", "letter", "B"),
    ("validation_Math_1", "count", "letter", "C"),
    ("validation_Physics_1", "position", "letter", "A"),
    ("validation_History_1", "existence", "letter", "D"),
    ("validation_Math_2", "count", "open", "3"),
)
"""Id, what to ask, and the answer that it shall have."""


def find(skill: Skill, kind: Kind, answer: str, seed: int) -> tuple[Scene, Question]:
    """Return a scene of at least three shapes and a question with this answer; search from `seed` on."""
    while True:
        rng = scene_rng("held_out", seed)
        scene = make_scene(rng, "held_out")
        for _ in range(60):
            question = make_question(rng, scene, "held_out", skill, kind)
            if question is not None and question.answer == answer and len(scene.items) >= 3:
                return scene, question
        seed += 1


def find_scene(wanted: Callable[[Scene], bool], seed: int) -> Scene:
    """Return the first scene from `seed` on that is as wanted."""
    while True:
        scene = make_scene(scene_rng("held_out", seed), "held_out")
        if wanted(scene):
            return scene
        seed += 1


def row(name: str, text: str, options: list[str], answer: str, images: list[Scene], subfield: str) -> dict[str, Any]:
    """Return one row, and write its images beside the rows' file."""
    columns: dict[str, Any] = {}
    for number, column in enumerate(IMAGE_COLUMNS):
        columns[column] = None
        if number < len(images):
            file = f"{name}_{number + 1}.png"
            draw(images[number]).save(FOLDER / file, optimize=True)
            columns[column] = {"$image": file}
    return {
        "id": name,
        "question": text,
        "options": repr(options),
        "explanation": "",
        **columns,
        "img_type": "['Icons and Symbols']",
        "answer": answer,
        "topic_difficulty": "Easy",
        "question_type": "multiple-choice" if options else "open",
        "subfield": subfield,
    }


def main() -> None:
    """Write the images and the rows."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = []
    for index, (name, skill, kind, answer) in enumerate(ROWS):
        scene, question = find(skill, kind, answer, FIRST_SEED + 1000 * index)
        text = f"<image 1> {question.text}"
        rows.append(row(name, text, list(question.options or ()), answer, [scene], skill.capitalize()))
    colour, shape = HELD_OUT_PAIRS[0]
    with_pair = find_scene(lambda s: any(i.pair == (colour, shape) for i in s.items), FIRST_SEED + 9000)
    without = find_scene(lambda s: all(i.pair != (colour, shape) for i in s.items), FIRST_SEED + 9500)
    text = f"<image 1> <image 2> Which image shows a {colour} {shape}?"
    options = ["the first", "the second", "both", "neither"]
    rows.append(row("validation_Art_2", text, options, "A", [with_pair, without], "Existence"))
    header = {"$features": dict.fromkeys(IMAGE_COLUMNS, "image")}
    lines = [json.dumps(value) for value in (header, *rows)]
    (FOLDER / "mmmu_val.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote {len(rows)} rows to {FOLDER}")


if __name__ == "__main__":
    main()
