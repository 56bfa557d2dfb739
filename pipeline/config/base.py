"""Base class of all sections of the configuration, and the types of their values."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StrictFloat,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)

from pipeline.config.choices import check_path
from pipeline.config.sizes import SIZE_PATTERN, format_bytes, parse_bytes

MOST = 2**63
"""Bytes; tables can't hold larger numbers."""
LONGEST_TIME = 10**9
"""Seconds, about thirty years; clocks can't wait longer."""

# Strict types: YAML already distinguishes text, numbers and booleans, and a quoted "false" is not false.
Bytes = Annotated[
    StrictInt,
    BeforeValidator(parse_bytes),
    Field(gt=0, lt=MOST),
    PlainSerializer(format_bytes, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": MOST},
                {"type": "string", "pattern": SIZE_PATTERN},
            ]
        },
        mode="validation",
    ),
]
Count = Annotated[StrictInt, Field(gt=0, lt=2**31)]
Seconds = Annotated[
    StrictInt | StrictFloat,
    Field(gt=0, le=LONGEST_TIME, allow_inf_nan=False),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_TIME}),
]
Auto = Literal["auto"]
Text = Annotated[StrictStr, Field(min_length=1)]
# Not pydantic's `str`, which refuses file names that aren't UTF-8.
FilePath = Annotated[str, PlainValidator(check_path), WithJsonSchema({"type": "string", "minLength": 1})]
Finite = Annotated[StrictFloat, Field(allow_inf_nan=False)]
Scalar = Annotated[StrictStr | StrictInt | Finite, WithJsonSchema({"type": ["string", "number"]})]


class Section(BaseModel):
    """Base of all sections: frozen, refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, ser_json_inf_nan="constants")
