"""Writes what a package must say of what it holds: bill of materials, copyright, licences, AppStream metadata."""

import argparse
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import bundled
import dep5
import licences
import metainfo
import sbom
from bundled import Component, Environment


def main() -> None:
    """Write all files into OUT, or say what is bundled that nobody accounts for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", type=Path, help="the virtual environment that the package ships")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    when = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    try:
        _write(Environment(arguments.environment), arguments.out, when)
    except licences.BillError as error:
        sys.exit(f"bill: {error}")


def _write(environment: Environment, out: Path, when: datetime) -> None:
    components = bundled.collect(environment)
    ocg = components[0]
    in_model_package = {"ocg", "model:smollm2-135m"}
    texts = {
        "ocg.cdx.json": sbom.write(components, when),
        "copyright": dep5.write((one for one in components if one.ref != "model:smollm2-135m"), environment.site),
        "copyright-model": dep5.write((one for one in components if one.ref in in_model_package), environment.site),
        "ocg.metainfo.xml": metainfo.write(str(ocg.version), when.date()),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    _write_licences(components, environment.site, out / "licenses")


def _write_licences(components: tuple[Component, ...], site: Path, folder: Path) -> None:
    """Write each licence's text once, and every component's own licence files and notices beside."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    named = {name for one in components for name in licences.names(one.licence)}
    for name in sorted({part for one in named for part in one.split(" WITH ")}):
        (folder / f"{name}.txt").write_text(licences.text(name, site), encoding="utf-8")
    for one in components:
        for name, source in one.texts:
            target = folder / one.ref / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    shutil.copyfile(bundled.ROOT / "ocg/gateway/page/assets/licenses.txt", folder / "page.txt")


if __name__ == "__main__":
    main()
