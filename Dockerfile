# syntax=docker/dockerfile:1
# One image for every process: `serve`, `serve --no-worker`, `worker`, `migrate`, and `sandbox ...`.
#
# The base is named by version. To build from the very same bytes each time, name it by digest:
#   docker build --build-arg BASE=python:3.11-slim-trixie@sha256:... .
ARG BASE=python:3.11-slim-trixie

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /src
RUN ["python", "-m", "venv", "--without-pip", "/opt/tidegate"]
COPY requirements/runtime.txt requirements/
RUN ["python", "-m", "pip", "--python", "/opt/tidegate/bin/python", "install", "--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement", "requirements/runtime.txt"]
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN ["python", "-m", "pip", "--python", "/opt/tidegate/bin/python", "install", "--no-deps", "--no-build-isolation", "."]
# What built the package does not run it.
RUN ["python", "-m", "pip", "--python", "/opt/tidegate/bin/python", "uninstall", "--yes", "hatchling", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers"]
RUN ["/opt/tidegate/bin/tidegate", "--version"]

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Tidegate" \
      org.opencontainers.image.description="A self-hosted payments service: money out and money in on one ledger" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A number, so that a platform can see that it is not root; it needs no name and owns only its data.
RUN ["python", "-m", "pip", "uninstall", "--yes", "--quiet", "--root-user-action", "ignore", "pip"]
RUN ["install", "-d", "-o", "10001", "-g", "10001", "-m", "0700", "/data"]
COPY --from=build /opt/tidegate /opt/tidegate
ENV PATH=/opt/tidegate/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SERVER_HOST=0.0.0.0 \
    SERVER_PORT=8000 \
    HEARTBEAT_FILE=/tmp/tidegate.heartbeat
USER 10001:10001
# The SQLite database is `tidegate.db` here; with PostgreSQL nothing is written.
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-m", "tidegate.probe"]
ENTRYPOINT ["tidegate"]
CMD ["serve"]
