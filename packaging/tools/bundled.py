"""What a package of OCG holds, component by component, as found in the environment and the checkout."""

import importlib.metadata
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import licences
import vendored
from left_out import LEFT_OUT
from licences import BillError

ROOT = Path(__file__).parents[2]
MODELS = "usr/share/ocg/models"
MODELS_IN_PACKAGES = ("minilm", "smollm2-135m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A piece with one licence. `files` are patterns from the root of the installed system, without the slash.

    `texts` are its licence files, by the names to give them. `within` is the component that these files belong to
    as well, `needs` are those it depends on, both by `ref`.
    """

    ref: str
    name: str
    version: str | None
    purl: PackageURL | None
    licence: str
    holders: tuple[str, ...]
    files: tuple[str, ...]
    texts: tuple[tuple[str, Path], ...] = ()
    needs: tuple[str, ...] = ()
    within: str | None = None
    sha256: str | None = None


class Environment:
    """A virtual environment as a package ships it: OCG, what it requires, and nothing else."""

    def __init__(self, folder: Path) -> None:
        found = list(folder.glob("lib/python3.*/site-packages"))
        if len(found) != 1:
            raise BillError(f"{folder} is no virtual environment")
        self.site = found[0]
        self.installed = f"usr/lib/ocg/{self.site.relative_to(folder)}"
        self.distributions: dict[str, importlib.metadata.Distribution] = {
            canonicalize_name(one.metadata["Name"]): one
            for one in importlib.metadata.distributions(path=[str(self.site)])
        }
        self._extras: dict[str, set[str]] = {"ocg": set()}
        self._check_requirements()
        self._check_owners()

    def requirements(self, name: str) -> tuple[str, ...]:
        """Name what a distribution requires on this machine, extras that others want included; LEFT_OUT is not."""
        absent = {canonicalize_name(one) for one in LEFT_OUT} - set(self.distributions)
        return tuple(sorted({canonicalize_name(one.name) for one in self._wanted(name)} - absent))

    def files(self, name: str) -> Iterator[str]:
        """List a distribution's files that are there, from site-packages on."""
        for path in self.distributions[name].files or ():
            if (self.site / path).exists():
                yield str(path)

    def _wanted(self, name: str) -> Iterator[Requirement]:
        extras = ("", *self._extras[name])
        for one in map(Requirement, self.distributions[name].requires or ()):
            if not one.marker or any(one.marker.evaluate({"extra": extra}) for extra in extras):
                yield one

    def _check_requirements(self) -> None:
        waiting = {"ocg"}
        while waiting:
            name = waiting.pop()
            if name not in self.distributions:
                raise BillError(f"{name} is required, and not in the environment")
            needed = set(self.requirements(name))
            for one in self._wanted(name):
                wants = canonicalize_name(one.name)
                if wants in needed and (wants not in self._extras or one.extras - self._extras[wants]):
                    self._extras.setdefault(wants, set()).update(one.extras)
                    waiting.add(wants)
        if extra := sorted(set(self.distributions) - set(self._extras)):
            raise BillError(f"in the environment, and nothing requires it: {', '.join(extra)}")

    def _check_owners(self) -> None:
        """Find what no distribution brought, and libraries that a wheel has beside its code and the table has not."""
        owned = {file.split("/")[0] for name in self.distributions for file in self.files(name)}
        if extra := sorted({path.name for path in self.site.iterdir()} - owned - {"__pycache__"}):
            raise BillError(f"in the environment, and of no distribution: {', '.join(extra)}")
        known = {path for part in vendored.PARTS for path in self.site.glob(part.files)}
        if extra := sorted(str(path.relative_to(self.site)) for path in set(self.site.glob("*.libs/*")) - known):
            raise BillError(f"bundled, and its licence is not known; add it to vendored.py: {', '.join(extra)}")


def collect(environment: Environment) -> tuple[Component, ...]:
    """Find every component; OCG itself is the first."""
    inside = [*_parts(environment), *_in_pip(environment)]
    javascript = list(_javascript(environment))
    models = list(_models())
    own: dict[str, tuple[str, ...]] = {
        name: tuple(one.ref for one in inside if one.ref.startswith(f"{name}:")) for name in environment.distributions
    }
    own["ocg"] = tuple(one.ref for one in (*javascript, *models))
    distributions = [_distribution(environment, name, own[name]) for name in environment.distributions]
    distributions.sort(key=lambda one: (one.ref != "ocg", one.ref))
    return (*distributions, *inside, *javascript, *models)


def _distribution(environment: Environment, name: str, inside: tuple[str, ...]) -> Component:
    found = environment.distributions[name]
    texts = tuple(
        (Path(file).name if "/licenses/" not in file else file.split("/licenses/")[1], environment.site / file)
        for file in sorted(environment.files(name))
        if re.match(r"[^/]+\.dist-info/(licenses/.|[A-Z]*(LICEN[CS]E|COPYING|NOTICE))", file)
    )
    top = sorted({file.split("/")[0] for file in environment.files(name) if not file.startswith("../")})
    patterns = (f"{one}/*" if (environment.site / one).is_dir() else one for one in top if one != "__pycache__")
    kind = "generic" if name == "ocg" else "pypi"  # nobody publishes this OCG on the package index
    return Component(
        ref=name,
        name=found.metadata["Name"],
        version=found.version,
        purl=PackageURL(kind, None, name, found.version),
        licence=licences.declared(name, found.metadata),
        holders=licences.holders(tuple(path for _, path in texts), found.metadata["Name"], found.metadata),
        files=("*",) if name == "ocg" else tuple(f"{environment.installed}/{one}" for one in patterns),
        texts=texts,
        needs=(*environment.requirements(name), *inside),
    )


def _parts(environment: Environment) -> Iterator[Component]:
    for part in vendored.PARTS:
        if part.owner not in environment.distributions or not (files := sorted(environment.site.glob(part.files))):
            continue
        purl, version = _version(environment, part, files)
        yield Component(
            ref=f"{part.owner}:{part.name}",
            name=part.name,
            version=version,
            purl=purl or PackageURL("generic", None, part.name, version),
            licence=licences.expression(part.licence, part.name),
            holders=_holders(environment, part),
            files=(f"{environment.installed}/{part.files}",),
            within=part.owner if part.compiled_in else None,
        )


def _version(environment: Environment, part: vendored.Part, files: list[Path]) -> tuple[PackageURL | None, str | None]:
    """Ask the bill that auditwheel left in a wheel, then the library itself, then its file's name."""
    for bill in environment.site.glob(f"{part.owner.replace('-', '_')}-*.dist-info/sboms/auditwheel.cdx.json"):
        for one in json.loads(bill.read_text(encoding="utf-8"))["components"]:
            if one["name"].startswith(part.name):
                return PackageURL.from_string(one["purl"]), one["version"]
    for path in files:
        if part.version and (found := re.search(part.version, path.read_bytes())):
            return None, found[1].decode()
        if part.numbered and (named := re.search(r"\.so\.(\d+\.[\d.]+)$", path.name)):
            return None, named[1]
    return None, None


def _holders(environment: Environment, part: vendored.Part) -> tuple[str, ...]:
    if ".dist-info/" not in part.read:
        return part.holders
    if not (files := sorted(environment.site.glob(part.read))):
        raise BillError(f"{part.name}: {part.read} is not in the environment")
    notices = list(licences.notices(files[0].read_text(encoding="utf-8")))
    found = {words: next((line for line in notices if words in line), None) for words in part.holders}
    if gone := [words for words, line in found.items() if line is None]:
        raise BillError(f"{part.name}: {files[0].name} of {part.owner} says nothing any more of «{gone[0]}»")
    return tuple(line for line in found.values() if line)


def _in_pip(environment: Environment) -> Iterator[Component]:
    folder = environment.site / "pip/_vendor"
    for line in (folder / "vendor.txt").read_text(encoding="utf-8").split():
        name, _, version = line.partition("==")
        name = canonicalize_name(name)
        if name not in vendored.IN_PIP:
            raise BillError(f"{name}, in pip, has a licence that is not known; add it to vendored.py")
        own = vendored.PIP_FOLDERS.get(name, name.replace("-", "_"))
        texts = tuple(path for path in sorted((folder / own).iterdir()) if re.match("LICENSE|COPYING", path.name))
        yield Component(
            ref=f"pip:{name}",
            name=name,
            version=version,
            purl=PackageURL("pypi", None, name, version),
            licence=vendored.IN_PIP[name],
            holders=licences.holders(texts, name),
            files=(f"{environment.installed}/pip/_vendor/{own}/*",),
        )


def _javascript(environment: Environment) -> Iterator[Component]:
    """Read what the page's builder says it has bundled, and hold it against the lock file."""
    texts = ROOT / "ocg/gateway/page/assets/licenses.txt"
    locked = json.loads((ROOT / "web/package-lock.json").read_text(encoding="utf-8"))["packages"]
    bundled = re.split(r"^-{80}\n\n", texts.read_text(encoding="utf-8"), flags=re.MULTILINE)
    headings = [re.match(r"(\S+) (\S+) \((.*)\)\n", section) for section in bundled]
    refs = {f"npm:{heading[1]}" for heading in headings if heading}
    for heading, section in zip(headings, bundled, strict=True):
        if not heading or (lock := locked.get(f"node_modules/{heading[1]}", {})).get("version") != heading[2]:
            raise BillError(f"the page's licenses.txt and web/package-lock.json differ on «{section[:60]}»")
        name, version, licence = heading.groups()
        namespace, _, base = name.rpartition("/")
        yield Component(
            ref=f"npm:{name}",
            name=name,
            version=version,
            purl=PackageURL("npm", namespace or None, base, version),
            licence=licences.expression(licence, name),
            holders=tuple(licences.notices(section)) or (f"the authors of {name}",),
            files=(f"{environment.installed}/ocg/gateway/page/*",),
            needs=tuple(sorted({f"npm:{one}" for one in lock.get("dependencies", ())} & refs)),
            within="ocg",
        )


def _models() -> Iterator[Component]:
    catalog = json.loads((ROOT / "ocg/models/catalog.json").read_text(encoding="utf-8"))
    for model in catalog:
        if model["name"] in MODELS_IN_PACKAGES:
            yield Component(
                ref=f"model:{model['name']}",
                name=model["name"],
                version=None,
                purl=None,
                licence=licences.expression(model["licence"], model["name"]),
                holders=(vendored.MODEL_HOLDERS[model["name"]],),
                files=(f"{MODELS}/{model['name']}.gguf",),
                sha256=model["sha256"],
            )
