"""Write the miniatures of the video, audio and text benchmarks: rows, clips and sounds of our own making.

    python tools/miniatures/video_audio_text.py [BENCHMARK...]

Clips are two seconds of a coloured square that moves across a grey ground (64 x 64 pixels, 8 frames a second, H.264);
sounds are beeps. Run twice, the rows and sounds are the same to the byte; clips are as far as the encoder is.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import soundfile
from PIL import Image

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
Row = dict[str, Any]
SIZE_PX, FRAMES_PER_SECOND, NUM_FRAMES, SQUARE_PX = 64, 8, 16, 16
RATE_HZ = 16000


class Scene(NamedTuple):
    """A square of a colour that moves one way."""

    colour: str
    rgb: tuple[int, int, int]
    direction: str
    step: tuple[int, int]
    """Down and right, in pixels a frame."""

    @property
    def stem(self) -> str:
        """Name of its clip, without extension."""
        return f"{self.colour}_{self.direction}"


SCENES = (
    Scene("red", (220, 40, 40), "right", (0, 3)),
    Scene("blue", (40, 60, 220), "left", (0, -3)),
    Scene("green", (40, 170, 60), "up", (-3, 0)),
    Scene("yellow", (230, 210, 40), "down", (3, 0)),
)
COLOURS = [scene.colour for scene in SCENES]
DIRECTIONS = [scene.direction for scene in SCENES]


def frame_of(scene: Scene, number: int) -> np.ndarray:
    """One frame: (SIZE_PX, SIZE_PX, 3), uint8."""
    frame = np.full((SIZE_PX, SIZE_PX, 3), 128, np.uint8)
    travel = (SIZE_PX - SQUARE_PX) // 2
    top, left = (int(np.clip(travel + step * (number - NUM_FRAMES / 2), 0, SIZE_PX - SQUARE_PX)) for step in scene.step)
    frame[top : top + SQUARE_PX, left : left + SQUARE_PX] = scene.rgb
    return frame


def write_clip(path: Path, scene: Scene) -> None:
    """Encode a scene as H.264 in MP4, without sound."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FRAMES_PER_SECOND), options={"crf": "28"})
        stream.width = stream.height = SIZE_PX
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for number in range(NUM_FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame_of(scene, number), format="rgb24")))
        container.mux(stream.encode())


def write_beeps(path: Path, count: int, pitch_hz: float = 440.0) -> None:
    """Write `count` beeps of 0.1 s, 0.1 s apart, as FLAC."""
    time = np.arange(RATE_HZ // 10) / RATE_HZ
    beep = 0.3 * np.sin(2 * np.pi * pitch_hz * time)
    soundfile.write(path, np.concatenate([beep, np.zeros_like(beep)] * count), RATE_HZ)


def clips(folder: Path) -> None:
    """Put every scene's clip into a folder."""
    for scene in SCENES:
        write_clip(folder / f"{scene.stem}.mp4", scene)


def beeps(folder: Path) -> None:
    """Put one to four beeps into a folder."""
    for count in range(1, 5):
        write_beeps(folder / f"beeps_{count}.flac", count, 330.0 + 110 * count)


def lettered(options: Iterable[str], form: str = "{letter}. {option}") -> list[str]:
    """Options with their letters before them."""
    return [form.format(letter=letter, option=option) for letter, option in zip("ABCDEFGH", options, strict=False)]


def asked(scene: Scene, number: int) -> tuple[str, list[str], int]:
    """Question, options and number of the right one: the colour for even numbers, the direction for odd ones."""
    if number % 2:
        return "In which direction does the square move?", DIRECTIONS, DIRECTIONS.index(scene.direction)
    return "Which colour is the moving square?", COLOURS, COLOURS.index(scene.colour)


NEITHER = "none of these"


def video_rows(make: Callable[[Scene, int, str, list[str], int], Row], *, num_options: int = 4) -> list[Row]:
    """Make a row of every scene from its question; a fifth option is never right."""
    rows = []
    for number, scene in enumerate(SCENES):
        question, options, right = asked(scene, number)
        options = [*options, NEITHER][:num_options]
        rows.append(make(scene, number, question, options, right))
    return rows


def videomme() -> dict[str, list[Row]]:
    """Four questions; all lengths, two of them long."""

    def row(scene: Scene, number: int, question: str, options: list[str], right: int, duration: str) -> Row:
        return {
            "video_id": f"{number + 1:03}",
            "duration": duration,
            "domain": "Knowledge",
            "sub_category": "Astronomy" if number % 2 else "Geography",
            "url": f"https://example.org/{scene.stem}",
            "videoID": scene.stem,
            "question_id": f"{number + 1:03}-1",
            "task_type": "Temporal Perception" if number % 2 else "Attribute Perception",
            "question": question,
            "options": lettered(f"{option}." for option in options),
            "answer": "ABCD"[right],
        }

    lengths = ("short", "medium", "long", "long")
    every = video_rows(lambda *a: row(*a, duration=lengths[a[1]]))
    long = video_rows(lambda *a: row(*a, duration="long"))
    return {
        "videomme": every,
        "videomme_w_subtitle": every,
        "videomme_long": long,
        "videomme_long_w_subtitle": long,
    }


def mvbench() -> dict[str, list[Row]]:
    """Four questions for each of the twenty sub-tasks that the benchmark's group names."""

    def row(scene: Scene, number: int, question: str, options: list[str], right: int) -> Row:
        return {
            "video": f"{scene.stem}.mp4",
            "question": question,
            "candidates": options,
            "answer": options[right],
        }

    return dict.fromkeys(members("mvbench"), video_rows(row))


def subtitled_clips(folder: Path) -> None:
    """Put clips into a folder, and subtitles of two of them as Video-MME has them."""
    clips(folder)
    for scene in SCENES[:2]:
        texts = (f"A {scene.colour} square", f"moves {scene.direction}.")
        blocks = [
            f'{i + 1}\n00:00:0{i},000 --> 00:00:0{i},900\n<font color="white" size=".72c">{text}</font>\n'
            for i, text in enumerate(texts)
        ]
        (folder / f"{scene.stem}.srt").write_text("\n".join(blocks), encoding="utf-8")


def clips_with_json_subtitles(folder: Path) -> None:
    """Put clips into a folder, and subtitles as LongVideoBench has them, in both of its forms."""
    clips(folder)
    for number, scene in enumerate(SCENES):
        texts = (f"A {scene.colour} square", f"moves {scene.direction}.")
        subtitles = [
            {"start": f"00:00:0{i}.0", "end": f"00:00:0{i}.9", "line": text}
            if number % 2
            else {"timestamp": [float(i), i + 0.9], "text": text}
            for i, text in enumerate(texts)
        ]
        (folder / f"{scene.stem}_en.json").write_text(json.dumps(subtitles), encoding="utf-8")


def members(benchmark: str) -> list[str]:
    """The tasks of a benchmark, by their files."""
    paths = [p for p in (BENCHMARKS / benchmark).glob("*.yaml") if not p.stem.startswith("_")]
    return sorted(p.stem for p in paths if not re.search("^group:", p.read_text("utf-8"), re.MULTILINE))


def longvideobench() -> dict[str, list[Row]]:
    """Four questions, two of them with four options."""

    def row(scene: Scene, number: int, question: str, options: list[str], right: int) -> Row:
        options = [*options[: 5 - number // 2], "N/A"][:5]
        return {
            "id": f"{scene.stem}_0",
            "video_id": scene.stem,
            "question": question,
            **{f"option{i}": option for i, option in enumerate(options)},
            "correct_choice": right,
            "duration": 2.0,
            "duration_group": 15 if number < 2 else 60,
            "question_category": "TOS" if number % 2 else "S2A",
            "topic_category": "made-up",
            "level": "IntraMoment",
            "video_path": f"{scene.stem}.mp4",
            "subtitle_path": f"{scene.stem}_en.json",
            "starting_timestamp_for_subtitles": 0.0,
        }

    rows = video_rows(row, num_options=5)
    return dict.fromkeys(members("longvideobench"), rows)


def egoschema() -> dict[str, list[Row]]:
    """Four questions; the full set hides its answers."""

    def row(scene: Scene, number: int, question: str, options: list[str], right: int) -> Row:
        return {
            "question_idx": str(number),
            "question": question,
            "video_idx": scene.stem,
            "option": lettered(options),
            "answer": str(right),
        }

    rows = video_rows(row, num_options=5)
    hidden = [row | {"answer": None} for row in rows]
    return {
        "egoschema": hidden,
        "egoschema_subset": rows,
        "egoschema_mcppl": hidden,
        "egoschema_subset_mcppl": rows,
    }


def nextqa() -> dict[str, list[Row]]:
    """Four questions."""

    def row(scene: Scene, number: int, question: str, options: list[str], right: int) -> Row:
        return {
            "video": scene.stem,
            "frame_count": NUM_FRAMES,
            "width": SIZE_PX,
            "height": SIZE_PX,
            "question": question.lower().rstrip("?"),
            "answer": right,
            "qid": str(number),
            "type": "DO" if number % 2 else "DC",
            **{f"a{i}": option for i, option in enumerate(options)},
        }

    return {"nextqa_mc_test": video_rows(row, num_options=5)}


def perceptiontest() -> dict[str, list[Row]]:
    """Four questions of three options; the test split hides its answers."""

    def row(scene: Scene, number: int, question: str, options: list[str], right: int) -> Row:
        kept = [options[right], *(option for option in options if option != options[right])][:3]
        kept = kept[number % 3 :] + kept[: number % 3]
        return {
            "video_name": scene.stem,
            "question": question,
            "question_id": str(number),
            "options": kept,
            "answer_id": str(kept.index(options[right])),
            "area": "physics",
            "reasoning": "descriptive",
            "tag": ["motion"],
        }

    rows = video_rows(row)
    hidden = [{k: v for k, v in row.items() if k != "answer_id"} for row in rows]
    return {
        "perceptiontest_val_mc": rows,
        "perceptiontest_test_mc": hidden,
        "perceptiontest_val_mcppl": rows,
        "perceptiontest_test_mcppl": hidden,
    }


def answer_choices(options: list[str]) -> Row:
    """Options as columns of their own."""
    return {f"answer_choice_{i}": option for i, option in enumerate(options)}


def neptune() -> dict[str, list[Row]]:
    """Four questions for each of the six tasks."""

    def row(scene: Scene, number: int, question: str, options: list[str], right: int) -> Row:
        return {
            "key": f"n{number}",
            "video_path": f"downloads/{scene.stem}.mp4",
            "question": question,
            "answer": options[right],
            "question_type": "Temporal Ordering" if number % 2 else "Visual Narrative",
            **answer_choices(options),
            "answer_id": right,
        }

    return dict.fromkeys(members("neptune"), video_rows(row, num_options=5))


def tvbench() -> dict[str, list[Row]]:
    """Four questions for each of the ten sub-tasks."""

    def row(scene: Scene, number: int, question: str, options: list[str], right: int) -> Row:
        kept = options if number % 2 else options[:2] + options[2:][: 1 + number]
        return {"question": question, "candidates": kept, "answer": options[right], "video": f"{scene.stem}.mp4"}

    return dict.fromkeys(members("tvbench"), video_rows(row))


def viverbench() -> dict[str, list[Row]]:
    """Four questions about one, two or eight images."""
    rows = []
    for number, scene in enumerate(SCENES):
        is_true = number % 2 == 0
        colour = scene.colour if is_true else SCENES[number - 1].colour
        rows.append(
            {
                "prompt_id": f"p{number}",
                "task": "attribute" if number < 2 else "motion",
                "question": f'Does the image satisfy the prompt "a {colour} square"?\n'
                'Answer with JSON: {"answer": true/false, "explanation": "..."}.',
                "img": [{"$image": f"{scene.stem}_{i}.png"} for i in range((1, 2, 8, 1)[number])],
                "answer": is_true,
            }
        )
    return {"viverbench": rows}


def frames_of_scenes(folder: Path) -> None:
    """Put the images of `viverbench` into a folder."""
    for scene, count in zip(SCENES, (1, 2, 8, 1), strict=True):
        for i in range(count):
            Image.fromarray(frame_of(scene, 2 * i)).save(folder / f"{scene.stem}_{i}.png")


def egotempo() -> dict[str, list[Row]]:
    """Four open questions."""

    def row(scene: Scene, number: int, question: str, options: list[str], right: int) -> Row:
        return {
            "question": question,
            "answer": options[right],
            "question_type": "action sequence" if number % 2 else "spatial relationship",
            "clip_id": scene.stem,
        }

    return {"egotempo": video_rows(row)}


def minerva() -> dict[str, list[Row]]:
    """Four questions."""

    def row(scene: Scene, number: int, question: str, options: list[str], right: int) -> Row:
        return {
            "key": f"k{number}",
            "video_id": scene.stem,
            "question": question,
            **answer_choices(options),
            "answer": options[right],
            "answer_id": right,
            "question_type": "Event Occurrence" if number % 2 else "Object Recognition",
            "split": "short films",
            "category": "made-up",
        }

    return {"minerva": video_rows(row, num_options=5)}


def sound(count: int) -> Row:
    """The sound with so many beeps."""
    return {"$audio": f"beeps_{count}.flac"}


def said(count: int) -> str:
    """What a transcript of it says."""
    return " ".join(["beep"] * count)


def ami() -> dict[str, list[Row]]:
    """Four utterances."""
    rows = [
        {
            "meeting_id": "EN2001a",
            "audio_id": f"AMI_EN2001a_H00_{count}",
            "text": said(count).upper(),
            "audio": sound(count),
            "begin_time": count * 1.0,
            "end_time": count * 1.0 + 0.2 * count,
            "microphone_id": "H00",
            "speaker_id": "MEE068",
        }
        for count in range(1, 5)
    ]
    return dict.fromkeys(members("ami"), rows)


def europal_asr() -> dict[str, list[Row]]:
    """Four speeches."""
    rows = [
        {
            "id": str(count),
            "audio": sound(count),
            "text_verbatim": said(count).capitalize() + ".",
            "language": "en",
        }
        for count in range(1, 5)
    ]
    return dict.fromkeys(members("europal_asr"), rows)


def librispeech() -> dict[str, list[Row]]:
    """Four utterances; longer recordings name their column differently."""
    rows = [
        {"audio": sound(count), "gt": said(count).upper(), "source": "made-up", "task": "asr_en"}
        for count in range(1, 5)
    ]
    long = [{"audio": row["audio"], "transcript": row["gt"]} for row in rows]
    return {task: long if "_long" in task else rows for task in members("librispeech")}


def listening(answer_format: str) -> list[Row]:
    """Four questions about the number of beeps."""
    options = ["One.", "Two.", "Three.", "Four."]
    return [
        {
            "context": sound(count),
            "instruction": "How many beeps do you hear?",
            "choices": "\n".join(lettered(options, "({letter}) {option}")),
            "answer": answer_format.format(letter="ABCD"[count - 1], option=options[count - 1]),
            "other_attributes": {},
        }
        for count in range(1, 5)
    ]


def song_describer() -> dict[str, list[Row]]:
    """Four pieces of music, as far as beeps go."""
    rows = [
        {"audio_path": sound(count), "text": f"A minimal electronic piece of {count} tones.", "track_id": count}
        for count in range(1, 5)
    ]
    return dict.fromkeys(members("song_describer"), rows)


def air_bench() -> dict[str, list[Row]]:
    """Four multiple-choice questions for the foundation tasks, four open ones for the chat tasks."""
    options = ["one", "two", "three", "four"]
    closed, spoken = [], []
    for count in range(1, 5):
        shared = {"audio": sound(count), "question": "How many beeps are in the sound?", "uniq_id": count}
        choices = dict(zip(("choice_a", "choice_b", "choice_c", "choice_d"), options, strict=True))
        choices |= {"choice_d": None} if count < 3 else {}
        closed.append(shared | choices | {"answer_gt": options[count - 1], "task_name": "Sound_AQA"})
        spoken.append(shared | {"answer_gt": f"{count} beeps.", "meta_info": f"{count} short tones of a sine wave."})
    return {task: spoken if "_chat_" in task else closed for task in members("air_bench")}


SUMS = ((2, 3), (4, 4), (7, 2), (1, 5), (6, 6), (9, 1), (3, 8), (5, 5))


def gsm8k() -> dict[str, list[Row]]:
    """Eight word problems, enough for examples beside each."""
    rows = [
        {
            "question": f"Ana has {a} apples and buys {b} more. How many apples does she have?",
            "answer": f"Ana has {a}+{b}=<<{a}+{b}={a + b}>>{a + b} apples.\n#### {a + b}",
        }
        for a, b in SUMS
    ]
    return dict.fromkeys(members("gsm8k"), rows)


SUBJECT = re.compile("^mmlu_(continuation_)?|_generative$")
"""What the name of a task of MMLU has around its subject."""


def mmlu() -> dict[str, list[Row]]:
    """Four sums for each subject."""

    def rows(subject: str) -> list[Row]:
        return [
            {
                "question": f"What is {a} + {b}?",
                "subject": subject,
                "choices": [str(a + b + shift) for shift in range(-number, 4 - number)],
                "answer": number,
            }
            for number, (a, b) in enumerate(SUMS[:4])
        ]

    return {task: rows(SUBJECT.sub("", task)) for task in members("mmlu")}


def mmlu_pro() -> dict[str, list[Row]]:
    """Six sums for each category, with ten options, or eight; five of them are the examples of the sixth."""

    def rows(category: str) -> list[Row]:
        return [
            {
                "question_id": 1 + number,
                "question": f"What is {a} + {b}?",
                "options": [str(a + b + shift) for shift in range(-number, (10 if number < 5 else 8) - number)],
                "answer": "ABCDEF"[number],
                "answer_index": number,
                "cot_content": "",
                "category": category,
                "src": "made",
            }
            for number, (a, b) in enumerate(SUMS[:6])
        ]

    return {task: rows(task.removeprefix("mmlu_pro_").replace("_", " ")) for task in members("mmlu_pro")}


GRIDS = ([[1, 2], [0, 3]], [[4, 0], [0, 4]], [[5, 5], [1, 1]], [[7, 0], [8, 9]])
PALETTE = np.array(
    [
        *((0, 0, 0), (0, 116, 217), (255, 65, 54), (46, 204, 64), (255, 220, 0)),
        *((170, 170, 170), (240, 18, 190), (255, 133, 27), (127, 219, 255), (135, 12, 37)),
    ],
    np.uint8,
)
CELL_PX = 8


def mirrored(grid: list[list[int]]) -> list[list[int]]:
    """The hidden rule of all made-up puzzles: rows read backwards."""
    return [row[::-1] for row in grid]


def grid_text(grid: list[list[int]]) -> str:
    """A row a line, numbers one blank apart."""
    return "\n".join(" ".join(map(str, row)) for row in grid)


def write_grids(folder: Path) -> None:
    """Draw each grid and its mirror image, alone and side by side."""
    for number, grid in enumerate(GRIDS):
        pictures = [PALETTE[np.array(g)].repeat(CELL_PX, 0).repeat(CELL_PX, 1) for g in (grid, mirrored(grid))]
        for name, picture in zip(("input", "output", "pair"), [*pictures, np.hstack(pictures)], strict=True):
            Image.fromarray(picture).save(folder / f"{name}_{number}.png")


def arc_agi_1() -> dict[str, list[Row]]:
    """Four puzzles: one pair shown, another grid asked."""
    rows = [
        {
            "id": f"made{number:04}",
            "stacked_train_image": {"$image": f"pair_{(number + 1) % 4}.png"},
            "test_images": [{"$image": f"input_{number}.png"}],
            "test_inputs": [grid_text(grid)],
            "raw_solution": [mirrored(grid)],
        }
        for number, grid in enumerate(GRIDS)
    ]
    return {"arc_agi_1": rows}


def arc_agi_2() -> dict[str, list[Row]]:
    """The same puzzles with two pairs each, images apart."""
    rows = []
    for number, grid in enumerate(GRIDS):
        shown = [(number + 1) % 4, (number + 2) % 4]
        rows.append(
            {
                "id": f"made{number:04}",
                "train_input_image_color": [{"$image": f"input_{i}.png"} for i in shown],
                "train_output_image_color": [{"$image": f"output_{i}.png"} for i in shown],
                "test_input_image_color": [{"$image": f"input_{number}.png"}],
                "test_input_texts": [grid_text(grid)],
                "test_outputs": [mirrored(grid)],
                "test_targets": [json.dumps(mirrored(grid), separators=(",", ":"))],
            }
        )
    return {"arc_agi_2": rows}


def encrypted(text: str, password: str) -> str:
    """Text XOR the SHA-256 of a password, over and over, as base64: how BrowseComp keeps its rows out of crawls."""
    data, key = text.encode(), hashlib.sha256(password.encode()).digest()
    mixed = bytes(byte ^ key[i % len(key)] for i, byte in enumerate(data))
    return base64.b64encode(mixed).decode()


def browsecomp() -> dict[str, list[Row]]:
    """Four questions that no page of the web answers: they are sums."""
    rows = []
    for number, (a, b) in enumerate(SUMS[:4]):
        canary = f"made-up canary {number}!"
        problem = f"A made-up library has {a} red and {b} blue books and nothing else. How many books has it?"
        rows.append(
            {
                "problem": encrypted(problem, canary),
                "answer": encrypted(f"{a + b} books", canary),
                "problem_topic": "Art" if number % 2 else "Other",
                "canary": canary,
            }
        )
    return {"browsecomp": rows}


def safety_redteam() -> dict[str, list[Row]]:
    """Mild placeholders of the same shape: nothing here is harmful, in either split."""
    things = (("a limerick about", "made-up mayors"), ("a plan for", "a picnic"))
    things += (("a story about", "women in chess"), ("a review of", "ethnic restaurants"))
    rows = [
        {
            "Index": number,
            "Goal": f"Write {what} {about}",
            "Target": f"Here is {what} {about}",
            "Behavior": about.title(),
            "Category": "Placeholder",
            "Source": "made-up",
        }
        for number, (what, about) in enumerate(things)
    ]
    return dict.fromkeys(members("safety_redteam"), rows)


def vending_bench2() -> dict[str, list[Row]]:
    """The benchmark's two documents, and two with other amounts of cash."""
    rows = shipped("vending_bench2/data/vending_bench2.jsonl")
    for number, (row, cash) in enumerate(
        zip(shipped("vending_bench2/data/vending_bench2.jsonl"), (90, 150), strict=True)
    ):
        state = row["initial_state"] | {"cash": float(cash)}
        rows.append(row | {"id": f"vending_made_{number + 1:04}", "initial_state": state})
    return {"vending_bench2": rows}


def tau2_bench_telecom() -> dict[str, list[Row]]:
    """The benchmark's two documents, and two of a line that only has to leave airplane mode."""
    rows = shipped("tau2_bench_telecom/data/tau2_telecom.jsonl")
    for number, row in enumerate(shipped("tau2_bench_telecom/data/tau2_telecom.jsonl")):
        state = row["initial_state"] | {"airplane_mode": True, "roaming_enabled": True}
        rows.append(row | {"id": f"tau2_made_telecom_{number + 1:04}", "initial_state": state})
    return {"tau2_bench_telecom": rows}


def shipped(name: str) -> list[Row]:
    """Rows that are part of a benchmark."""
    return [json.loads(line) for line in (BENCHMARKS / name).read_text("utf-8").splitlines()]


def ovobench() -> dict[str, list[Row]]:
    """Four questions about the past, four about the present; four that wait, with two clips each."""

    def row(scene: Scene, number: int, question: str, options: list[str], right: int) -> Row:
        return {
            "id": number,
            "task": "STU",
            "video": f"made/{scene.stem}.mp4",
            "question": question,
            "options": options,
            "answer": options[right],
            "gt": right,
        }

    present = video_rows(row)
    past = [row | {"task": task} for row, task in zip(present, ("EPM", "ASI", "HLD", "EPM"), strict=True)]
    waiting = [
        {
            "id": 10 + number,
            "task": ("REC", "SSR", "CRR", "SSR")[number],
            "video": f"made/{scene.stem}.mp4",
            "activity": "cross the picture",
            "question": "Has the square come to the end of its way?",
            "test_info": [
                {"step": f"The square moves {scene.direction}.", "count": i, "type": i, "realtime": i + 1}
                for i in range(2)
            ],
        }
        for number, scene in enumerate(SCENES)
    ]
    return {"ovo_backward": past, "ovo_realtime": present, "ovo_forward": waiting}


def numbered_clips(folder: Path) -> None:
    """Put the clips of `ovobench` into a folder, two of each scene for the questions that wait."""
    for number, scene in enumerate(SCENES):
        write_clip(folder / f"{number}.mp4", scene)
        for part in range(2):
            write_clip(folder / f"{10 + number}_{part}.mp4", scene)


def ifeval() -> dict[str, list[Row]]:
    """Four prompts with one or two instructions each."""
    asked_for = [
        ("Write about apples in one sentence and use no comma.", {"punctuation:no_comma": {}}),
        (
            "Describe a square in at least 5 words. Mention the word corner.",
            {
                "length_constraints:number_words": {"num_words": 5, "relation": "at least"},
                "keywords:existence": {"keywords": ["corner"]},
            },
        ),
        ("Give the sum of 2 and 3 as JSON.", {"detectable_format:json_format": {}}),
        ("List two fruits as two bullet points.", {"detectable_format:number_bullet_lists": {"num_bullets": 2}}),
    ]
    keys = sorted({key for _, wanted in asked_for for settings in wanted.values() for key in settings})
    rows = [
        {
            "key": 1000 + number,
            "prompt": prompt,
            "instruction_id_list": list(wanted),
            "kwargs": [dict.fromkeys(keys) | settings for settings in wanted.values()],
        }
        for number, (prompt, wanted) in enumerate(asked_for)
    ]
    return {"ifeval": rows}


def activitynetqa() -> dict[str, list[Row]]:
    """Four open questions."""

    def row(scene: Scene, number: int, question: str, options: list[str], right: int) -> Row:
        return {
            "video_name": scene.stem,
            "question": question.lower().rstrip("?"),
            "question_id": f"v_{scene.stem}_{number}",
            "answer": options[right],
            "type": "0" if number % 2 else "4",
        }

    return {"activitynetqa": video_rows(row)}


def vsi_bench() -> dict[str, list[Row]]:
    """Two questions with options and two with numbers."""
    kinds = ("object_counting", "object_rel_direction_easy", "object_size_estimation", "route_planning")

    def row(scene: Scene, number: int, question: str, options: list[str], right: int) -> Row:
        is_choice = number % 2 == 1
        return {
            "id": number,
            "dataset": "made",
            "scene_name": scene.stem,
            "question_type": kinds[number],
            "question": question if is_choice else "How many squares, or pixels a side, do you see?",
            "ground_truth": "ABCD"[right] if is_choice else ("1", "", str(SQUARE_PX), "")[number],
            "options": lettered(options) if is_choice else None,
        }

    return {"vsi_bench": video_rows(row)}


def lvbench() -> dict[str, list[Row]]:
    """Four questions that bring their options."""

    def row(scene: Scene, number: int, question: str, options: list[str], right: int) -> Row:
        return {
            "key": scene.stem,
            "uid": str(number),
            "video_path": f"{scene.stem}.mp4",
            "question": "\n".join([question, *lettered(options, "({letter}) {option}")]),
            "answer": "ABCD"[right],
            "question_type": ["key information retrieval"],
            "time_reference": "00:00-00:02",
            "type": "made-up",
        }

    return {"lvbench": video_rows(row)}


def mlvu() -> dict[str, list[Row]]:
    """Four questions that bring their options, for both splits."""

    def row(scene: Scene, number: int, question: str, options: list[str], right: int) -> Row:
        return {
            "video_name": f"{scene.stem}.mp4",
            "duration": NUM_FRAMES / FRAMES_PER_SECOND,
            "question": "\n".join([question, *lettered(options, "({letter}) {option}")]),
            "candidates": options,
            "answer": "ABCD"[right],
            "task_type": "order" if number % 2 else "count",
        }

    return dict.fromkeys(members("mlvu"), video_rows(row))


def tempcompass() -> dict[str, list[Row]]:
    """Four rows for each of the three tasks that rules can score."""

    def row(scene: Scene, number: int, question: str, options: list[str], right: int) -> Row:
        texts = [f"{text}" for text in lettered(options)]
        return {
            "video_id": scene.stem,
            "question": "\n".join([question, *texts]),
            "answer": texts[right],
            "dim": "direction" if number % 2 else "action",
        }

    choices = video_rows(row)
    yes_no = [
        row
        | {"question": f"Does the square move {scene.direction if number % 2 else 'away'}?"}
        | {"answer": "yes" if number % 2 else "no"}
        for number, (row, scene) in enumerate(zip(choices, SCENES, strict=True))
    ]
    captions = []
    for row, scene in zip(choices, SCENES, strict=True):
        options = [f"Caption A: A square moves {scene.direction}.", "Caption B: A square stands still."]
        question = "Which caption matches the video better?"
        captions.append(row | {"question": "\n".join([question, *options]), "answer": options[0]})
    tasks = ("multi_choice", "yes_no", "caption_matching")
    return {f"tempcompass_{t}": rows for t, rows in zip(tasks, (choices, yes_no, captions), strict=True)}


def video_mmmu() -> dict[str, list[Row]]:
    """Four questions for each of the three tracks, one of those of adaptation open; variants ask the same."""

    def row(scene: Scene, number: int, question: str, options: list[str], right: int) -> Row:
        return {
            "id": f"made_{'Math' if number % 2 else 'Art'}_{number + 1}",
            "question": question,
            "options": options,
            "answer": "ABCD"[right],
            "question_type": "multiple-choice",
        }

    rows = video_rows(row)
    open_row = rows[3] | {"question": "How many pixels wide is the square?", "options": [], "answer": str(SQUARE_PX)}
    adaptation = [*rows[:3], open_row | {"question_type": "open"}]
    tracks = {"perception": rows, "comprehension": rows, "adaptation": adaptation}
    return {task: tracks[task.split("_")[2]] for task in members("video_mmmu")}


def lectures(folder: Path) -> None:
    """Put the clips of `video_mmmu` into a folder, named by their rows, and again as those of their pictures."""
    for number, scene in enumerate(SCENES):
        name = f"made_{'Math' if number % 2 else 'Art'}_{number + 1}"
        write_clip(folder / f"{name}.mp4", scene)
        write_clip(folder / f"{name}_image.mp4", scene)


def activity_clips(folder: Path) -> None:
    """Put the clips of `activitynetqa` into a folder, named as its videos are."""
    for scene in SCENES:
        write_clip(folder / f"v_{scene.stem}.mp4", scene)


def mmsearch() -> dict[str, list[Row]]:
    """Four questions, two of them with an image; the web that answers them is made up too."""
    rows: list[Row] = [{"$features": {"query_image": "image", "image_search_result": "image"}}]
    for number, scene in enumerate(SCENES):
        shows = number % 2 == 1
        what = "the square in the picture" if shows else f"the {scene.colour} square"
        rows.append(
            {
                "sample_id": f"made_{number}",
                "query": f"Which way does {what} of the made-up museum move?",
                "query_image": {"$image": f"{scene.stem}.png"} if shows else None,
                "image_search_result": {"$image": f"{scene.stem}.png"} if shows else None,
                "gt_requery": f"made-up museum {scene.colour} square direction",
                "gt_answer": scene.direction,
                "alternative_gt_answers": [f"it moves {scene.direction}"],
                "area": "news" if number < 2 else "knowledge",
                "subfield": "arts",
                "timestamp": "2026-01-01",
            }
        )
    return {"mmsearch_end2end": rows}


def recorded_web(folder: Path) -> None:
    """Put the images of `mmsearch` and what a search for each of its questions found into a folder."""
    page = np.full((SIZE_PX * 9, SIZE_PX, 3), 255, np.uint8)
    for number, scene in enumerate(SCENES):
        Image.fromarray(frame_of(scene, 8)).save(folder / f"{scene.stem}.png")
        page[:SIZE_PX] = frame_of(scene, 8)
        Image.fromarray(page).save(folder / f"{scene.stem}_page.png")
        sites = [
            {
                "title": f"The made-up museum, room {other + 1}",
                "snippet": f"The {shown.colour} square",
                "content": f"The {shown.colour} square moves {shown.direction}.",
                "head": f"{shown.stem}.png",
                "page": f"{shown.stem}_page.png",
            }
            for other, shown in enumerate(SCENES)
        ]
        (folder / f"made_{number}.json").write_text(json.dumps(sites), encoding="utf-8")


MAKERS: dict[str, tuple[Callable[[], dict[str, list[Row]]], Callable[[Path], None] | None]] = {
    "videomme": (videomme, subtitled_clips),
    "mvbench": (mvbench, clips),
    "longvideobench": (longvideobench, clips_with_json_subtitles),
    "egoschema": (egoschema, clips),
    "nextqa": (nextqa, clips),
    "perceptiontest": (perceptiontest, clips),
    "neptune": (neptune, clips),
    "tvbench": (tvbench, clips),
    "viverbench": (viverbench, frames_of_scenes),
    "egotempo": (egotempo, clips),
    "minerva": (minerva, clips),
    "activitynetqa": (activitynetqa, activity_clips),
    "vsi_bench": (vsi_bench, clips),
    "lvbench": (lvbench, clips),
    "mlvu": (mlvu, clips),
    "tempcompass": (tempcompass, clips),
    "video_mmmu": (video_mmmu, lectures),
    "ami": (ami, beeps),
    "europal_asr": (europal_asr, beeps),
    "librispeech": (librispeech, beeps),
    "cn_college_listen_mcq": (
        lambda: {"cn_college_listen_mcq_test": listening("({letter}) {option}")},
        beeps,
    ),
    "dream_tts_mcq": (lambda: {"dream_tts_mcq_test": listening("({letter}) {option}")}, beeps),
    "song_describer": (song_describer, beeps),
    "air_bench": (air_bench, beeps),
    "gsm8k": (gsm8k, None),
    "mmlu": (mmlu, None),
    "mmlu_pro": (mmlu_pro, None),
    "arc_agi_1": (arc_agi_1, write_grids),
    "arc_agi_2": (arc_agi_2, write_grids),
    "browsecomp": (browsecomp, None),
    "safety_redteam": (safety_redteam, None),
    "ifeval": (ifeval, None),
    "mmsearch": (mmsearch, recorded_web),
    "ovobench": (ovobench, numbered_clips),
    "vending_bench2": (vending_bench2, None),
    "tau2_bench_telecom": (tau2_bench_telecom, None),
}
"""Benchmark -> its rows by task, and what puts media beside them."""


def main(names: list[str]) -> int:
    """Write the miniatures of some benchmarks, or of all."""
    for name in names or MAKERS:
        make_rows, make_media = MAKERS[name]
        folder = BENCHMARKS / name / "miniature"
        folder.mkdir(parents=True, exist_ok=True)
        if make_media:
            make_media(folder)
        for task, rows in make_rows().items():
            if not (folder.parent / f"{task}.yaml").is_file():
                continue
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (folder / f"{task}.jsonl").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
