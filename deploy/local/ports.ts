import { createServer } from 'node:net'
import { execa } from 'execa'
import type { LocalProcess } from './cluster.ts'

/** Ports of other protocols, from 1024 on, to which browsers and fetch never connect (WHATWG Fetch, 2.9). */
export const blockedPorts = new Set([
  1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697,
  10080,
])

/**
 * @throws naming every port that can't be used, what it is for, and why: who holds it, as far as this user may see, or
 *   that no browser would connect to it.
 */
export async function requireFreePorts(processes: Pick<LocalProcess, 'name' | 'ports'>[]): Promise<void> {
  const unusable: string[] = []
  for (const { name, ports } of processes) {
    for (const [port, purpose] of Object.entries(ports)) {
      const reason = await whyUnusable(Number(port))
      if (reason) unusable.push(`  ${port} (${name}, ${purpose}): ${reason}`)
    }
  }
  if (unusable.length === 0) return
  throw new Error(
    `These ports can't be used, so nothing was started:\n${unusable.join('\n')}\n` +
      'End what holds them, or move the whole cluster: make up PORT_SHIFT=1000',
  )
}

async function whyUnusable(port: number): Promise<string | undefined> {
  if (blockedPorts.has(port)) return 'browsers and fetch refuse to connect to it'
  return (await canListen(port)) ? undefined : await holderOf(port)
}

async function canListen(port: number): Promise<boolean> {
  return await new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false)
      else reject(new Error(`Can't listen on port ${port}: ${error.message}`))
    })
    // All addresses: a listener on any of them is in the way.
    server.listen(port, () => server.close(() => resolve(true)))
  })
}

async function holderOf(port: number): Promise<string> {
  const ss = await execa('ss', ['-Hltnp', `sport = :${port}`], { reject: false })
  const users = [...String(ss.stdout).matchAll(/\("([^"]+)",pid=(\d+)/g)].map(
    ([, name, pid]) => `${name}, pid ${pid}`,
  )
  if (users.length > 0) return `held by ${[...new Set(users)].join('; ')}`
  const lsof = await execa('lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-Fpc'], { reject: false })
  const [, pid, name] = /^p(\d+)\nc(.*)$/m.exec(String(lsof.stdout)) ?? []
  if (pid) return `held by ${name}, pid ${pid}`
  return `held by another user's process or a container; see it with: sudo ss -ltnp 'sport = :${port}'`
}
