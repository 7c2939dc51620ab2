"""Each request of each family of apps: the same bytes, log lines and notes on uvicorn and in every mode of bicorn."""

from __future__ import annotations

import pytest

from tests.sync_endpoints import (
    apps_context,
    apps_dependencies,
    apps_exceptions,
    apps_forms,
    apps_middleware,
    apps_parameters,
    apps_responses,
    apps_routing,
    apps_threads,
)
from tests.sync_endpoints.families import Case, Family
from tests.sync_endpoints.observation import Stages, assert_same

FAMILIES: list[Family] = [
    *apps_parameters.FAMILIES,
    *apps_forms.FAMILIES,
    *apps_dependencies.FAMILIES,
    *apps_exceptions.FAMILIES,
    *apps_responses.FAMILIES,
    *apps_routing.FAMILIES,
    *apps_middleware.FAMILIES,
    *apps_context.FAMILIES,
    *apps_threads.FAMILIES,
]

REQUESTS = [(family, kind, case) for family in FAMILIES for kind, case in family.requests()]
TWINS = [(family, case) for family in FAMILIES for case in family.cases if case.is_twin and not case.is_absolute]


@pytest.mark.modes("auto", "pool", "off")
@pytest.mark.parametrize(("family", "kind", "case"), REQUESTS, ids=str)
def test_answer_is_that_of_uvicorn(family: Family, kind: str, case: Case, mode: str, stages: Stages) -> None:
    # Asked first, so that a mode that is not there is skipped before anything is compared.
    answer = stages.observe(family, mode, case, kind)
    assert_same(answer, stages.observe(family, "uvicorn", case, kind))


# On uvicorn only: in the modes of bicorn each form is compared with itself there.
@pytest.mark.modes("uvicorn")
@pytest.mark.parametrize(("family", "case"), TWINS, ids=str)
def test_async_form_answers_alike(family: Family, case: Case, mode: str, stages: Stages) -> None:
    seen, expected = (stages.observe(family, mode, case, kind).alike() for kind in ("def", "async"))
    assert_same(seen, expected)
