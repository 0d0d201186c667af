# The composer with MusicGen, upon its plain image; built from the root of the repository:
#   docker build -f deploy/gpu.Dockerfile --build-arg COMPOSER=harmonia-composer:0.1.0 -t harmonia-composer-gpu:0.1.0 .
# The node's driver does the rest: torch brings its own CUDA. No weights are in it.
ARG COMPOSER=harmonia-composer:0.1.0
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
WORKDIR /src
COPY requirements/bootstrap.lock requirements/musicgen.lock requirements/
RUN python -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/bootstrap.lock

FROM ${COMPOSER}
USER 0:0
# Triton builds the launcher of each kernel with a C compiler where it runs.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/build /opt/build
COPY requirements/musicgen.lock /tmp/musicgen.lock
RUN /opt/build/bin/uv pip install --no-cache --python /opt/harmonia --compile-bytecode --require-hashes -r /tmp/musicgen.lock \
 && rm -rf /opt/build /tmp/musicgen.lock
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
LABEL org.opencontainers.image.title="harmonia-composer-gpu"
USER 65532:65532
