# Thin: each target calls an npm script. Node 26 comes from the npm package `node`, which `npm run` puts first on PATH.

.DEFAULT_GOAL := help
.PHONY: help up down logs status test check bench load manifests deploy undeploy test-kubernetes sbom clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  Settings: LOCAL=1 local processes even where Docker answers; PORT_SHIFT=1000 all ports higher;"
	@echo "  MONITORING=0 without Prometheus, MONITORING=install with, by Go where apt has none;"
	@echo "  COMPOSE_PROFILES=monitoring Prometheus and Grafana in containers;"
	@echo "  AUTH_MODE=jwt JWT_SECRET=… with tokens; any other setting of the services (docs/settings.md)."

up: node_modules/.package-lock.json ## Start the whole cluster behind http://localhost:8080; returns when it is ready
	@npm run --silent up

down: node_modules/.package-lock.json ## End the cluster; gateways drain first, data stay
	@npm run --silent down

logs: node_modules/.package-lock.json ## Follow the logs of all processes
	@npm run --silent logs

status: node_modules/.package-lock.json ## Show each process, whether it is ready, and its ports
	@npm run --silent status

test: node_modules/.package-lock.json ## Run all tests, against real nats-server and nginx; ARGS=… for vitest
	@npm run --silent tools
	@npm run --silent test -- $(ARGS)

check: node_modules/.package-lock.json ## Check types, lint, format and drift: what CI runs short of the tests
	@npm run --silent check

bench: node_modules/.package-lock.json ## Measure the table of goals; ROW=fanout-200 one row, QUICK=1 only to see that it works
	@npm run --silent bench

load: node_modules/.package-lock.json ## Load test with k6: SCENARIO=smoke CONNECTIONS=20 BASE_URL=http://localhost:8080
	@npm run --silent load

manifests: node_modules/.package-lock.json ## Make deploy/kubernetes/base and the chart's schema and README from the chart
	@npm run --silent manifests

deploy: node_modules/.package-lock.json ## Deploy to kubectl's current context: SERVICES_IMAGE=… NGINX_IMAGE=… VALUES=file
	@npm run --silent deploy

undeploy: node_modules/.package-lock.json ## Take the release away; the log stays, unless DATA=delete
	@npm run --silent undeploy

test-kubernetes: node_modules/.package-lock.json ## Test on kubectl's current context, in namespaces of its own
	@KUBERNETES=1 npm run --silent test:kubernetes

sbom: ## List the npm packages of the services image (CycloneDX, from the lock file) in .run/sbom.cdx.json
	@mkdir -p .run
	@npm sbom --sbom-format cyclonedx --omit dev --package-lock-only > .run/sbom.cdx.json
	@echo "written to .run/sbom.cdx.json"

clean: down ## End the cluster and remove its data, logs and certificate
	@rm -rf .run
	@! docker info >/dev/null 2>&1 || docker compose -f deploy/compose/compose.yaml -f deploy/compose/nats-cluster.yaml down --volumes

# npm writes this file at the end of an installation. It is older than the lock file when that has changed.
node_modules/.package-lock.json: package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 or newer, which brings it." >&2; exit 1; }
	@echo "installing npm packages"
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $@
