"""Makes a component of a route: python -m shunt_route.build by_region.py -o by-region.wasm

Takes componentize-py (pip install componentize-py==0.25.1).
"""

import argparse
import importlib
import subprocess
import sys
import tempfile
from pathlib import Path

from .route import route_of

SDK = Path(__file__).resolve().parent.parent
APP = """import {module}
from shunt_route.component import export

WitWorld = export({module})
"""


def contract() -> Path:
    """The contract's file: beside this package in a project, else in the checkout."""
    found = [SDK / "wit", SDK.parent / "wit"]
    return next(folder for folder in found if folder.is_dir()) / "shunt-route.wit"


def build(source: Path, output: Path) -> None:
    """Builds the component of the route in a file."""
    folder, module = source.resolve().parent, source.stem
    sys.path.insert(0, str(folder))
    wants = route_of(importlib.import_module(module)).wants
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        imports = "".join(f" import shunt:route/{want}@1.0.0;" for want in wants)
        # The whole of a world is imported, so this one has what the route wants and no more.
        world = f"package shunt:built;\nworld built {{ include shunt:route/plain-route@1.0.0;{imports} }}\n"
        (work / "wit").mkdir()
        (work / "wit" / "built.wit").write_text(world)
        (work / "app").mkdir()
        (work / "app" / "shunt_app.py").write_text(APP.format(module=module))
        command = ["componentize-py", "--quiet", "-d", contract(), "-d", work / "wit", "-w", "shunt:built/built"]
        paths = ["-p", work / "app", "-p", folder, "-p", SDK]
        command += ["componentize", "shunt_app", *paths, "-o", output]
        local = Path(sys.executable).parent / "componentize-py"
        if local.exists():
            command[0] = local
        subprocess.run(command, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="shunt_route.build", description="Makes a component of a route")
    parser.add_argument("source", type=Path, help="the route's file")
    parser.add_argument("-o", "--output", type=Path, help="the component's file")
    given = parser.parse_args()
    output = given.output or given.source.with_suffix(".wasm")
    try:
        build(given.source, output)
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} can't be run: pip install componentize-py==0.25.1")
    except subprocess.CalledProcessError:
        sys.exit(f"{given.source} does not build; what componentize-py says stands above")
    print(f"{output}: {output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
