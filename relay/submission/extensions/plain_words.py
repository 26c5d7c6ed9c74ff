"""The extensions that are a promise about how the server behaves, and add no parameter."""

from relay.submission.extensions.base import Extension

# RFC 2920: commands may come in one burst.  The framer hands them out one by one, and their
# replies leave together.
PIPELINING = Extension(lambda _server: "PIPELINING")

# RFC 2034: Reply writes the code on every line of every 2xx, 4xx and 5xx.
ENHANCED_STATUS_CODES = Extension(lambda _server: "ENHANCEDSTATUSCODES")
