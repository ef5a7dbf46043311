"""Reports of an assessment, made from its record (plain JSON types): JSON schema, offline HTML pages, one CSV table."""

from infantjax.lazy import lazy_attributes

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "Row": "infantjax.report.table",
        "SCHEMA_VERSION": "infantjax.report.record",
        "index_html": "infantjax.report.page",
        "page": "infantjax.report.page",
        "record": "infantjax.report.record",
        "schema": "infantjax.report.record",
        "summary_csv": "infantjax.report.table",
        "summary_frame": "infantjax.report.table",
        "table": "infantjax.report.table",
        "to_html": "infantjax.report.page",
    },
)
