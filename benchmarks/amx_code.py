"""What the compiler makes of llama.cpp's AMX code, with and without scripts/llama.cmake.

    python -m benchmarks.amx_code [source.tar.gz]

AMX's tile configuration is a block of 64 bytes on the stack, which `ldtilecfg` reads. GCC 12 does
not see that, and removes the stores that fill it. This program compiles that one file of
llama.cpp for a processor with AMX and counts the stores to the block just before `ldtilecfg`. It
needs no such processor, but GCC for x86-64, cmake, ninja and objdump; and pip, to fetch the source
unless it is named.
"""

import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
OBJECT = "vendor/llama.cpp/ggml/src/CMakeFiles/ggml-cpu.dir/ggml-cpu/amx/mmq.cpp.o"
NEAR = 20  # instructions before ldtilecfg; the block is filled right there

# A store to memory relative to the stack pointer: "vmovdqa %xmm0,0xd0(%rsp)".
STORE = re.compile(r"\s(v?mov\w*)\s+[^(]*,(0x[0-9a-f]+)\(%rsp\)$")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = Path(sys.argv[1]) if len(sys.argv) > 1 else _fetched(folder)
        with tarfile.open(archive) as source:
            source.extractall(folder, filter="data")
        (project,) = (path.parent for path in folder.glob("*/CMakeLists.txt"))
        recipe = f"-DCMAKE_PROJECT_llama_cpp_INCLUDE={ROOT / 'scripts' / 'llama.cmake'}"
        for title, options in (("as llama.cpp is", []), ("with scripts/llama.cmake", [recipe])):
            stores = _stores(_compiled(project, folder / title.split()[0], options))
            found = ", ".join(f"{bytes} bytes at {offset}" for offset, bytes in stores)
            whole = {16, 48} <= {offset for offset, _ in stores}  # colsb and rows
            print(f"{title}: the tile configuration is {'filled' if whole else 'INCOMPLETE'}")
            print(f"    stores before ldtilecfg: {found}")


def _fetched(folder: Path) -> Path:
    pin = next(
        line.split()[0]
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line.startswith("llama-cpp-python")
    )
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary"]
    subprocess.run([*command, "llama-cpp-python", pin, "--dest", str(folder)], check=True)
    return next(folder.glob("*.tar.gz"))


def _compiled(project: Path, build: Path, options: list[str]) -> Path:
    """The object file, for Intel's Sapphire Rapids."""
    march = "-march=sapphirerapids"
    configure = ["cmake", "-G", "Ninja", "-S", str(project), "-B", str(build)]
    configure += ["-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=OFF", "-DLLAVA_BUILD=OFF"]
    configure += [f"-DCMAKE_C_FLAGS={march}", f"-DCMAKE_CXX_FLAGS={march}"]
    configure += ["-DCMAKE_CXX_COMPILER=g++", "-DSKBUILD_PLATLIB_DIR=.", *options]
    subprocess.run(configure, check=True, capture_output=True)
    subprocess.run(["ninja", "-C", str(build), OBJECT], check=True, capture_output=True)
    return build / OBJECT


def _stores(file: Path) -> list[tuple[int, int]]:
    """(offset in the tile configuration, bytes) of each store to it before `ldtilecfg`."""
    command = ["objdump", "--disassemble", "--no-show-raw-insn", str(file)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if "ldtilecfg" in line)
    base = int(re.search(r"(0x[0-9a-f]+)\(%rsp\)", lines[at])[1], 16)  # type: ignore[index]
    found = []
    for line in lines[at - NEAR : at]:
        if store := STORE.search(line):
            offset = int(store[2], 16) - base
            if 0 <= offset < 64:
                found.append((offset, _width(line, store[1])))
    return found


def _width(line: str, instruction: str) -> int:
    for register, size in (("%zmm", 64), ("%ymm", 32), ("%xmm", 16)):
        if register in line:
            return size
    widths = {"movb": 1, "movw": 2, "movl": 4, "movq": 8}
    return widths.get(instruction, 8 if re.search(r"%r[a-z0-9]+,", line) else 4)


if __name__ == "__main__":
    main()
