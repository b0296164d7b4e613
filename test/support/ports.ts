import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { blockedPorts } from '../../deploy/local/ports.ts'

const lowest = 6000
const highest = 11999
const locks = join(tmpdir(), 'sse-cluster-test-ports')
const mine = new Set<string>()

/**
 * A port that nothing listens on and that no other test process was given: each one is held by a file that
 * names its holder until that process ends. Below 12000, out of the range from which the system gives out
 * ports of outgoing connections, so that a restarted server finds its port free.
 */
export async function freePort(): Promise<number> {
  mkdirSync(locks, { recursive: true })
  for (let attempt = 0; attempt < 1000; attempt++) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest + 1))
    if (!blockedPorts.has(port) && reserve(port) && (await canListen(port))) return port
  }
  throw new Error(`No free port between ${lowest} and ${highest}`)
}

function reserve(port: number): boolean {
  const file = join(locks, String(port))
  for (const _ of ['first', 'after removing a stale lock']) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' })
      if (mine.size === 0) process.once('exit', release)
      mine.add(file)
      return true
    } catch {
      if (holderLives(file)) return false
      rmSync(file, { force: true })
    }
  }
  return false
}

function holderLives(file: string): boolean {
  try {
    process.kill(Number(readFileSync(file, 'utf8')), 0)
    return true
  } catch {
    return false
  }
}

function release(): void {
  for (const file of mine) rmSync(file, { force: true })
}

async function canListen(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    // All addresses: a listener on any of them is in the way.
    server.listen(port, () => server.close(() => resolve(true)))
  })
}
