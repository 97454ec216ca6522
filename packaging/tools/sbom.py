"""The bill of materials in CycloneDX's form."""

import uuid
from collections.abc import Iterable
from datetime import datetime

from cyclonedx.builder.this import this_component
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component as Item
from cyclonedx.model.component import ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6

from bundled import Component


def write(components: Iterable[Component], when: datetime) -> str:
    """Describe `components`, the first being OCG itself; the same ones at the same time give the same text."""
    every = tuple(components)
    items = {one.ref: _item(one) for one in every}
    own = items[every[0].ref]
    bom = Bom(
        metadata=BomMetaData(component=own, timestamp=when, tools=ToolRepository(components=[this_component()])),
        components=[item for item in items.values() if item is not own],
        serial_number=uuid.UUID(int=0),
    )
    for one in every:
        bom.register_dependency(items[one.ref], [items[need] for need in one.needs])
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_OID, JsonV1Dot6(bom).output_as_string())
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _item(one: Component) -> Item:
    return Item(
        name=one.name,
        version=one.version,
        type=_type(one),
        bom_ref=one.ref,
        purl=one.purl,
        licenses=[LicenseExpression(one.licence)],
        copyright="\n".join(one.holders),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one.sha256)] if one.sha256 else (),
    )


def _type(one: Component) -> ComponentType:
    if one.ref.startswith("model:"):
        return ComponentType.MACHINE_LEARNING_MODEL
    return ComponentType.APPLICATION if one.ref == "ocg" else ComponentType.LIBRARY
