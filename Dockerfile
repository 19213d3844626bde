# connlint alone, static, not as root:
#   docker build -t connlint .
#   docker run --rm -v "$PWD:/captures:ro" -w /captures connlint check api.pcap
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /connlint ./cmd/connlint

FROM scratch
COPY --from=build /connlint /connlint
USER 65532:65532
ENTRYPOINT ["/connlint"]
CMD ["help"]
