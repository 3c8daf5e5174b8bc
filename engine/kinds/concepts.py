"""What words of questions mean for the columns of tables: "cheapest" is the lowest price.

A concept is known by the words in a column's name, and by the units of its cells. English.
"""

from collections import Counter
from dataclasses import dataclass

from engine.kinds.tables import Table
from engine.kinds.values import unit_of, value_of
from engine.kinds.words import terms_of, words_of


@dataclass(frozen=True, slots=True)
class Concept:
    """`names`: words in the names of its columns; `units`: in its cells or in those names; `asks`:
    words in questions that mean it."""

    names: frozenset[str]
    units: frozenset[str]
    asks: frozenset[str]


def _concept(names: str, units: str = "", asks: str = "", synonyms: bool = True) -> Concept:
    """`synonyms`: a question may use one of the names for a column that has another one."""
    return Concept(
        frozenset(terms_of(names)),
        frozenset(units.split()),
        frozenset(terms_of(f"{names} {asks}" if synonyms else asks)),
    )


CONCEPTS = {
    "price": _concept(
        "price cost fee fare charge amount rent rate value salary wage budget total sum paid",
        "€ $ £ ¥ eur euro usd dollar gbp pound crown franc chf yen",
        "expensive cheap dear costly pay money euros dollars buy spend spent worth much bill",
    ),
    "weight": _concept(
        "weight mass load", "g kg gram kilogram t tonne mg lb", "weigh heavy light kg kilos"
    ),
    "length": _concept(
        "length distance", "m km cm mm metre meter kilometre kilometer mile", "long far short"
    ),
    "duration": _concept(
        "duration time length delivery warranty",
        "minute min hour h day week month year s second",
        "last take long short quick slow fast",
    ),
    "height": _concept("height altitude elevation", "m metre meter", "tall high low"),
    "area": _concept("area size surface", "m2 m² sqm ha", "big large small"),
    "age": _concept(
        "age year born founded built since date bought", "", "old young new", synonyms=False
    ),
    "quantity": _concept(
        "quantity stock number count pieces units amount available qty sold copies",
        "",
        "left sell stock",
    ),
    "persons": _concept(
        "residents persons members inhabitants guests visitors employees participants passengers "
        "walkers players runners riders pupils students children adults volunteers attendance "
        "attendees helpers patients customers",
        "",
        "people persons live popular attended",
    ),
    "speed": _concept("speed velocity pace", "km/h mph kmh", "fast slow quick"),
    "capacity": _concept(
        "capacity volume seats places beds", "l litre liter ml", "hold fit big large"
    ),
    "temperature": _concept("temperature degrees", "°c °f ° c", "hot warm cold cool"),
    "date": _concept(
        "date day when month year start end begin reported completed bought due check deadline "
        "since",
        "",
        "when early late first last recent",
        synonyms=False,
    ),
    "person": _concept(
        "name person leader led owner author contact manager teacher speaker responsible tenant "
        "household driver pilot head chair instructor trainer keeper staff employee by",
        "",
        "who whom whose live lead head run",
        synonyms=False,
    ),
    "organisation": _concept(
        "company contractor firm supplier vendor client customer dealer maker manufacturer brand "
        "producer provider sponsor partner publisher",
        "",
        "business craftsman tradesman workshop shop",
    ),
    "place": _concept(
        "place location room address site city town country where station house building store "
        "shelf",
        "",
        "where live keep",
        synonyms=False,
    ),
}

# word → concepts (the first whose column there is), and whether the lowest or the highest is meant
SUPERLATIVES: dict[str, tuple[tuple[str, ...], bool]] = {
    **dict.fromkeys(("cheapest", "least expensive", "least costly"), (("price",), False)),
    **dict.fromkeys(
        ("most expensive", "dearest", "costliest", "priciest", "most costly"), (("price",), True)
    ),
    "heaviest": (("weight",), True),
    "lightest": (("weight",), False),
    "longest": (("length", "duration"), True),
    "shortest": (("length", "duration", "height"), False),
    "tallest": (("height",), True),
    "oldest": (("age", "date"), False),
    "earliest": (("date", "age"), False),
    "youngest": (("age", "date"), True),
    "newest": (("age", "date"), True),
    "latest": (("date", "age"), True),
    "most recent": (("date", "age"), True),
    "fastest": (("speed",), True),
    "slowest": (("speed",), False),
    "hottest": (("temperature",), True),
    "warmest": (("temperature",), True),
    "coldest": (("temperature",), False),
    **dict.fromkeys(("largest", "biggest"), (("area", "capacity", "quantity", "height"), True)),
    "smallest": (("area", "capacity", "quantity", "height"), False),
    "roomiest": (("area",), True),
    # with the name of a column behind them
    **dict.fromkeys(("highest", "greatest", "maximum", "most", "biggest number of"), ((), True)),
    **dict.fromkeys(("lowest", "least", "minimum", "fewest"), ((), False)),
    "first": (("date",), False),
    "last": (("date",), True),
}

# comparative → concepts, and whether more is meant
COMPARATIVES: dict[str, tuple[tuple[str, ...], bool]] = {
    "cheaper": (("price",), False),
    "dearer": (("price",), True),
    "more expensive": (("price",), True),
    "less expensive": (("price",), False),
    "heavier": (("weight",), True),
    "lighter": (("weight",), False),
    "longer": (("length", "duration"), True),
    "shorter": (("length", "duration", "height"), False),
    "taller": (("height",), True),
    "higher": (("height", "price"), True),
    "older": (("age", "date"), False),
    "younger": (("age", "date"), True),
    "newer": (("age", "date"), True),
    "earlier": (("date", "age"), False),
    "later": (("date", "age"), True),
    "faster": (("speed",), True),
    "slower": (("speed",), False),
    "larger": (("area", "capacity", "quantity"), True),
    "bigger": (("area", "capacity", "quantity"), True),
    "smaller": (("area", "capacity", "quantity"), False),
    "warmer": (("temperature",), True),
    "hotter": (("temperature",), True),
    "colder": (("temperature",), False),
}


def is_of(column: str, table: Table, concept: str) -> bool:
    known = CONCEPTS[concept]
    in_order = terms_of(column)
    terms = set(in_order)
    if concept == "persons":  # "Member price" is no number of members
        terms = set(in_order[-1:])
    if terms & known.names:
        return True
    if {unit_of(word) for word in words_of(column)} & known.units:
        return True
    cells = [cell for cell in table.column(column)[:20] if cell]
    units = Counter(value.unit for cell in cells if (value := value_of(cell)))
    return bool(units) and units.most_common(1)[0][0] in known.units


def words_for(column: str, table: Table) -> frozenset[str]:
    """The words of questions that mean a column."""
    found = frozenset(terms_of(column))
    for name, concept in CONCEPTS.items():
        if is_of(column, table, name):
            found |= concept.asks | frozenset(terms_of(" ".join(concept.units)))
    return found
