FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

# The relay's own user: no shell, no home, and two folders it may write: its data, and the key that the nodes
# of a cluster share. They are made here because a new volume takes its owner from what it is mounted on.
RUN groupadd --system --gid 10001 relay \
 && useradd --system --uid 10001 --gid relay --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin relay \
 && install -d -o relay -g relay -m 0700 /var/lib/relay /var/lib/relay-key

WORKDIR /opt/relay

# Libraries first: they change seldom, so this layer is nearly always already there.
COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock

COPY migrations ./migrations
COPY relay ./relay
RUN python -m compileall -q relay

# Health and metrics on every address of the container: what of it is published, its operator decides.
# Large pages for large letters: see "Memory" in docs/operations.md.
ENV RELAY_DATA_DIR=/var/lib/relay \
    RELAY_ADMIN__LISTEN=0.0.0.0:8080 \
    GLIBC_TUNABLES=glibc.malloc.hugetlb=1
VOLUME /var/lib/relay
USER relay

# Plain with STARTTLS, submission with STARTTLS required, implicit TLS; health and metrics.
EXPOSE 2525 2587 2465 8080

# Not only alive: ready to take mail. Any answer but 2xx raises, and so fails the check.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/readyz', timeout=4)"]

CMD ["python", "-m", "relay", "serve"]
