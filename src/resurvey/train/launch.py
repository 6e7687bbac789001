"""Starting a training: in this process, or by torchrun with one process for each of several GPUs.

`python -m resurvey.train FOLDER MODEL` is what torchrun starts; the folder holds the lesson.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from resurvey.errors import Problem, ResurveyError
from resurvey.search.encode import load as load_model
from resurvey.train.fit import fit
from resurvey.train.task import Course, Lesson, load, save
from resurvey.types import Progress, silent
from resurvey.workspace import read_json


def learn(source: str, lesson: Lesson, folder: Path, progress: Progress = silent) -> Course:
    """Train the model of a name on a lesson, on all GPUs there are, or on the CPU.

    Raises:
        ResurveyError: when a training process of several ends with an error.
    """
    import torch

    save(lesson, folder)
    several = torch.cuda.device_count()
    if several < 2:
        return fit(load_model(source).model, lesson, folder, progress)
    return spread(source, folder, several)


def spread(source: str, folder: Path, processes: int) -> Course:
    """Train with several processes, each of which sees its share of the batches."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [*command, "-m", "resurvey.train", str(folder), source], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ResurveyError(
            [Problem(str(folder), f"training on {processes} processes ended with {done.returncode}: {_cause(done)}")],
            "CUDA_VISIBLE_DEVICES=0 and the same command again trains on one GPU",
        )
    return Course(folder, read_json(folder / "log.json")["rows"])


def _cause(done: subprocess.CompletedProcess[str]) -> str:
    """The first error that one of the processes named; torchrun's own summary follows them all."""
    named = re.search(r"^(?:\[rank\d+\]: *)?((?:\w+\.)*\w*(?:Error|Exception)\b.*)", done.stderr, re.MULTILINE)
    return named[1] if named else (done.stderr.strip() or "it said nothing").splitlines()[-1]


def main(arguments: list[str]) -> None:
    """One of torchrun's processes."""
    import torch

    folder, source = arguments
    gpu = torch.cuda.is_available()
    torch.distributed.init_process_group("nccl" if gpu else "gloo")
    model = load_model(source).model
    if gpu:
        model.to(f"cuda:{os.environ['LOCAL_RANK']}")
    fit(model, load(Path(folder)), Path(folder))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
