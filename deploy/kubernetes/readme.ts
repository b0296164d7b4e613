import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml'

/** The chart's README, whose tables are made from values.yaml and its comments. */
export function chartReadme(values: string): string {
  const document = parseDocument(values)
  if (!isMap(document.contents)) throw new Error('values.yaml is no map')
  const rows = valueRows(document.contents as YAMLMap)
  return `# Chart sse-cluster

<!-- Made by \`make manifests\` from values.yaml and its comments. Change it there. -->

Gateways, publisher and Nginx of sse-cluster; the prober and the demo where they are switched on. Helm 3.14 or newer, or Helm 4; Kubernetes 1.30 or newer.

The log, NATS JetStream, is a release of its own, since it outlives every release of this chart: [nats-values.yaml](../nats-values.yaml) for NATS's chart, or [nats.yaml](../../kubernetes/nats.yaml) for kubectl.

\`\`\`sh
kubectl create namespace sse-cluster
kubectl apply --namespace sse-cluster -f deploy/kubernetes/nats.yaml
kubectl create secret generic sse-cluster-jwt --namespace sse-cluster --from-literal=secret="$(openssl rand -base64 48)"
helm upgrade --install sse-cluster deploy/helm/sse-cluster --namespace sse-cluster --wait \\
  --set images.services=registry.example.com/sse-cluster-services:0.1.0 \\
  --set images.nginx=registry.example.com/sse-cluster-nginx:0.1.0 \\
  --set auth.secret=sse-cluster-jwt --set auth.sharedSecretKey=secret
helm test sse-cluster --namespace sse-cluster --logs
\`\`\`

\`make deploy\` does these steps against the current context. How to size, upgrade, scale and roll back: [docs/operations.md](../../../docs/operations.md).

A slip in a name, a value out of bounds, and values that contradict each other (a grace period below the drain, more connections than descriptors) stop the installation, and say why.

## Values

| value | default | what it is for |
|---|---|---|
${rows.join('\n')}
`
}

function valueRows(map: YAMLMap, path: string[] = []): string[] {
  return map.items.flatMap((pair, index) => {
    const name = [...path, String((pair.key as { value: unknown }).value)]
    // The comment of a map's first entry is the map's own.
    const comment = index === 0 ? (commentOf(pair) ?? map.commentBefore) : commentOf(pair)
    const text = describe(comment)
    if (isMap(pair.value) && pair.value.items.length > 0 && !isFree(name)) {
      const head = text ? [`| **\`${name.join('.')}\`** | | ${text} |`] : []
      return [...head, ...valueRows(pair.value as YAMLMap, name)]
    }
    return [`| \`${name.join('.')}\` | ${initial(pair.value)} | ${text} |`]
  })
}

/** Maps that are one value: a reader sets them as a whole. */
const isFree = (path: string[]) => ['resources', 'annotations', 'dashboardLabels'].includes(path.at(-1) ?? '')

function commentOf(pair: Pair): string | undefined {
  const { key } = pair
  return isScalar(key) && key.commentBefore ? key.commentBefore : undefined
}

/** The text behind `--`, up to the next blank line; without the mark the whole comment. */
function describe(comment: string | null | undefined): string {
  const paragraph = (comment ?? '').split(/\n\s*\n/).at(-1) ?? ''
  return paragraph
    .split('\n')
    .map((line) => line.trim())
    .join(' ')
    .replace(/^.*?--\s+/, '')
    .replaceAll('|', '\\|')
    .trim()
}

function initial(value: unknown): string {
  const json = JSON.stringify((value as { toJSON?: () => unknown } | null)?.toJSON?.() ?? null)
  return json === '""' || json === 'null' ? '' : `\`${json.replace(/^"(.*)"$/, '$1')}\``
}
