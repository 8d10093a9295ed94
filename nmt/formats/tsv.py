"""TSV: tables with tabs between cells, in which quotation marks are text like any other.

The format: https://www.iana.org/assignments/media-types/text/tab-separated-values.
"""

from functools import partial

from nmt.formats import table

pairs = partial(table.pairs, tabs=True)
parts = partial(table.parts, tabs=True)
