"""Recipes: how strongly a spike pushes a unit of the next layer, or how large an activity it stands for. One each file.

:data:`RECIPES` are all, by the name that stands for one with its defaults; :data:`LAYER_RECIPES` those of sleep.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from neurosleep.conversion.recipes.balance import Balance
from neurosleep.conversion.recipes.base import ActivityRecipe, LayerRecipe
from neurosleep.conversion.recipes.maximum import Maximum
from neurosleep.conversion.recipes.percentile import Percentile
from neurosleep.conversion.recipes.ratio import Ratio
from neurosleep.conversion.recipes.recursive import Recursive
from neurosleep.errors import SettingsError, unknown_name

__all__ = [
    "LAYER_RECIPES",
    "RECIPES",
    "ActivityRecipe",
    "Balance",
    "LayerRecipe",
    "Maximum",
    "Percentile",
    "Ratio",
    "Recipe",
    "RecipeName",
    "Recursive",
    "as_recipe",
]

Recipe: TypeAlias = LayerRecipe | ActivityRecipe
RecipeName = Literal["recursive", "ratio", "max", "percentile", "balance"]
LAYER_RECIPES: dict[str, type[LayerRecipe]] = {kind.name: kind for kind in (Recursive, Ratio)}
RECIPES: dict[str, type[Recipe]] = {**LAYER_RECIPES, **{kind.name: kind for kind in (Maximum, Percentile, Balance)}}


def as_recipe(recipe: Recipe | str) -> Recipe:
    """The recipe itself, or the one of this name with its defaults.

    Raises
    ------
    SettingsError
        If it is neither.
    """
    if isinstance(recipe, LayerRecipe | ActivityRecipe):
        return recipe
    if not isinstance(recipe, str):
        given = f"{recipe.__name__}()" if isinstance(recipe, type) and recipe in RECIPES.values() else None
        raise SettingsError(
            f"recipe cannot be {recipe!r:.60}.",
            expected="a recipe such as neurosleep.Percentile(99.9), or the name of one",
            hint=given and f"recipe={given}, an object of the class",
        )
    if recipe not in RECIPES:
        raise unknown_name("recipe", recipe, RECIPES)
    return RECIPES[recipe]()
