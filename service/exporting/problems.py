"""What an export that failed says; knows nothing of why it was wanted."""

from service.failure import Failure


class ExportFailed(Failure):
    """A file that was not written, and nothing of it left: one line that names it and the reason."""
