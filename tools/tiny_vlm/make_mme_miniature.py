"""Write MME's miniature: eight rows in the columns of the real dataset, about held-out scenes.

    python tools/tiny_vlm/make_mme_miniature.py

Four images, one for each category that tiny_vlm knows, each with one question to be answered "Yes" and one "No". Every
run writes the same files.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

from scenes import Question, Scene, Skill, draw, make_question, make_scene, scene_rng

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "mme" / "miniature"
SUFFIX = " Please answer yes or no."
FIRST_SEED = 1_000_000
"""Held-out seeds from here on belong to the miniature; the evaluation uses those below."""
WANTED: dict[str, tuple[Skill, str]] = {
    "existence": ("existence", r"Is there an? \w+ \w+ in this image\?"),
    "count": ("count", r"Are there \w+ .*s in this image\?"),
    "position": ("position", r"Is the \w+ \w+ (on the \w+ side of|above|below) the \w+ \w+\?"),
    "color": ("colour", r"Is there an? \w+ \w+ in the image\?"),
}
"""MME's category -> our skill, and how the question must read to look like MME's."""


def find(category: str, seed: int) -> tuple[Scene, Question, Question]:
    """Return a scene of at least three shapes with a Yes and a No question about it.

    Args:
        category: A key of `WANTED`.
        seed: Held-out seed to begin the search at.
    """
    skill, pattern = WANTED[category]
    while True:
        rng = scene_rng("held_out", seed)
        scene = make_scene(rng, "held_out")
        yes, no = _ask(rng, scene, skill, pattern, "Yes"), _ask(rng, scene, skill, pattern, "No")
        if len(scene.items) >= 3 and yes is not None and no is not None:
            return scene, yes, no
        seed += 1


def _ask(rng: random.Random, scene: Scene, skill: Skill, pattern: str, answer: str) -> Question | None:
    for _ in range(60):
        question = make_question(rng, scene, "held_out", skill, "yes_no")
        if question is not None and question.answer == answer and re.fullmatch(pattern, question.text):
            return question
    return None


def main() -> None:
    """Write the images and the rows."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    lines = []
    for index, category in enumerate(WANTED):
        scene, *questions = find(category, FIRST_SEED + 5000 * index)
        name = f"{category}_0001.png"
        draw(scene).save(FOLDER / name, optimize=True)
        for question in questions:
            row = {
                "question_id": f"{category}/0001.png",
                "image": {"$image": name},
                "question": question.text + SUFFIX,
                "answer": question.answer,
                "category": category,
            }
            lines.append(json.dumps(row))
    (FOLDER / "mme.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote {len(lines)} rows to {FOLDER}")


if __name__ == "__main__":
    main()
