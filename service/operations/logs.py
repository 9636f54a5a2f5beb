"""The service's log: JSON lines on one stream, from the access log and from the logging module alike."""

import json
import logging
import time
import traceback
from typing import TextIO

_LOGGER = "recommendations"


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with the fields that the access log uses too."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without its end."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "msg": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[1]:
            entry["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(entry, ensure_ascii=False)


def configure(level: str, stream: TextIO) -> None:
    """Send everything that is logged to a stream, libraries' warnings included."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger(_LOGGER).setLevel(level.upper())
    logging.captureWarnings(True)
