"""What type a file is of by the ending of its name, for services that go by that alone."""

from __future__ import annotations

from collections.abc import Mapping

from relay.mail.bodies import DoesNotFit, File

_OFFICE = "application/vnd.openxmlformats-officedocument."
# A table of our own: Python's differs from version to version, and from machine to machine.
TYPES: Mapping[str, frozenset[str]] = {
    ending: frozenset(kinds.split())
    for ending, kinds in {
        "bin": "application/octet-stream",
        "bmp": "image/bmp image/x-ms-bmp",
        "css": "text/css",
        "csv": "text/csv",
        "doc": "application/msword",
        "docx": f"{_OFFICE}wordprocessingml.document",
        "eps": "application/postscript",
        "gif": "image/gif",
        "gz": "application/gzip application/x-gzip",
        "htm": "text/html",
        "html": "text/html",
        "ics": "text/calendar",
        "jpeg": "image/jpeg",
        "jpg": "image/jpeg",
        "json": "application/json",
        "mp3": "audio/mpeg",
        "mp4": "video/mp4",
        "odp": "application/vnd.oasis.opendocument.presentation",
        "ods": "application/vnd.oasis.opendocument.spreadsheet",
        "odt": "application/vnd.oasis.opendocument.text",
        "pdf": "application/pdf",
        "png": "image/png",
        "ppt": "application/vnd.ms-powerpoint",
        "pptx": f"{_OFFICE}presentationml.presentation",
        "rtf": "application/rtf text/rtf",
        "svg": "image/svg+xml",
        "tar": "application/x-tar",
        "tif": "image/tiff",
        "tiff": "image/tiff",
        "txt": "text/plain",
        "vcf": "text/vcard text/x-vcard",
        "wav": "audio/wav audio/x-wav",
        "webp": "image/webp",
        "xls": "application/vnd.ms-excel",
        "xlsx": f"{_OFFICE}spreadsheetml.sheet",
        "xml": "application/xml text/xml",
        "zip": "application/zip application/x-zip-compressed",
    }.items()
}


def ending_of(name: str) -> str:
    """What follows the last dot of *name*, in lower case."""
    return name.rpartition(".")[2].lower()


def refuse_misnamed(file: File) -> None:
    """Raise DoesNotFit unless the ending of the file's name says of what type it is."""
    if file.kind not in TYPES.get(ending_of(file.name), frozenset()):
        raise DoesNotFit(f"nobody could tell by the name of {file.name} that it is of the type {file.kind}")
