# syntax=docker/dockerfile:1
# The images by their names, which may mean something else tomorrow. Whoever publishes what comes out pins them:
#   docker buildx imagetools inspect rust:1.95-bookworm            (the line "Digest")
#   docker build --build-arg RUST_IMAGE=rust@sha256:… --build-arg DEBIAN_IMAGE=debian@sha256:… .
ARG RUST_IMAGE=rust:1.95-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim

# Stage 1 builds the dependencies from the manifests alone, so that a change of our sources does not build them again.
FROM ${RUST_IMAGE} AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY src/seal/aead src/seal/aead
COPY tests/fuzz/Cargo.toml tests/fuzz/Cargo.toml
COPY tests/loopback/Cargo.toml tests/loopback/Cargo.toml
RUN mkdir -p src tests/loopback/src tests/it tests/bench \
 && echo 'fn main() {}' | tee src/main.rs tests/it/main.rs tests/bench/fleet.rs tests/fuzz/any.rs tests/loopback/src/main.rs > /dev/null \
 && touch src/lib.rs tests/loopback/src/lib.rs \
 && cargo build --release --locked --package sessiond \
 # waproto's build script names a file that it writes itself: as new as that, it would be built again with every change of ours.
 && find target -name whatsapp.local.desc -exec touch -d @0 {} +
COPY config config
COPY src src
RUN touch src/lib.rs src/main.rs && cargo build --release --locked --package sessiond

# Stage 2: the binary, and nothing that it does not need. Root certificates are compiled in.
FROM ${DEBIAN_IMAGE}
# A new volume takes its owner from the folder that it is mounted on.
RUN useradd --uid 10001 --home-dir /var/lib/sessiond --create-home sessiond \
 && install --directory --owner sessiond --group sessiond --mode 0700 /var/lib/sessiond/data
COPY --from=build /src/target/release/sessiond /usr/local/bin/sessiond
USER sessiond
WORKDIR /var/lib/sessiond
ENV SESSIOND_DATA__DIR=/var/lib/sessiond/data
EXPOSE 3000
# No shell in between: SIGTERM must reach the daemon.
ENTRYPOINT ["/usr/local/bin/sessiond"]
