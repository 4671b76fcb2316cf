#!/usr/bin/env python3
"""Whole training steps of Graft and of PyTorch + PEFT, in turn: one process for each method and round, contenders next to
each other in time, ratios within a round, medians over the rounds. Prints a table, writes JSON with --out.

usage: run.py [--python PYTHON_WITH_TORCH_AND_PEFT] [--dtypes bf16,f32] [--shape 30m] [--methods …] [--passes 3] [--rounds 8]

Graft must be built (./mvnw -DskipTests package). Without --python this Python is asked for torch and PEFT; where it has not
both, only Graft runs.
"""
import argparse
import importlib.util
import json
import pathlib
import platform
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def graft(arguments):
    target = ROOT / "benchmarks/jmh/target"
    classes = f"{target / 'classes'}:{(target / 'classpath.txt').read_text().strip()}"
    return ["java", "-Xmx256m", "-cp", classes, "io.graft.benchmarks.TrainingStep", *arguments]


def measure(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command[:1] + command[-5:])} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def machine():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{line.split(':')[1].strip()}, {len(__import__('os').sched_getaffinity(0))} processors"
    return platform.processor()


def shown(arguments):
    """The command without the places that are this machine's own."""
    return re.sub(r" --out \S+", "", re.sub(r"(--python) \S+", r"\1 PYTHON", " ".join(arguments)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python")
    parser.add_argument("--dtypes", default="bf16,f32")
    parser.add_argument("--shape", default="30m")
    parser.add_argument("--methods", default="frozen,lora,lora_dropout,full")
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--out")
    options = parser.parse_args()

    if not options.python:
        missing = [name for name in ("torch", "transformers", "peft") if importlib.util.find_spec(name) is None]
        if missing:
            print(f"PEFT is left out: {sys.executable} has no {', '.join(missing)} (--python names another)", file=sys.stderr)
        else:
            options.python = sys.executable

    rows = []
    for round_number in range(options.passes):
        for dtype in options.dtypes.split(","):
            for method in options.methods.split(","):
                arguments = [method, dtype, options.shape, str(options.rounds)]
                contenders = {"graft": graft(arguments)}
                if options.python:
                    contenders["peft"] = [options.python, str(HERE / "peer.py"), *arguments]
                for who, command in contenders.items():
                    row = dict(who=who, round=round_number, **measure(command))
                    rows.append(row)
                    print(f"{who:6s} {dtype:5s} {method:13s} {row['ms']:8.1f} ms {row['peak_rss_mb']:6d} MB",
                          file=sys.stderr, flush=True)
    print_table(rows)
    if options.out:
        commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True,
                                text=True).stdout.strip()
        pathlib.Path(options.out).write_text(json.dumps(dict(
            machine=machine(), commit=commit,
            command="benchmarks/step/run.py " + shown(sys.argv[1:]), rows=rows),
            indent=1) + "\n")


def print_table(rows):
    def values(who, dtype, method, field):
        return [r[field] for r in rows if (r["who"], r["dtype"], r["method"]) == (who, dtype, method)]

    def ratio(above, below):
        return f"{statistics.median(a / b for a, b in zip(above, below)):.2f}" if above and below else "-"

    print(f"{'dtype':5s} {'method':13s} {'graft ms':>9s} {'x frozen':>8s} {'peft ms':>9s} {'x frozen':>8s} "
          f"{'tokens/s, graft/peft':>21s} {'graft MB':>9s} {'peft MB':>8s} {'ratio':>6s} {'Java B/step':>12s}")
    for dtype in dict.fromkeys(r["dtype"] for r in rows):
        for method in dict.fromkeys(r["method"] for r in rows):
            ours, theirs = values("graft", dtype, method, "ms"), values("peft", dtype, method, "ms")
            mb, their_mb = values("graft", dtype, method, "peak_rss_mb"), values("peft", dtype, method, "peak_rss_mb")
            print(f"{dtype:5s} {method:13s} {statistics.median(ours):9.1f} "
                  f"{ratio(ours, values('graft', dtype, 'frozen', 'ms')):>8s} "
                  f"{statistics.median(theirs) if theirs else float('nan'):9.1f} "
                  f"{ratio(theirs, values('peft', dtype, 'frozen', 'ms')):>8s} {ratio(theirs, ours):>21s} "
                  f"{statistics.median(mb):9.0f} {statistics.median(their_mb) if their_mb else float('nan'):8.0f} "
                  f"{ratio(mb, their_mb):>6s} {statistics.median(values('graft', dtype, method, 'java_bytes_per_step')):12.0f}")


main()
