"""Gene Ontology: terms from an OBO file, annotations from a GAF file, and propagation by the true path rule.

`read_obo` and `read_gaf` return plain structures; `propagate` adds the ancestors of each gene's terms.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pcip_core.errors import AnnotationError
from pcip_core.ontology.lines import damaged, lines_of
from pcip_core.words import many

RELATIONS = ("is_a", "part_of")
EXPERIMENTAL = ("EXP", "IDA", "IPI", "IMP", "IGI", "IEP", "HTP", "HDA", "HMP", "HGI", "HEP")
EVIDENCE = (
    *EXPERIMENTAL,
    *("IBA", "IBD", "IKR", "IRD", "ISS", "ISO", "ISA", "ISM", "IGC", "RCA", "TAS", "NAS", "IC", "IEA", "ND"),
)
"""Evidence codes of annotations; ND means that no biological data are available."""
NO_DATA = "ND"
_GAF_COLUMNS = 15  # columns 16 and 17 are optional
MAX_TERMS = 500_000  # the Gene Ontology has 48,000, obsolete ones included
MAX_PARENTS = 2_000_000  # of all terms together
MAX_ANCESTORS = 10_000_000  # of all terms together; the Gene Ontology has 1 million
MAX_NAMES = 2_000_000  # products, synonyms and terms of a GAF file; the human one has 0.5 million
_MAX_TAGS = 100_000  # of one term


@dataclass(frozen=True)
class Term:
    """One term: ids of its parents by relation, and its former ids."""

    id: str
    name: str
    namespace: str
    is_a: tuple[str, ...] = ()
    part_of: tuple[str, ...] = ()
    obsolete: bool = False
    alt_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ontology:
    """Terms by id, and the current id of each former one."""

    terms: dict[str, Term]
    alt_ids: dict[str, str] = field(default_factory=dict)

    def ancestors(self, *, relations: Collection[str] = RELATIONS) -> dict[str, frozenset[str]]:
        """Each term that is not obsolete -> itself and all its ancestors by these relations.

        Raises:
            AnnotationError: the terms have more than MAX_ANCESTORS together.
        """
        ancestors: dict[str, frozenset[str]] = {}
        count = 0
        for start in self.terms:
            stack = [] if self.terms[start].obsolete else [start]
            while stack:
                term = stack[-1]
                above = _parents(self.terms[term], relations)
                missing = [parent for parent in above if parent not in ancestors]
                if missing:
                    stack += missing
                    continue
                stack.pop()
                if term not in ancestors:
                    ancestors[term] = frozenset({term}.union(*(ancestors[parent] for parent in above)))
                    count += len(ancestors[term])
                if count > MAX_ANCESTORS:
                    raise AnnotationError(
                        "ontology",
                        found=f"terms with more than {MAX_ANCESTORS:,} ancestors together",
                        required="an ontology like the Gene Ontology, which has 1 million",
                        remedy="Use go-basic.obo of the Gene Ontology.",
                    )
        return ancestors


@dataclass(frozen=True)
class GeneProduct:
    """The names of an annotated gene product in a GAF file: columns 3 and 11."""

    symbol: str
    synonyms: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Gaf:
    """The contents of a GAF file.

    Args:
        annotations: id (column 2) -> its terms; no entry if all its rows are excluded.
        products: id -> its names, from all rows, including excluded ones.
        rows: number of rows of the file, without comments.
        left_out: reason -> number of excluded rows: `NOT`, `evidence`, `source`.
    """

    annotations: dict[str, set[str]]
    products: dict[str, GeneProduct]
    rows: int
    left_out: dict[str, int]


@dataclass(frozen=True)
class Propagated:
    """Genes with their terms and the ancestors of these terms.

    Args:
        annotations: gene -> terms; no entry for a gene without known terms.
        unknown: term missing from the ontology -> number of genes annotated with it.
        obsolete: obsolete term -> number of genes annotated with it; these annotations are excluded.
    """

    annotations: dict[str, set[str]]
    unknown: dict[str, int]
    obsolete: dict[str, int]


def read_obo(path: Path) -> Ontology:
    """Read terms from an OBO file (`go-basic.obo`), plain or gzipped.

    Of the relations, only `is_a` and `relationship: part_of` are kept. A gene annotated to a term is also annotated
    to its parents by these relations, but not by `regulates`.

    Raises:
        AnnotationError: the file cannot be read; a line is not `tag: value`; an id is missing or repeated; a
            parent is missing; the terms contain a cycle; there is no term.

    Source: OBO flat file format 1.4.
    """
    terms: dict[str, Term] = {}
    lines: dict[str, int] = {}
    default, parents = "", 0
    for start, kind, tags in _stanzas(path):
        if kind == "":
            default = next((value for tag, value in tags if tag == "default-namespace"), "")
        elif kind == "Term":
            term = _term(path, start, tags, default)
            parents += len(term.is_a) + len(term.part_of)
            if len(terms) == MAX_TERMS or parents > MAX_PARENTS:
                raise damaged(path, start, f"over {MAX_TERMS:,} terms or {MAX_PARENTS:,} parents", "fewer")
            if term.id in terms:
                raise damaged(
                    path, start, f"{term.id} a second time (first in line {lines[term.id]})", "unique ids"
                )
            terms[term.id], lines[term.id] = term, start
    if not terms:
        raise damaged(path, None, "no [Term]", "an OBO file with terms")
    live = {term.id for term in terms.values() if not term.obsolete}
    for term in terms.values():
        absent = [parent for parent in (*term.is_a, *term.part_of) if parent not in live]
        if absent and not term.obsolete:
            raise damaged(
                path,
                lines[term.id],
                f"{term.id} with the parent {absent[0]}, which is missing or obsolete",
                "a current term for every parent",
            )
    _require_no_cycle(path, terms, lines)
    former = {alt: term.id for term in terms.values() for alt in term.alt_ids if alt not in terms}
    return Ontology(terms, former)


def read_gaf(
    path: Path, *, evidence: Collection[str] | None = None, without_sources: Collection[str] = ()
) -> Gaf:
    """Read annotations from a GAF 2.x file, plain or gzipped; rows with the qualifier `NOT` are excluded.

    Args:
        path: a file published by the Gene Ontology, UniProt-GOA or SGD.
        evidence: evidence codes to keep, such as `EXPERIMENTAL`; by default, all except `ND`.
        without_sources: exclude annotations from these sources (column 15). `HPA` is the Human Protein Atlas,
            whose annotations come from the same images as its features.

    Raises:
        AnnotationError: the file cannot be read, is of another version, has too few columns or an empty id, or
            has no rows; `evidence` contains an unknown code.

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
    rows, kept, left_out = 0, 0, Counter({"NOT": 0, "evidence": 0, "source": 0})
    for number, line in lines_of(path):
        if line.startswith("!"):
            _require_version(path, number, line)
        elif line.strip():
            cells = _cells(path, number, line)
            rows += 1
            product, term = cells[1], cells[4]
            symbols.setdefault(product, cells[2])
            before = len(synonyms[product]) + len(annotations[product])
            synonyms[product].update(name.strip() for name in cells[10].split("|") if name.strip())
            if "NOT" in cells[3].upper().split("|"):
                left_out["NOT"] += 1
            elif cells[6] not in codes:
                left_out["evidence"] += 1
            elif cells[14] in without_sources:
                left_out["source"] += 1
            else:
                annotations[product].add(term)
            kept += len(synonyms[product]) + len(annotations[product]) - before
            if kept + len(symbols) > MAX_NAMES:
                raise damaged(path, number, f"over {MAX_NAMES:,} products, synonyms and terms", "fewer")
    if not rows:
        raise damaged(path, None, "no row", "a GAF file with annotations")
    products = {gene: GeneProduct(symbol, frozenset(synonyms[gene])) for gene, symbol in symbols.items()}
    annotated = {product: terms for product, terms in annotations.items() if terms}
    return Gaf(annotated, products, rows, dict(left_out))


def propagate(
    annotations: Mapping[str, Collection[str]],
    ontology: Ontology,
    *,
    namespaces: Collection[str] | None = None,
    relations: Collection[str] = RELATIONS,
) -> Propagated:
    """Add the ancestors of each gene's terms (true path rule), and replace former ids by current ones.

    Args:
        annotations: gene -> terms.
        ontology: from `read_obo`.
        namespaces: namespaces to keep, such as `cellular_component`; by default, all.
        relations: relations to follow to the ancestors.

    Raises:
        AnnotationError: the ontology contains none of the terms, or none of the namespaces.
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
            term: frozenset(name for name in all_above if ontology.terms[name].namespace in namespaces)
            for term, all_above in above.items()
        }
    propagated: dict[str, set[str]] = {}
    unknown: Counter[str] = Counter()
    obsolete: Counter[str] = Counter()
    for gene, terms in annotations.items():
        reached: set[str] = set()
        for term in terms:
            current = ontology.alt_ids.get(term, term)
            if current in above:
                reached |= above[current]
            else:
                (obsolete if current in ontology.terms else unknown)[term] += 1
        if reached:
            propagated[gene] = reached
    if unknown and not propagated and not obsolete:
        raise AnnotationError(
            "annotations",
            found=f"{many(len(unknown), 'term')}, such as {next(iter(unknown))}, none of them in the ontology",
            required="terms of this ontology",
            remedy="Read the OBO file that belongs to the annotations.",
        )
    return Propagated(propagated, dict(unknown), dict(obsolete))


def _parents(term: Term, relations: Collection[str]) -> list[str]:
    return [
        *(term.is_a if "is_a" in relations else ()),
        *(term.part_of if "part_of" in relations else ()),
    ]


def _stanzas(path: Path) -> Iterator[tuple[int, str, list[tuple[str, str]]]]:
    """First line, kind (empty for the header) and (tag, value) pairs of each part of an OBO file."""
    start, kind, tags = 1, "", list[tuple[str, str]]()
    for number, line in lines_of(path):
        text = line.strip()
        if not text or text.startswith("!"):
            continue
        if text.startswith("["):
            if not text.endswith("]"):
                raise damaged(path, number, repr(text[:60]), "a stanza such as [Term] or [Typedef]")
            yield start, kind, tags
            start, kind, tags = number, text[1:-1], []
            continue
        tag, colon, value = text.partition(":")
        if not colon or " " in tag:
            raise damaged(path, number, repr(text[:60]), "`tag: value`")
        tags.append((tag, value.strip()))
        if len(tags) > _MAX_TAGS:
            raise damaged(path, start, f"a part of more than {_MAX_TAGS:,} lines", "shorter parts")
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
                raise damaged(path, start, f"a term with `relationship: {value}`", "`relationship: how ID`")
            values[words[0]].append(words[1])
        else:
            values[tag].append(words[0])
    if len(values["id"]) != 1:
        raise damaged(path, start, f"a term with {len(values['id'])} ids", "one `id: ...` per term")
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
    """Depth-first search: a path that returns to one of its terms is a cycle."""
    done: set[str] = set()
    for start in terms:
        path_up: dict[str, Iterator[str]] = (
            {} if start in done else {start: iter(_live_parents(terms, start))}
        )
        while path_up:
            term, rest = next(reversed(path_up.items()))
            parent = next(rest, None)
            if parent is None:
                done.add(term)
                path_up.popitem()
            elif parent in path_up:
                cycle = [*list(path_up)[list(path_up).index(parent) :], parent]
                raise damaged(path, lines[parent], f"a cycle, {' -> '.join(cycle)}", "terms without cycles")
            elif parent not in done:
                path_up[parent] = iter(_live_parents(terms, parent))


def _live_parents(terms: Mapping[str, Term], term: str) -> list[str]:
    return [] if terms[term].obsolete else _parents(terms[term], RELATIONS)


def _cells(path: Path, number: int, line: str) -> list[str]:
    cells = [cell.strip() for cell in line.rstrip("\r\n").split("\t")]
    if len(cells) < _GAF_COLUMNS:
        raise damaged(
            path,
            number,
            f"{many(len(cells), 'column')}",
            f"{_GAF_COLUMNS} or more, separated by tabs (GAF 2.x)",
        )
    if not cells[1] or not cells[4]:
        raise damaged(path, number, "an empty column 2 or 5", "the ids of a gene product and of a term")
    return cells


def _require_version(path: Path, number: int, line: str) -> None:
    name, _, version = line[1:].partition(":")
    if name.strip() == "gaf-version" and not version.strip().startswith("2."):
        raise damaged(path, number, f"GAF version {version.strip()}", "GAF 2.1 or 2.2")
