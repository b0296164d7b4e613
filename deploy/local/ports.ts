import { createServer } from 'node:net'
import { execa } from 'execa'
import type { LocalProcess } from './cluster.ts'

/** @throws naming every port that is taken, what it is for, and who holds it, as far as this user may see. */
export async function requireFreePorts(processes: Pick<LocalProcess, 'name' | 'ports'>[]): Promise<void> {
  const taken: string[] = []
  for (const { name, ports } of processes) {
    for (const [port, purpose] of Object.entries(ports)) {
      if (await canListen(Number(port))) continue
      taken.push(`  ${port} (${name}, ${purpose}): ${await holderOf(Number(port))}`)
    }
  }
  if (taken.length === 0) return
  throw new Error(
    `These ports are taken, so nothing was started:\n${taken.join('\n')}\n` +
      'End what holds them, or move the whole cluster: make up PORT_SHIFT=2000',
  )
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
