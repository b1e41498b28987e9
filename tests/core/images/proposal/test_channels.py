"""Which channel is the protein: by names, by exclusion, or as the user says; otherwise an error with a remedy."""

from __future__ import annotations

import re

import pytest

from pcip_core.errors import SpecError
from pcip_core.images.proposal.channels import Candidate, chosen_channels


def roles(*names: str, **given: list[str]) -> dict[str, str]:
    """Name in the spec -> name in the files; the protein is last."""
    choices = chosen_channels([Candidate(name) for name in names], **given)
    assert [choice.role for choice in choices][-1] == "protein"
    return {choice.name: choice.candidate.named for choice in choices}


def test_names_tell() -> None:
    assert roles("gfp", "rfp") == {"rfp": "rfp", "protein": "gfp"}
    assert roles("HOECHST 33342", "Alexa 488") == {"nucleus": "HOECHST 33342", "protein": "Alexa 488"}
    assert roles("blue", "green", "red", "yellow") == {
        "nucleus": "blue",
        "microtubules": "red",
        "er": "yellow",
        "protein": "green",
    }
    assert roles("dapi", "ch2") == {"nucleus": "dapi", "protein": "ch2"}
    assert roles("OrigRFP", "OrigGFP") == {"origrfp": "OrigRFP", "protein": "OrigGFP"}


def test_the_user_tells() -> None:
    assert roles("ch1", "ch2", protein=["ch2"]) == {"ch1": "ch1", "protein": "ch2"}
    given = roles("ch1", "ch2", "ch3", protein=["CH1"], structural=["Nucleus=ch2"])
    assert given == {"nucleus": "ch2", "protein": "ch1"}
    assert roles("gfp", protein=["gfp"], structural=["cell=gfp"]) == {"cell": "gfp", "protein": "gfp"}


@pytest.mark.parametrize(
    "names", [("ch1", "ch2", "ch3"), ("w1", "w3"), ("gfp", "yfp", "dapi"), ("dapi", "rfp"), ("gfp",)]
)
def test_the_remedy_of_an_unclear_channel_works(names: tuple[str, ...]) -> None:
    candidates = [Candidate(name) for name in names]
    with pytest.raises(SpecError) as caught:
        chosen_channels(candidates)
    protein, structural = (
        re.findall(rf"--{option} (\S+)", caught.value.remedy) for option in ("protein", "structural")
    )
    assert all(name in caught.value.found for name in names)
    choices = chosen_channels(candidates, protein=protein, structural=structural)
    assert [choice.role for choice in choices] == ["structural"] * max(1, len(names) - 1) + ["protein"]


def test_the_remedy_takes_for_nuclei_what_shows_them() -> None:
    with pytest.raises(SpecError, match=r"--protein w2 --structural nucleus=w1 --structural w3$"):
        chosen_channels([Candidate(name) for name in ("w1", "w2", "w3")])
    with pytest.raises(SpecError, match=r"--protein ch1 --structural ch2 --structural nucleus=dapi$"):
        chosen_channels([Candidate(name) for name in ("ch1", "ch2", "dapi")])


def test_another_word_for_a_structure_becomes_its_name() -> None:
    candidates = [Candidate(name) for name in ("w1", "w2", "w3")]
    choices = chosen_channels(candidates, protein=["w2"], structural=["DAPI=w1", "vacuole=w3"])
    assert [(choice.name, choice.reason) for choice in choices[:2]] == [
        ("nucleus", "as given: dapi"),
        ("vacuole", "as given"),
    ]


def test_an_unknown_channel_is_named_with_the_known_ones() -> None:
    with pytest.raises(SpecError, match=r"no channel ch9; required: one of EGFP \(ch1\)"):
        chosen_channels([Candidate("EGFP", ("ch1",))], protein=["ch9"])
