#!/usr/bin/env python3
"""Gathers what run.sh left in two folders into device.json, and prints the table that ends its output.

usage: report.py ROOT OUT WORK ARCH yes|no      (the last one: whether there are CUDA kernels)

OUT has a log of each section and gets device.json; WORK has sections.tsv, running.tsv while a section runs, tests.xml
(GoogleTest's or CTest's), and of each benchmark NAME.txt and, where it writes that, NAME.json.
"""
import json
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as xml


def git(root, *arguments):
    try:
        done = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def sections(out, work):
    rows = []
    files = [file for file in (work / "sections.tsv", work / "running.tsv") if file.exists()]
    for line in (line for file in files for line in file.read_text().splitlines()):
        name, status, seconds = line.split("\t")
        log = out / f"{name}.log"
        text = log.read_text(errors="replace") if log.exists() else ""
        skipped = next((line for line in text.splitlines() if line.startswith("skipped: ")), None)
        word = {"0": "ok", "cut off": "cut off"}.get(status, "failed")
        rows.append({"section": name, "status": "skipped" if skipped else word, "seconds": int(seconds),
                     "reason": skipped and skipped[len("skipped: "):]})
    return rows


def tests(work):
    try:
        cases = xml.parse(work / "tests.xml").getroot().iter("testcase")
    except (OSError, xml.ParseError):  # none, or one that was being written
        return []
    return [{"test": f"{case.get('classname')}.{case.get('name')}", "status": outcome(case),
             "seconds": float(case.get("time", 0))} for case in cases]


def outcome(case):
    if case.find("failure") is not None or case.get("status") == "fail":
        return "failed"
    if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
        return "skipped"
    return "passed"


def benchmarks(work):
    return {file.stem: rows(file) for file in sorted(work.glob("*.txt"))}


def rows(file):
    try:
        return json.loads(file.with_suffix(".json").read_text())
    except (OSError, ValueError):  # none, or one that was being written
        return file.read_text(errors="replace").splitlines()


def main():
    root, out, work = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    arch, kernels = sys.argv[4], sys.argv[5] == "yes"
    machine = (out / "machine.log").read_text().splitlines() if (out / "machine.log").exists() else []
    result = {
        "commit": git(root, "rev-parse", "HEAD"),
        "changed": git(root, "status", "--porcelain") not in ("", None),
        "arch": f"sm_{arch}",
        "cuda_kernels": kernels,
        "machine": machine,
        "sections": sections(out, work),
        "tests": tests(work),
        "benchmarks": benchmarks(work),
    }
    (out / "device.json").write_text(json.dumps(result, indent=2) + "\n")

    print("\n| section | status | seconds | |\n|---|---|---|---|")
    for row in result["sections"]:
        note = row["reason"] or ""
        if row["section"] == "test" and result["tests"]:
            passed = sum(test["status"] == "passed" for test in result["tests"])
            note = f"{passed} of {len(result['tests'])} tests passed"
        print(f"| {row['section']} | {row['status']} | {row['seconds']} | {note} |")
    if not kernels:
        print("\nNo nvcc: nothing above ran on the GPU.")
    print(f"\nWritten: {out / 'device.json'}")


if __name__ == "__main__":
    main()
