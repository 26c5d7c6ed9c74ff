"""Line ends: only CRLF ends a line of mail (RFC 5321 §2.3.8)."""

from collections.abc import Iterator

_AT_A_TIME = 128 * 1024  # octets, so that a large letter is not copied whole


def has_bare(content: bytes) -> bool:
    """Whether *content* has a CR or an LF that is not part of a CRLF."""
    start = 0
    while start < len(content):
        end = start + _AT_A_TIME
        if content[end - 1 : end] == b"\r":
            end += 1  # no CRLF is cut in two
        # What is left without the pairs is quickly looked through; counting would take eight times as long,
        # and taking them out twice as long as writing as many octets in their place.
        rest = content[start:end].replace(b"\r\n", b"  ")
        if b"\r" in rest or b"\n" in rest:
            return True
        start = end
    return False


def normalised(content: bytes) -> bytes:
    """*content* with every bare CR and bare LF made CRLF; itself where there is none.

    It must run before anything reads the header, or two readers could see different fields.
    """
    if not has_bare(content):
        return content
    # Not by a pattern: where all is bare, its list of pieces would take seconds, and fifty times the memory.
    return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def has_longer(content: bytes, most: int) -> bool:
    """Whether *content*, its line ends settled, has a line of more than *most* octets without its CRLF.

    It leaps from line end to line end, as far as *most* lets it: mail of short lines costs next to nothing.
    """
    line = 0  # where a line begins
    while line + most < len(content):
        end = content.rfind(b"\r\n", line, line + most + 2)
        if end < 0:
            return True
        line = end + 2
    return False


def _has_dotted(content: bytes) -> bool:
    """Whether a line of *content*, but for its first one, begins with a dot."""
    return b"." in content and b"\r\n." in content  # attachments have no dot at all, which is quickly seen


def dot_stuffed(content: bytes) -> bytes:
    """*content* as DATA sends it, without the final dot (RFC 5321 §4.5.2)."""
    stuffed = content.replace(b"\r\n.", b"\r\n..") if _has_dotted(content) else content
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def dot_stuffed_pieces(content: bytes, most: int) -> Iterator[bytes]:
    """The same in pieces of about *most* octets (at least 2), so that a large letter is not copied whole."""
    position = 0
    while position < len(content):
        end = position + most
        if content[end - 1 : end] == b"\r":
            end -= 1  # no CRLF is cut in two
        piece = content[position:end]
        begins_line = position == 0 or content[position - 2 : position] == b"\r\n"
        stuffed = piece.replace(b"\r\n.", b"\r\n..") if _has_dotted(piece) else piece
        yield b"." + stuffed if begins_line and piece.startswith(b".") else stuffed
        position = end


def dot_unstuffed(content: bytes) -> bytes:
    """What DATA brought, with the added dots taken away (RFC 5321 §4.5.2)."""
    plain = content.replace(b"\r\n.", b"\r\n") if _has_dotted(content) else content
    return plain[1:] if plain.startswith(b".") else plain
