"""What the hooks `encrypt`, `decrypt` and `key_of` are told of the data."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class EncryptionContext:
    """Where encrypted data belongs: enough to choose a key by.

    It says where the data is now. A sealed value may be copied, for example from a directory
    entry's properties to a job, or be read by a query that knows no id: do not make what `decrypt`
    returns depend on it.

    Attributes:
        class_name: of the document, such as `PaymentJob`; of a slice the job's. None: of no
            document, such as a file.
        field: its name; of a slice `inputs.main` or `outputs.main`, with the category's name.
        id: of the document; of a slice the job's. None where it is not known.
        file: the name of an `.enc` file, as messages may show it.
    """

    class_name: str | None = None
    field: str | None = None
    id: Any = None
    file: str | None = None
