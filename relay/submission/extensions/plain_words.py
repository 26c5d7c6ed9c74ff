"""The extensions that are a promise about how the server behaves, and add no parameter."""

from relay.submission.extensions.base import Extension

# RFC 2920: commands may come in one burst.  The framer hands them out one by one, and their
# replies leave together.
PIPELINING = Extension(lambda _greeting: "PIPELINING")

# RFC 2034: Reply writes the code on every line of every 2xx, 4xx and 5xx.
ENHANCED_STATUS_CODES = Extension(lambda _greeting: "ENHANCEDSTATUSCODES")

# RFC 3030 §2: BDAT beside DATA.  BINARYMIME is not offered: what has no line ends cannot be
# handed on to an upstream without CHUNKING.
CHUNKING = Extension(lambda _greeting: "CHUNKING")
