import type { TObject } from 'typebox'
import { demoSettings } from '../../services/demo/config.ts'
import { gatewaySettings } from '../../services/gateway/config.ts'
import { proberSettings } from '../../services/prober/config.ts'
import { publisherSettings } from '../../services/publisher/config.ts'

// values.schema.json of the chart. What services check of their settings when they start is checked here when the
// chart is installed, from the same tables.

type Schema = Record<string, unknown>

const text: Schema = { type: 'string' }
const flag: Schema = { type: 'boolean' }
const labels: Schema = { type: 'object', additionalProperties: { type: 'string' } }
const list = (items: Schema): Schema => ({ type: 'array', items })
const objects = list({ type: 'object' })
const whole = (minimum: number, maximum?: number): Schema => ({
  type: 'integer',
  minimum,
  ...(maximum === undefined ? {} : { maximum }),
})
const choice = (...options: string[]): Schema => ({ type: 'string', enum: options })
/** An object of exactly these fields: a slip in a name is an error, and not a value that nobody reads. */
const object = (properties: Record<string, Schema>): Schema => ({
  type: 'object',
  properties,
  additionalProperties: false,
})

/** Settings that values of their own set, or the image. */
const notAsSettings = /^(NATS_|JWT_|AUTH_MODE$|HOST$|PORT$|METRICS_PORT$|PUBLISHER_TOKEN$|PROBE_TOKEN$)/

function settings(...tables: TObject[]): Schema {
  const fields = tables.flatMap((table) => Object.entries(table.properties) as [string, Schema][])
  const properties = Object.fromEntries(
    fields
      .filter(([name]) => !notAsSettings.test(name))
      .map(([name, field]) => {
        const { default: _, ...schema } = field
        // null takes away a value that the chart or another file sets.
        return [name, { ...schema, ...(schema.type ? { type: [schema.type, 'null'] } : {}) }]
      }),
  )
  return object(properties)
}

const resources = object({
  requests: { type: 'object' },
  limits: { type: 'object' },
  claims: objects,
})

const placement = {
  nodeSelector: labels,
  tolerations: objects,
  affinity: { type: 'object' },
  priorityClassName: text,
  podAnnotations: labels,
  podLabels: labels,
}

const rollout = {
  replicas: whole(0),
  preStopSeconds: whole(1, 600),
  minReadySeconds: whole(0),
  terminationGracePeriodSeconds: whole(0),
  maxSurge: { anyOf: [whole(1), { type: 'string', pattern: '^[1-9][0-9]?%$|^100%$' }] },
  maxUnavailableByEviction: { anyOf: [whole(1), { type: 'string', pattern: '^[1-9][0-9]?%$' }] },
  resources,
}

const helper = (table: TObject): Schema =>
  object({
    enabled: flag,
    settings: settings(table),
    tokenSecret: text,
    tokenKey: text,
    resources,
    ...placement,
  })

export const valuesSchema: Schema = {
  $schema: 'https://json-schema.org/draft-07/schema#',
  title: 'Values of the chart sse-cluster',
  ...object({
    global: { type: 'object' },
    nameOverride: text,
    fullnameOverride: text,
    clusterDomain: text,
    images: object({
      services: text,
      nginx: text,
      nginxExporter: text,
      pullPolicy: choice('Always', 'IfNotPresent', 'Never'),
      pullSecrets: objects,
    }),
    nats: object({
      url: { type: 'string', pattern: '^(nats|tls|ws|wss)://' },
      secret: text,
      credentialsKey: text,
      userKey: text,
      passwordKey: text,
      caKey: text,
      port: whole(0, 65_535),
    }),
    auth: object({
      mode: choice('jwt', 'off'),
      jwksUrl: { type: 'string', pattern: '^$|^https?://' },
      secret: text,
      sharedSecretKey: text,
      publicKeyKey: text,
      caKey: text,
      issuer: text,
      audience: text,
    }),
    settings: settings(gatewaySettings, publisherSettings),
    descriptors: whole(1024),
    gateway: object({
      ...rollout,
      settings: settings(gatewaySettings),
      nodeOptions: list(text),
      autoscaling: object({
        enabled: flag,
        type: choice('hpa', 'keda'),
        minReplicas: whole(1),
        maxReplicas: whole(1),
        connectionsPerPod: whole(1),
        metric: text,
        cpuPercent: whole(0, 1000),
        prometheusUrl: text,
        scaleDownStabilizationSeconds: whole(0, 3600),
        scaleDownPeriodSeconds: whole(1, 1800),
      }),
      ...placement,
    }),
    publisher: object({ ...rollout, settings: settings(publisherSettings), ...placement }),
    nginx: object({
      ...rollout,
      settings: {
        type: 'object',
        propertyNames: { pattern: '^NGINX_[A-Z_]+$' },
        additionalProperties: { type: ['string', 'integer', 'null'] },
      },
      workers: whole(1, 256),
      workerConnections: whole(64),
      workerDescriptors: whole(128),
      resolver: text,
      resolverValidSeconds: whole(1, 60),
      shutdownSeconds: whole(1),
      tls: object({ secret: text }),
      service: object({
        type: choice('ClusterIP', 'NodePort', 'LoadBalancer'),
        port: whole(1, 65_535),
        tlsPort: whole(1, 65_535),
        nodePort: whole(0, 65_535),
        tlsNodePort: whole(0, 65_535),
        annotations: labels,
        externalTrafficPolicy: choice('Cluster', 'Local'),
        loadBalancerSourceRanges: list(text),
      }),
      exporter: object({ enabled: flag, resources }),
      ...placement,
    }),
    prober: helper(proberSettings),
    demo: helper(demoSettings),
    topologySpread: object({
      enabled: flag,
      whenUnsatisfiable: choice('ScheduleAnyway', 'DoNotSchedule'),
    }),
    networkPolicy: object({
      enabled: flag,
      clients: objects,
      metricsFrom: objects,
      nats: objects,
      egress: objects,
    }),
    serviceAccount: object({ name: text, annotations: labels }),
    ingress: object({ enabled: flag, className: text, host: text, tlsSecret: text, annotations: labels }),
    httpRoute: object({ enabled: flag, hostnames: list(text), parentRefs: objects, annotations: labels }),
    monitoring: object({
      serviceMonitor: flag,
      interval: text,
      prometheusRule: flag,
      runbooksUrl: text,
      dashboards: flag,
      labels,
      dashboardLabels: labels,
    }),
    test: object({ tokenSecret: text, tokenKey: text }),
  }),
}
