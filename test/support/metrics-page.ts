import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Names and types of a service's metrics as `docs/metrics.md` has them, which is made from the code. */
export function documentedMetrics(
  service: 'Gateway' | 'Publisher' | 'Prober' | 'Demo',
): Record<string, string> {
  const page = readFileSync(join(import.meta.dirname, '../../docs/metrics.md'), 'utf8')
  const section = page.split(/^## /m).find((part) => part.startsWith(`${service}\n`)) ?? ''
  return Object.fromEntries(
    [...section.matchAll(/^\| `(\w+)` \| (\w+) \|/gm)].map(([, name, type]) => [name, type]),
  )
}

/** Names and types of what a running service exports, without the process's own; each must have help. */
export async function exportedMetrics(operationsUrl: string): Promise<Record<string, string>> {
  const text = await (await fetch(`${operationsUrl}/metrics`)).text()
  const types = [...text.matchAll(/^# TYPE ((?:sse|demo)_\w+) (\w+)$/gm)]
  for (const [, name] of types)
    if (!new RegExp(`^# HELP ${name} \\S`, 'm').test(text)) throw new Error(`${name} has no help`)
  return Object.fromEntries(types.map(([, name, type]) => [name, type]))
}
