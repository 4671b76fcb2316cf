#!/usr/bin/env python3
"""Gathers what run.sh left in a folder into device.json, and prints the table that ends its output.

usage: report.py ROOT OUT ARCH yes|no      (the last one: whether there are CUDA kernels)
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


def sections(out):
    rows = []
    for line in (out / "sections.tsv").read_text().splitlines():
        name, status, seconds = line.split("\t")
        log = out / f"{name}.log"
        text = log.read_text(errors="replace") if log.exists() else ""
        skipped = next((line for line in text.splitlines() if line.startswith("skipped: ")), None)
        rows.append({"section": name, "status": "skipped" if skipped else "ok" if status == "0" else "failed",
                     "seconds": int(seconds), "reason": skipped and skipped[len("skipped: "):]})
    return rows


def tests(out):
    file = out / "tests.xml"
    if not file.exists():
        return []
    return [{"test": case.get("name"), "status": case.get("status"), "seconds": float(case.get("time", 0))}
            for case in xml.parse(file).getroot().iter("testcase")]


def benchmarks(out):
    found = {}
    for file in sorted(out.glob("*_benchmark.txt")):
        result = file.with_suffix(".json")
        found[file.stem] = json.loads(result.read_text()) if result.exists() else file.read_text().splitlines()
    return found


def main():
    root, out, arch, kernels = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4] == "yes"
    machine = (out / "machine.log").read_text().splitlines() if (out / "machine.log").exists() else []
    result = {
        "commit": git(root, "rev-parse", "HEAD"),
        "changed": git(root, "status", "--porcelain") not in ("", None),
        "arch": f"sm_{arch}",
        "cuda_kernels": kernels,
        "machine": machine,
        "sections": sections(out),
        "tests": tests(out),
        "benchmarks": benchmarks(out),
    }
    (out / "device.json").write_text(json.dumps(result, indent=2) + "\n")

    print("\n| section | status | seconds | |\n|---|---|---|---|")
    for row in result["sections"]:
        note = row["reason"] or ""
        if row["section"] == "test" and result["tests"]:
            passed = sum(test["status"] == "run" for test in result["tests"])
            note = f"{passed} of {len(result['tests'])} tests passed"
        print(f"| {row['section']} | {row['status']} | {row['seconds']} | {note} |")
    if not kernels:
        print("\nNo nvcc: nothing above ran on the GPU.")
    print(f"\nWritten: {out / 'device.json'}")


if __name__ == "__main__":
    main()
