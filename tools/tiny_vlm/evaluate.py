"""Ask tiny_vlm about 1,000 held-out scenes, with and without their images.

    python tools/tiny_vlm/evaluate.py --model models/tiny_vlm

Every scene shows at least one colour-shape pair that training never drew nor named, and is asked one yes/no and one
letter question about one skill; answers are balanced exactly (half "Yes", a quarter each letter), so that a constant
answer gets 50 % and 25 %. The model is loaded through plain `from_pretrained` and generates greedily, in left-padded
batches, in float32.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from scenes import SIZES, SKILLS, Kind, Question, Scene, draw, make_question, make_scene, prompt, scene_rng
from transformers import AutoModelForImageTextToText, AutoTokenizer, Qwen2VLImageProcessorPil

SYSTEM = "You are a helpful assistant."
GREY = (128, 128, 128)
KINDS: tuple[Kind, ...] = ("yes_no", "letter")


@dataclass(frozen=True, slots=True)
class Case:
    """One question about one held-out scene."""

    scene: Scene
    question: Question


def held_out_cases(num_scenes: int, sizes: Sequence[tuple[int, int]] = SIZES[:1]) -> list[Case]:
    """Return two cases per scene, one of each kind; skills and answers take turns.

    Args:
        num_scenes: Best a multiple of 16, or at least of 8, so that the answers come out even.
        sizes: Canvas sizes (width, height) in pixels to choose from.

    Returns:
        `2 * num_scenes` cases, the same on every call.
    """
    cases = []
    for number in range(num_scenes):
        rng = scene_rng("held_out", number)
        skill, turn = SKILLS[number % 4], number // 4
        wanted: dict[Kind, str] = {"yes_no": ("Yes", "No")[turn % 2], "letter": "ABCD"[(turn + turn // 4) % 4]}
        while True:
            scene = make_scene(rng, "held_out", rng.choice(sizes))
            found = [_find(rng, scene, number, kind, wanted[kind]) for kind in KINDS]
            questions = [question for question in found if question is not None and question.skill == skill]
            if len(questions) == len(KINDS):
                break
        cases += [Case(scene, question) for question in questions]
    return cases


def _find(rng: random.Random, scene: Scene, number: int, kind: Kind, answer: str) -> Question | None:
    """Return a question of this kind with this answer, or None after 40 tries."""
    for _ in range(40):
        question = make_question(rng, scene, "held_out", SKILLS[number % 4], kind)
        if question is not None and question.answer == answer:
            return question
    return None


class Asker:
    """tiny_vlm, loaded as any Qwen2.5-VL is.

    Args:
        path: Folder of the checkpoint.
    """

    def __init__(self, path: str) -> None:
        self.model = AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
        self.images = Qwen2VLImageProcessorPil.from_pretrained(path)
        self.image_token = "<|image_pad|>"

    @torch.no_grad()
    def ask(self, conversations: Sequence[tuple[list[dict[str, Any]], list[Image.Image]]]) -> list[str]:
        """Answer a batch.

        Args:
            conversations: Messages with ``{"type": "image"}`` parts, and the images in their order.

        Returns:
            What the model said, without special tokens.
        """
        texts = []
        pictures: list[Image.Image] = []
        for messages, images in conversations:
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            pieces = text.split(self.image_token)
            for index, image in enumerate(images):
                grid = self.images([image], return_tensors="pt")["image_grid_thw"][0]
                pieces[index] += self.image_token * (int(grid.prod()) // 4)
            texts.append("".join(pieces))
            pictures += images
        inputs = self.tokenizer(texts, return_tensors="pt", padding=True)
        inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        if pictures:
            inputs.update(self.images(pictures, return_tensors="pt"))
            token = self.tokenizer.convert_tokens_to_ids(self.image_token)
            inputs["mm_token_type_ids"] = (inputs["input_ids"] == token).int()
        out = self.model.generate(**inputs, max_new_tokens=8, do_sample=False)
        answers: list[str] = self.tokenizer.batch_decode(
            out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        return answers


def conversation(
    case: Case, *, blank: bool = False, system: bool = True, rng: random.Random | None = None
) -> tuple[list[dict[str, Any]], list[Image.Image]]:
    """Return messages and image of a case.

    Args:
        case: What to ask.
        blank: Show uniform grey in place of the scene.
        system: Begin with the usual system turn.
        rng: Chooses phrasings; None takes those of MME and MMMU.
    """
    image = draw(case.scene)
    if blank:
        image = Image.new("RGB", image.size, GREY)
    messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}] if system else []
    content = [{"type": "image"}, {"type": "text", "text": prompt(case.question, rng)}]
    return [*messages, {"role": "user", "content": content}], [image]


def score(asker: Asker, cases: Sequence[Case], batch_size: int = 50, **how: Any) -> dict[str, tuple[int, int]]:
    """Return right answers and questions by "skill/kind".

    Args:
        asker: The model.
        cases: What to ask.
        batch_size: Questions at once.
        **how: As for `conversation`.
    """
    table: dict[str, tuple[int, int]] = {}
    for start in range(0, len(cases), batch_size):
        part = cases[start : start + batch_size]
        said = asker.ask([conversation(case, **how) for case in part])
        for case, text in zip(part, said, strict=True):
            key = f"{case.question.skill}/{case.question.kind}"
            right, total = table.get(key, (0, 0))
            table[key] = (right + (text == case.question.answer), total + 1)
    return table


def percent(table: dict[str, tuple[int, int]], skill: str = "", kind: str = "") -> float:
    """Return the percentage right among the questions of a skill, a kind, or all."""
    rows = [row for key, row in table.items() if key.startswith(skill) and key.endswith(kind)]
    return 100 * sum(right for right, _ in rows) / sum(total for _, total in rows)


def main() -> None:
    """Read the command line, ask, and print a Markdown table."""
    parser = argparse.ArgumentParser(description="Score tiny_vlm on held-out scenes.")
    parser.add_argument("--model", default="models/tiny_vlm")
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="the first two columns only")
    parser.add_argument("--json", type=Path, default=None, help="write the counts here as well")
    args = parser.parse_args()
    began = time.monotonic()
    asker = Asker(args.model)
    cases = held_out_cases(args.scenes)
    columns = {
        "benchmark prompts": score(asker, cases),
        "image blanked": score(asker, cases, blank=True),
    }
    if not args.quick:
        columns["no system turn"] = score(asker, cases, system=False)
        columns["varied phrasings"] = score(asker, cases, rng=random.Random("tiny-vlm/phrasings"))
        columns["other image shapes"] = score(asker, held_out_cases(args.scenes, SIZES[1:]))
    print(f"| right answers in % of {len(cases)} | " + " | ".join(columns) + " |")
    print("| --- |" + " --- |" * len(columns))
    for skill in SKILLS:
        for kind, name in (("yes_no", "yes/no"), ("letter", "letter"), ("", "both")):
            cells = " | ".join(f"{percent(table, skill, kind):.1f}" for table in columns.values())
            print(f"| {skill}, {name} | {cells} |")
    for kind, name in (("yes_no", "all yes/no"), ("letter", "all letter"), ("", "overall")):
        print(f"| **{name}** | " + " | ".join(f"{percent(table, '', kind):.1f}" for table in columns.values()) + " |")
    sample = [conversation(case) for case in cases[:64]]
    together, alone = asker.ask(sample), [asker.ask([one])[0] for one in sample]
    same = sum(one == other for one, other in zip(together, alone, strict=True))
    print(f"\nBatched and one by one agree on {same} of {len(sample)}. {time.monotonic() - began:.0f} s in all.")
    if args.json is not None:
        args.json.write_text(json.dumps(columns, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
