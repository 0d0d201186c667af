# The image of the door for HTTP, one static program and the authorities of the internet. From the root of the repository:
#   docker build -f deploy/rest.Dockerfile -t harmonia-rest:0.1.0 .
ARG GO=1.26

FROM golang:${GO} AS build
WORKDIR /src
COPY rest/go.mod rest/go.sum rest/
RUN go -C rest mod download
COPY rest rest
RUN ./rest/build.sh /harmonia-rest

FROM scratch
LABEL org.opencontainers.image.title="harmonia-rest" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /harmonia-rest /harmonia-rest
USER 65532:65532
ENTRYPOINT ["/harmonia-rest"]
