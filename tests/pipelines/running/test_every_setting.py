"""Every setting acts or is refused: each is changed, and seen in the resolved recipe and in what a stage writes."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_origin

import msgspec
import pytest
import setting_corpora as corpora
from setting_cases import CASES, OPTIONS, Case, Elsewhere, Raises, Same

from autoclave.cleaning.filters.registry import MODEL_MODULES, MODULES
from autoclave.cleaning.transforms.registry import TRANSFORMS
from autoclave.corpus.storage import Folder
from autoclave.corpus.yaml_values import read_yaml
from autoclave.errors import RecipeError
from autoclave.pipelines.running.attempts import Resources
from autoclave.pipelines.running.engine import InProcessEngine
from autoclave.pipelines.running.recipe import check_recipe
from autoclave.pipelines.running.registry import STAGE_MODULES, load_stage
from autoclave.pipelines.running.stage import StageContext, document_shards
