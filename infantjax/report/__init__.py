"""Reports of an assessment, made from its record (plain JSON types): JSON schema, offline HTML pages, one CSV table."""

from infantjax.lazy import lazy_attributes

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "SCHEMA_VERSION": "infantjax.report.record",
        "summary_frame": "infantjax.report.table",
        "schema": "infantjax.report.record",
    },
)
