"""Reports of an assessment: JSON with published schemas, CSV over recordings, offline HTML. No model code."""

from infantjax.report.page import to_html
from infantjax.report.record import SCHEMA_VERSION, schema, to_json, to_record
from infantjax.report.table import Row, summary_csv

__all__ = ["SCHEMA_VERSION", "Row", "schema", "summary_csv", "to_html", "to_json", "to_record"]
