import { join, resolve } from 'node:path'
import { gatewayNodeOptions } from '../../services/gateway/node-options.ts'
import { probeTopic } from './tokens.ts'

/** One process of the local cluster: how to start it, how to see that it is ready, how and when to stop it. */
export interface LocalProcess {
  name: string
  command: string
  args: string[]
  env: Record<string, string>
  /** What it listens on, port to purpose. */
  ports: Record<number, string>
  /** Answers 200 when it is ready. */
  readyUrl: string
  /** Processes of a lower stage have ended before those of a higher one are told to. */
  stopStage: number
  /** From SIGTERM to SIGKILL. */
  stopTimeoutMs: number
}

export interface ClusterSettings {
  /** Logs, state, Nginx's files; `.run` unless RUN_DIR says otherwise. */
  runDir: string
  /** Added to every port, for a second cluster on the same machine (PORT_SHIFT). */
  portShift: number
  environment: Record<string, string>
}

export interface Tools {
  natsServer: string
  nginx: string
}

const root = join(import.meta.dirname, '../..')

/** @throws when PORT_SHIFT is not a whole number that leaves all ports valid. */
export function clusterSettings(environment: NodeJS.ProcessEnv): ClusterSettings {
  const portShift = Number(environment.PORT_SHIFT || 0)
  if (!Number.isInteger(portShift) || portShift < -3000 || portShift > 50_000) {
    throw new Error(`PORT_SHIFT: "${environment.PORT_SHIFT}" must be a whole number from -3000 to 50000`)
  }
  return {
    runDir: resolve(root, environment.RUN_DIR || '.run'),
    portShift,
    environment: Object.fromEntries(
      Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined),
    ),
  }
}

export function clusterPorts(settings: ClusterSettings) {
  const at = (port: number) => port + settings.portShift
  return {
    nats: at(4222),
    natsMonitor: at(8222),
    gateways: [
      { port: at(3001), metrics: at(9101) },
      { port: at(3003), metrics: at(9103) },
    ],
    publisher: { port: at(3002), metrics: at(9102) },
    demoMetrics: at(9104),
    proberMetrics: at(9105),
    http: at(8080),
    tls: at(8443),
    nginxStatus: at(8081),
    // Not 9090 and 9113: a machine that has these programs as services uses those.
    prometheus: at(9190),
    nginxExporter: at(9193),
  }
}

/** What the Nginx template is filled with for this cluster; NGINX_… of the environment goes before. */
export function nginxVariables(settings: ClusterSettings): Record<string, string> {
  const ports = clusterPorts(settings)
  const server = (port: number) => `server 127.0.0.1:${port} max_fails=0;`
  const given = Object.entries(settings.environment).filter(([name]) => name.startsWith('NGINX_'))
  return {
    NGINX_HTTP_LISTEN: String(ports.http),
    NGINX_TLS_LISTEN: String(ports.tls),
    NGINX_STATUS_LISTEN: `127.0.0.1:${ports.nginxStatus}`,
    NGINX_ERROR_LOG: join(settings.runDir, 'logs/nginx.log'),
    NGINX_ACCESS_LOG: join(settings.runDir, 'logs/nginx-access.log'),
    NGINX_GATEWAY_SERVERS: ports.gateways.map(({ port }) => server(port)).join(' '),
    NGINX_PUBLISHER_SERVERS: server(ports.publisher.port),
    NGINX_PAGES_ROOT: join(root, 'services/demo/pages'),
    ...Object.fromEntries(given),
  }
}

/** The cluster's processes in the order in which they are started. */
export function clusterProcesses(settings: ClusterSettings, tools: Tools): LocalProcess[] {
  const ports = clusterPorts(settings)
  const { runDir, environment } = settings
  const common = {
    ...environment,
    NATS_URL: `nats://127.0.0.1:${ports.nats}`,
    HOST: '127.0.0.1',
    AUTH_MODE: environment.AUTH_MODE || 'off',
    // Seconds matter more than gentleness here; in production this is 20 s.
    DRAIN_WINDOW_MS: environment.DRAIN_WINDOW_MS || '3000',
  }
  const service = (
    name: string,
    folder: string,
    metricsPort: number,
    stopStage: number,
    own: { port?: number; env?: Record<string, string> } = {},
  ): LocalProcess => ({
    name,
    // The Node that runs this, not whichever is on PATH.
    command: process.execPath,
    args: [...(folder === 'gateway' ? gatewayNodeOptions : []), join(root, 'services', folder, 'main.ts')],
    env: {
      ...common,
      METRICS_PORT: String(metricsPort),
      ...(own.port ? { PORT: String(own.port) } : {}),
      ...own.env,
    },
    ports: { ...(own.port ? { [own.port]: 'HTTP' } : {}), [metricsPort]: 'metrics' },
    readyUrl: `http://127.0.0.1:${metricsPort}/readyz`,
    stopStage,
    // Above the drain window, so that a drain is never cut short.
    stopTimeoutMs: Number(common.DRAIN_WINDOW_MS) + 10_000,
  })
  // Without a token they could only be refused, for ever.
  const open = common.AUTH_MODE === 'off'
  const wantsDemo = open || environment.PUBLISHER_TOKEN
  const wantsProber = open || environment.PROBE_TOKEN
  const metricsUrl = (port: number) => `http://127.0.0.1:${port}/metrics`
  const demo = service('demo', 'demo', ports.demoMetrics, 1, {
    env: {
      PUBLISHER_URL: `http://127.0.0.1:${ports.publisher.port}/v1/events`,
      GATEWAY_METRICS_URLS: ports.gateways.map(({ metrics }) => metricsUrl(metrics)).join(','),
      PUBLISHER_METRICS_URLS: metricsUrl(ports.publisher.metrics),
      PROBER_METRICS_URLS: wantsProber ? metricsUrl(ports.proberMetrics) : '',
    },
  })
  const prober = service('prober', 'prober', ports.proberMetrics, 1, {
    // The front door, where users come in.
    env: {
      BASE_URL: `http://127.0.0.1:${ports.http}`,
      PROBE_CERTIFICATE_URL: environment.PROBE_CERTIFICATE_URL || `https://127.0.0.1:${ports.tls}`,
      PROBE_TOPIC: environment.PROBE_TOPIC || probeTopic,
    },
  })
  return [
    {
      name: 'nats',
      command: tools.natsServer,
      args: [
        ...['--jetstream', '--store_dir', join(runDir, 'nats'), '--addr', '127.0.0.1'],
        ...['--port', String(ports.nats), '--http_port', String(ports.natsMonitor)],
      ],
      env: environment,
      ports: { [ports.nats]: 'clients', [ports.natsMonitor]: 'monitor' },
      readyUrl: `http://127.0.0.1:${ports.natsMonitor}/healthz`,
      stopStage: 5,
      stopTimeoutMs: 15_000,
    },
    service('publisher', 'publisher', ports.publisher.metrics, 2, { port: ports.publisher.port }),
    ...ports.gateways.map(({ port, metrics }, index) =>
      service(`gateway-${index + 1}`, 'gateway', metrics, 3, { port }),
    ),
    {
      name: 'nginx',
      command: tools.nginx,
      args: [
        ...['-e', join(runDir, 'logs/nginx.log'), '-c', join(runDir, 'nginx/nginx.conf')],
        ...['-g', 'daemon off;'],
      ],
      env: environment,
      ports: { [ports.http]: 'HTTP', [ports.tls]: 'TLS', [ports.nginxStatus]: 'status' },
      readyUrl: `http://127.0.0.1:${ports.nginxStatus}/status`,
      // After the gateways: their last events and goodbyes go through it.
      stopStage: 4,
      stopTimeoutMs: 5_000,
    },
    ...(wantsDemo ? [demo] : []),
    ...(wantsProber ? [prober] : []),
  ]
}
