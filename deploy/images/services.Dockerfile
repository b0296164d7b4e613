# One image for all services; the command names which: `services/gateway/main.ts`.

FROM node:26-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# What runs only; the package `node` is among the rest, since this image brings Node itself.
RUN npm ci --omit=dev

FROM node:26-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY package.json ./
COPY services services
USER node
# Node is process 1 and handles SIGTERM itself: a shell before it would swallow the signal, and with it the drain.
ENTRYPOINT ["node"]
