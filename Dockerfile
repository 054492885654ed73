# The package on the CPU: docker build -t neurosleep . && docker run --rm -v "$PWD:/work" neurosleep demo
# PIP_ARGS: further arguments of pip, such as the index of PyTorch's CPU-only builds, which makes the image several gigabytes smaller.
FROM python:3.11 AS build
COPY . /source
WORKDIR /source
RUN make wheel

FROM python:3.11-slim
ARG PIP_ARGS=""
COPY --from=build /source/dist/*.whl /tmp/
RUN pip install --no-cache-dir $PIP_ARGS /tmp/*.whl && rm /tmp/*.whl
WORKDIR /work
ENTRYPOINT ["neurosleep"]
CMD ["demo"]
