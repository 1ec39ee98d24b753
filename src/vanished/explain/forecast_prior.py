"""A forecast as JSON, and the one that comes with Vanished (`forecast_prior.json`).

In: a model, or its JSON. Out: the other. The prior was learned from public Weibo cascades of 2010
to 2013 by `bench/explain_spread_prior.py`; an observatory with counts of its own learns a better
one (`forecast_fit.fit`).
"""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from importlib.resources import files

import numpy as np

from vanished.errors import UsageError
from vanished.explain.forecast import TERMS, Horizon, Model, Step


@cache
def prior() -> Model:
    """The model that comes with Vanished."""
    return read_model(files("vanished.explain").joinpath("forecast_prior.json").read_text("utf-8"))


def model_json(model: Model) -> str:
    """The model as JSON, with six digits of each number."""
    return json.dumps(_rounded(dataclasses.asdict(model)), indent=1, ensure_ascii=False) + "\n"


def read_model(text: str) -> Model:
    """The model that `model_json` wrote. Raises UsageError for anything else."""
    try:
        given = json.loads(text)
        horizons = tuple(
            Horizon(
                float(h["hours"]),
                tuple(float(weight) for weight in h["weights"]),
                tuple(Step(**step) for step in h["steps"]),
            )
            for h in given.pop("horizons")
        )
        model = Model(**given | {"horizons": horizons, "activity": tuple(given["activity"])})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"This is no model of a forecast: {error}.") from error
    hours = [horizon.hours for horizon in horizons]
    scores = [[step.score for step in horizon.steps] for horizon in horizons]
    whole = len(model.activity) == 24 and all(len(h.weights) == len(TERMS) for h in horizons)
    rising = all(s and (np.diff(s) >= 0).all() for s in [hours, *scores])
    if not (whole and rising and min(hours, default=0) > 0 and model.noise > 0):
        raise UsageError("This model of a forecast is damaged: fit it again.")
    return model


def _rounded(value: object) -> object:
    """Numbers with six significant digits: more is noise."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    return value
