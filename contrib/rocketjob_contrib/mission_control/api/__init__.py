"""The JSON API, `/api/v1`: what the pages can do, for programs, through the same gate.

- `operations`: what one is; the sections bring theirs beside their routes (`Section.api`)
- `door`, `view`: the way of a request, as the gate has it for pages
- `schemas`, `resources`, `openapi`: what bodies and answers are, and the document that says so
- `derived`: every change that a page offers and no operation does is one, too
- `problems`, `cursors`, `guards`: what all answers have in common
"""
