"""Gene Ontology: terms from an OBO file, annotations from a GAF file, and the true path between them.

`read_obo` and `read_gaf` make plain structures; `propagate` gives each gene the terms above its own.
"""

from __future__ import annotations

import gzip
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pcip_core.errors import AnnotationError

RELATIONS = ("is_a", "part_of")
EXPERIMENTAL = ("EXP", "IDA", "IPI", "IMP", "IGI", "IEP", "HTP", "HDA", "HMP", "HGI", "HEP")
EVIDENCE = (
    *EXPERIMENTAL,
    *("IBA", "IBD", "IKR", "IRD", "ISS", "ISO", "ISA", "ISM", "IGC", "RCA", "TAS", "NAS", "IC", "IEA", "ND"),
)
"""Codes of how an annotation is known; ND says that nothing is."""
NO_DATA = "ND"
_GAF_COLUMNS = 15  # 16 and 17 may be left out
_OBO = "https://purl.obolibrary.org/obo/go/go-basic.obo"


@dataclass(frozen=True)
class Term:
    """One term: ids of its parents by relation, and the other ids that it has had."""

    id: str
    name: str
    namespace: str
    is_a: tuple[str, ...] = ()
    part_of: tuple[str, ...] = ()
    obsolete: bool = False
    alt_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ontology:
    """Terms by id, and the id of today for each former one."""

    terms: dict[str, Term]
    alt_ids: dict[str, str] = field(default_factory=dict)

    def ancestors(self, *, relations: Collection[str] = RELATIONS) -> dict[str, frozenset[str]]:
        """Each term that is not obsolete -> itself and every term above it by these relations."""
        found: dict[str, frozenset[str]] = {}
        for start in self.terms:
            stack = [] if self.terms[start].obsolete else [start]
            while stack:
                term = stack[-1]
                above = _parents(self.terms[term], relations)
                missing = [parent for parent in above if parent not in found]
                if missing:
                    stack += missing
                else:
                    found[term] = frozenset({term}.union(*(found[parent] for parent in above)))
                    stack.pop()
        return found


@dataclass(frozen=True)
class GeneProduct:
    """The names that a GAF file gives to one annotated thing: columns 3 and 11."""

    symbol: str
    synonyms: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Gaf:
    """A GAF file, read.

    Args:
        annotations: id (column 2) -> the terms that the rows give it; no entry where all rows are left out.
        products: id -> its names, of all rows, those left out too.
        rows: rows of the file without comments.
        left_out: why -> rows: `NOT`, `evidence`, `source`.
    """

    annotations: dict[str, set[str]]
    products: dict[str, GeneProduct]
    rows: int
    left_out: dict[str, int]


@dataclass(frozen=True)
class Propagated:
    """Genes with their terms and all terms above these.

    Args:
        annotations: gene -> terms; no entry where no term of it is known.
        unknown: term that the ontology has not -> genes annotated with it.
        obsolete: obsolete term -> genes annotated with it; these annotations are left out.
    """

    annotations: dict[str, set[str]]
    unknown: dict[str, int]
    obsolete: dict[str, int]


def read_obo(path: Path) -> Ontology:
    """Read terms from an OBO file (`go-basic.obo`), plain or gzipped.

    Only `is_a` and `relationship: part_of` are kept of the relations: by them, a gene of a term is one of the
    term above; by `regulates` it is not.

    Raises:
        AnnotationError: the file cannot be read; a line is not `tag: value`; a term has no id or an id twice;
            a parent is not there; terms are above themselves; there is no term.

    Source: OBO flat file format 1.4.
    """
    terms: dict[str, Term] = {}
    lines: dict[str, int] = {}
    default = ""
    for start, kind, tags in _stanzas(path):
        if kind == "":
            default = next((value for tag, value in tags if tag == "default-namespace"), "")
        elif kind == "Term":
            term = _term(path, start, tags, default)
            if term.id in terms:
                raise _damaged(
                    path, start, f"{term.id} again (first in line {lines[term.id]})", "each id once"
                )
            terms[term.id], lines[term.id] = term, start
    if not terms:
        raise _damaged(path, None, "no [Term]", "an OBO file with terms")
    live = {term.id for term in terms.values() if not term.obsolete}
    for term in terms.values():
        absent = [parent for parent in (*term.is_a, *term.part_of) if parent not in live]
        if absent and not term.obsolete:
            raise _damaged(
                path,
                lines[term.id],
                f"{term.id} below {absent[0]}, which no term (or an obsolete one) has",
                "every parent as a term",
            )
    _require_no_cycle(path, terms, lines)
    former = {alt: term.id for term in terms.values() for alt in term.alt_ids if alt not in terms}
    return Ontology(terms, former)


def read_gaf(
    path: Path, *, evidence: Collection[str] | None = None, without_sources: Collection[str] = ()
) -> Gaf:
    """Read annotations from a GAF 2.x file, plain or gzipped; rows with the qualifier `NOT` are left out.

    Args:
        path: as the Gene Ontology, UniProt-GOA or SGD publish it.
        evidence: only rows with these codes, such as `EXPERIMENTAL`; all but `ND` by default.
        without_sources: leave out rows that these assigned (column 15). `HPA` is the Human Protein Atlas, whose
            annotations come from the images that its features come from.

    Raises:
        AnnotationError: the file cannot be read, is of another version, has too few columns or an empty id, or
            holds no row; `evidence` names a code that there is not.

    Source: GAF 2.2 (and 2.1) of the Gene Ontology Consortium.
    """
    codes = set(EVIDENCE) - {NO_DATA} if evidence is None else set(evidence)
    if strange := sorted(codes - set(EVIDENCE)):
        raise AnnotationError(
            "evidence",
            found=", ".join(strange),
            required=f"codes of {', '.join(EVIDENCE)}",
            remedy="Correct the codes.",
        )
    annotations: dict[str, set[str]] = defaultdict(set)
    symbols: dict[str, str] = {}
    synonyms: dict[str, set[str]] = defaultdict(set)
    rows, left_out = 0, Counter({"NOT": 0, "evidence": 0, "source": 0})
    for number, line in _lines(path):
        if line.startswith("!"):
            _require_version(path, number, line)
        elif line.strip():
            cells = _cells(path, number, line)
            rows += 1
            product, term = cells[1], cells[4]
            symbols.setdefault(product, cells[2])
            synonyms[product].update(name.strip() for name in cells[10].split("|") if name.strip())
            if "NOT" in cells[3].upper().split("|"):
                left_out["NOT"] += 1
            elif cells[6] not in codes:
                left_out["evidence"] += 1
            elif cells[14] in without_sources:
                left_out["source"] += 1
            else:
                annotations[product].add(term)
    if not rows:
        raise _damaged(path, None, "no row", "a GAF file with annotations")
    products = {one: GeneProduct(symbol, frozenset(synonyms[one])) for one, symbol in symbols.items()}
    return Gaf(dict(annotations), products, rows, dict(left_out))


def propagate(
    annotations: Mapping[str, Collection[str]],
    ontology: Ontology,
    *,
    namespaces: Collection[str] | None = None,
    relations: Collection[str] = RELATIONS,
) -> Propagated:
    """Give each gene the terms above its own (the true path rule); former ids become those of today.

    Args:
        annotations: gene -> terms.
        ontology: as `read_obo` makes it.
        namespaces: keep only terms of these, such as `cellular_component`; all by default.
        relations: ways up.

    Raises:
        AnnotationError: the ontology knows none of the terms, or has none of the namespaces.
    """
    known = {term.namespace for term in ontology.terms.values()}
    if namespaces is not None and not known & set(namespaces):
        raise AnnotationError(
            "namespaces",
            found=", ".join(namespaces) or "none",
            required=f"some of {', '.join(sorted(known))}",
            remedy="Correct the names.",
        )
    above = ontology.ancestors(relations=relations)
    if namespaces is not None:
        above = {
            term: frozenset(one for one in all_above if ontology.terms[one].namespace in namespaces)
            for term, all_above in above.items()
        }
    found: dict[str, set[str]] = {}
    unknown: Counter[str] = Counter()
    obsolete: Counter[str] = Counter()
    for gene, terms in annotations.items():
        reached: set[str] = set()
        for term in terms:
            today = ontology.alt_ids.get(term, term)
            if today in above:
                reached |= above[today]
            else:
                (obsolete if today in ontology.terms else unknown)[term] += 1
        if reached:
            found[gene] = reached
    if unknown and not found and not obsolete:
        raise AnnotationError(
            "annotations",
            found=f"{len(unknown)} terms, such as {next(iter(unknown))}, none of which the ontology has",
            required="terms of this ontology",
            remedy="Read the OBO file that belongs to the annotations.",
        )
    return Propagated(found, dict(unknown), dict(obsolete))


def _parents(term: Term, relations: Collection[str]) -> list[str]:
    return [
        *(term.is_a if "is_a" in relations else ()),
        *(term.part_of if "part_of" in relations else ()),
    ]


def _stanzas(path: Path) -> Iterator[tuple[int, str, list[tuple[str, str]]]]:
    """First line, kind (empty for the header) and (tag, value) pairs of each part of an OBO file."""
    start, kind, tags = 1, "", list[tuple[str, str]]()
    for number, line in _lines(path):
        text = line.strip()
        if not text or text.startswith("!"):
            continue
        if text.startswith("["):
            if not text.endswith("]"):
                raise _damaged(path, number, repr(text[:60]), "[Term], [Typedef] or the like")
            yield start, kind, tags
            start, kind, tags = number, text[1:-1], []
            continue
        tag, colon, value = text.partition(":")
        if not colon or " " in tag:
            raise _damaged(path, number, repr(text[:60]), "`tag: value`")
        tags.append((tag, value.strip()))
    yield start, kind, tags


def _term(path: Path, start: int, tags: Iterable[tuple[str, str]], default: str) -> Term:
    values: dict[str, list[str]] = defaultdict(list)
    for tag, value in tags:
        words = value.split()
        if tag in ("name", "namespace"):
            values[tag].append(value)
        elif not words:
            continue
        elif tag == "relationship":
            if len(words) < 2:
                raise _damaged(path, start, f"a term with `relationship: {value}`", "`relationship: how ID`")
            values[words[0]].append(words[1])
        else:
            values[tag].append(words[0])
    if len(values["id"]) != 1:
        raise _damaged(path, start, f"a term with {len(values['id'])} ids", "one `id: ...` a term")
    return Term(
        id=values["id"][0],
        name=next(iter(values["name"]), ""),
        namespace=next(iter(values["namespace"]), default),
        is_a=tuple(dict.fromkeys(values["is_a"])),
        part_of=tuple(dict.fromkeys(values["part_of"])),
        obsolete=values["is_obsolete"] == ["true"],
        alt_ids=tuple(values["alt_id"]),
    )


def _require_no_cycle(path: Path, terms: Mapping[str, Term], lines: Mapping[str, int]) -> None:
    """Depth first: a way up that meets itself is a cycle."""
    done: set[str] = set()
    for start in terms:
        way: dict[str, Iterator[str]] = {} if start in done else {start: iter(_live_parents(terms, start))}
        while way:
            term, rest = next(reversed(way.items()))
            parent = next(rest, None)
            if parent is None:
                done.add(term)
                way.popitem()
            elif parent in way:
                cycle = [*list(way)[list(way).index(parent) :], parent]
                raise _damaged(path, lines[parent], f"a cycle, {' -> '.join(cycle)}", "no term above itself")
            elif parent not in done:
                way[parent] = iter(_live_parents(terms, parent))


def _live_parents(terms: Mapping[str, Term], term: str) -> list[str]:
    return [] if terms[term].obsolete else _parents(terms[term], RELATIONS)


def _cells(path: Path, number: int, line: str) -> list[str]:
    cells = [cell.strip() for cell in line.rstrip("\r\n").split("\t")]
    if len(cells) < _GAF_COLUMNS:
        raise _damaged(
            path, number, f"{len(cells)} columns", f"{_GAF_COLUMNS} or more, with tabs between (GAF 2.x)"
        )
    if not cells[1] or not cells[4]:
        raise _damaged(path, number, "an empty column 2 or 5", "the ids of a gene product and of a term")
    return cells


def _require_version(path: Path, number: int, line: str) -> None:
    name, _, version = line[1:].partition(":")
    if name.strip() == "gaf-version" and not version.strip().startswith("2."):
        raise _damaged(path, number, f"GAF version {version.strip()}", "GAF 2.1 or 2.2")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines of a text, unpacked where the name ends with .gz."""
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8-sig")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8-sig")
        ) as stream:
            yield from enumerate(stream, start=1)
    except (OSError, EOFError, ValueError) as error:
        raise AnnotationError(
            path,
            found="no such file" if isinstance(error, FileNotFoundError) else f"no readable text ({error})",
            required="an OBO or GAF file as UTF-8 text, plain or gzipped (.gz)",
            remedy="Check the path and the file.",
        ) from error


def _damaged(path: Path, line: int | None, found: str, required: str) -> AnnotationError:
    return AnnotationError(
        path if line is None else f"{path}, line {line}",
        found=found,
        required=required,
        remedy=f"Download the file again (terms: {_OBO}; annotations: https://geneontology.org).",
    )
