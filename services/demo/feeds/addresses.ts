import { lookup } from 'node:dns/promises'

/**
 * The processes behind a metrics URL: one URL per address of its host name, in a steady order. Where gateways are
 * scaled, one name has all their addresses (Compose's service name, a headless Service in Kubernetes).
 *
 * @returns the URL itself while its name has no address, so that the process shows as away.
 */
export async function urlsBehind(url: string): Promise<string[]> {
  const { protocol, hostname, port, pathname, search } = new URL(url)
  const found = await lookup(hostname.replace(/^\[|\]$/g, ''), { all: true }).catch(() => [])
  // One family: a process may have an address of each, and is one process.
  const family = found.some((one) => one.family === 4) ? 4 : 6
  const hosts = found
    .filter((one) => one.family === family)
    .map(({ address }) => (family === 6 ? `[${address}]` : address))
    .sort()
  if (hosts.length === 0) return [url]
  return hosts.map((host) => `${protocol}//${host}${port ? `:${port}` : ''}${pathname}${search}`)
}
