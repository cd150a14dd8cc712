# The API and the workers of Windlass are one image: `windlass server` and `windlass worker`.

ARG NODE_IMAGE=node:24-bookworm-slim
ARG OPENTOFU_IMAGE=ghcr.io/opentofu/opentofu:1.12.6-minimal

FROM ${OPENTOFU_IMAGE} AS opentofu

FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json ./
COPY scripts ./scripts
COPY src ./src
RUN node scripts/build.mjs && npm prune --omit=dev --no-audit --no-fund

FROM ${NODE_IMAGE}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bubblewrap ca-certificates git openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 windlass \
    && install --directory --owner windlass --group windlass --mode 700 /var/lib/windlass /var/cache/windlass
COPY --from=opentofu /usr/local/bin/tofu /usr/local/bin/tofu
COPY --from=build /build/package.json /opt/windlass/package.json
COPY --from=build /build/node_modules /opt/windlass/node_modules
COPY --from=build /build/dist /opt/windlass/dist
RUN printf '#!/bin/sh\nexec node --max-old-space-size="${WINDLASS_HEAP_MB:-2048}" /opt/windlass/dist/src/cli/main.js "$@"\n' \
    > /usr/local/bin/windlass && chmod 755 /usr/local/bin/windlass

USER windlass
WORKDIR /home/windlass
# Loopback inside a container would be reachable from nowhere.
ENV NODE_ENV=production \
    WINDLASS_HOST=0.0.0.0 \
    WINDLASS_PORT=8080 \
    WINDLASS_DATA=/var/lib/windlass \
    WINDLASS_CACHE=/var/cache/windlass \
    WINDLASS_TOFU=/usr/local/bin/tofu
EXPOSE 8080
VOLUME ["/var/lib/windlass", "/var/cache/windlass"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.WINDLASS_PORT + '/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["windlass"]
CMD ["server"]
