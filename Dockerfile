# The image of the service. `make image` builds it; any engine with multi-stage builds will do, BuildKit is not needed.
#
# BASE is a Debian with Python 3.11 or newer and its venv module, at the same path in build and image. Pin it by digest
# where images are built for production: --build-arg BASE=python:3.11.14-slim-bookworm@sha256:...
ARG BASE=python:3.11.14-slim-bookworm

FROM $BASE AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0
WORKDIR /build
# Each folder of /layers becomes a layer of the image, with the times that its own folders have here; a COPY to another
# place would make those anew. They are filled where they will stand: paths are in what is compiled.
# pip builds from outside, and the environment that goes into the image has none.
RUN mkdir -p /layers/python/opt/python /layers/service/opt/service \
    && ln -s /layers/python/opt/python /layers/service/opt/service /opt/ \
    && python3 -m venv tools && python3 -m venv --without-pip /layers/python/opt/python
COPY requirements-run.lock requirements-image.lock ./
RUN tools/bin/pip --python /opt/python/bin/python install --quiet --no-compile --only-binary :all: \
        --require-hashes --requirement requirements-run.lock \
    && tools/bin/pip install --quiet --no-compile --require-hashes --requirement requirements-image.lock
# Tests, C and Cython sources and headers that packages bring along; nothing imports them.
RUN find /opt/python/ -depth -type d \( -name tests -o -name include \) -path '*/site-packages/*' -exec rm -r {} + \
    && find /opt/python/bin/ -type f,l -not -name 'python*' -delete \
    && find /opt/python/ -type f \( -name '*.pxd' -o -name '*.pyx' -o -name '*.a' -o -name '*.h' -o -name '*.c' \) -delete \
    && /opt/python/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/python
COPY pyproject.toml README.md LICENSE ./
COPY protobufs protobufs
COPY interceptors interceptors
COPY service service
# A layer of its own: a new version of the service is a few megabytes to pull.
RUN tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels . \
    && tools/bin/pip --python /opt/python/bin/python install --quiet --no-compile --no-deps --target /opt/service wheels/*.whl \
    && echo /opt/service > "$(echo /opt/python/lib/python3*/site-packages)/service.pth" \
    && tools/bin/pip --python /opt/python/bin/python check \
    && cp LICENSE /opt/service/ \
    && /opt/python/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/service
# Kernels are compiled for any processor of the architecture: the one that builds is not the one that runs.
ENV NUMBA_CPU_NAME=generic NUMBA_CACHE_LOCATOR_CLASSES=service.compiled_kernels.BuiltIn
# All files are of one time, whenever they are built: equal contents give equal layers, and who has one need not pull it.
RUN /opt/python/bin/python -P -m service.compiled_kernels \
    && tools/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml --mc-type application \
        --output-file /opt/service/sbom.cdx.json /opt/python/bin/python \
    && find /layers -exec touch --no-dereference --date 1980-01-01T00:00:00Z {} +

FROM $BASE
COPY --from=build /layers/python/ /
COPY --from=build /layers/service/ /
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=
LABEL org.opencontainers.image.title="recommendations" \
      org.opencontainers.image.description="Which books should this reader see next? A gRPC service." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.source="$SOURCE"
# No environment of the service is set here: a container is told where its files are, as the manifests do.
ENV PATH=/opt/service/bin:/opt/python/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CPU_NAME=generic NUMBA_CACHE_LOCATOR_CLASSES=service.compiled_kernels.BuiltIn
# By number, which runAsNonRoot can check; it needs no entry in /etc/passwd.
USER 65532:65532
EXPOSE 50051 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["recommendations"]
CMD ["serve"]
