"""What must be true of the Dockerfile, its context and the root it assembles.

    image.py PROGRAM
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCES = pathlib.Path(__file__).resolve().parents[2]


def main():
    check_dockerfile()
    with tempfile.TemporaryDirectory(prefix="roomlog-image-") as folder:
        check_context(pathlib.Path(folder) / "context")
        check_root(pathlib.Path(sys.argv[1]), pathlib.Path(folder))


def check_dockerfile():
    text = (SOURCES / "Dockerfile").read_text()
    final = text.split("\nFROM ")[-1]
    for fact in [
        "scratch\n",
        "USER 65532:65532",
        '"/usr/local/bin/roomlog", "health"]',
        'ENTRYPOINT ["/usr/local/bin/roomlog"]',
        "STOPSIGNAL SIGTERM",
    ]:
        assert fact in final, f"Dockerfile: {fact!r} is missing"
    assert "--no-default-features --features kafka-tls,msk-iam" in text, "the stand-ins stay out of the image"
    steps = [text.index(step) for step in ("cargo fetch --locked", "cargo build --locked", "infra/image/bill-of-materials")]
    assert steps == sorted(steps), "the bill needs what the build does not fetch"
    version = re.search(r'^rust-version = "(.+)"', (SOURCES / "Cargo.toml").read_text(), re.MULTILINE)[1]
    assert f"FROM rust:{version}-" in text, f"the image is built with another Rust than {version}"
    print(f"Dockerfile: from nothing, as 65532, built with Rust {version}")


def check_context(folder):
    """What .dockerignore lets through is enough for Cargo."""
    rules = [line for line in (SOURCES / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert rules[0] == "*", "everything is left out but what is named"
    for rule in rules:
        if rule.startswith("!"):
            source = SOURCES / rule[1:]
            place = folder / rule[1:]
            place.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, place, ignore=shutil.ignore_patterns("target"))
            else:
                shutil.copy2(source, place)
    told = subprocess.run([folder / "infra/image/bill-of-materials"], check=True, stdout=subprocess.PIPE)
    bill = json.loads(told.stdout)
    names = {component["name"] for component in bill["components"]}
    assert {"rdkafka", "openssl-sys", "aws-sigv4", "rustls"} <= names, "something is missing from the bill"
    assert not {"roomlog-embedded", "dynoxide-rs", "proptest", "criterion"} & names, "something is too much in it"
    references = {component["bom-ref"] for component in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    for entry in bill["dependencies"]:
        assert {entry["ref"], *entry["dependsOn"]} <= references, entry["ref"]
    # What the sources take in at build time has to be there as well.
    for file in folder.glob("**/src/**/*.rs"):
        for path in re.findall(r'include_(?:str|bytes)!\(\s*"([^"]+)"', file.read_text()):
            assert (file.parent / path).exists(), f"{file.relative_to(folder)} takes in {path}, which .dockerignore leaves out"
    (folder.parent / "bill.json").write_bytes(told.stdout)
    print(f"context: Cargo finds everything; {len(names)} crates on the bill of materials")


def check_root(program, folder):
    """The program starts in nothing but its own root, as nobody."""
    root = folder / "root"
    subprocess.run([SOURCES / "infra/image/assemble", program, folder / "bill.json", root], check=True)
    writable = [str(path) for path in root.rglob("*") if path.stat().st_mode & 0o002 and not path.is_symlink()]
    assert not writable, writable
    if os.geteuid() != 0:
        return print("not run: changing the root needs root")
    inside = [shutil.which("chroot") or "/usr/sbin/chroot", "--userspec=65532:65532", root, "/usr/local/bin/roomlog"]
    told = subprocess.run([*inside, "--version"], env={}, check=True, stdout=subprocess.PIPE, text=True).stdout
    health = subprocess.run(
        [*inside, "health"], env={"ROOMLOG_ADMIN_LISTEN": "0.0.0.0:1"}, capture_output=True, text=True, check=False
    )
    assert health.returncode == 1 and "nothing answers at 127.0.0.1:1" in health.stderr, health.stderr
    return print(f"root: {told.strip()} runs in it as 65532, with {len(list(root.rglob('*.so*')))} libraries")


if __name__ == "__main__":
    main()
