import { createServer, connect as netConnect, type Socket } from 'node:net'
import { freePort } from './ports.ts'

export interface NatsProxy {
  url: string
  /** Keeps back what consumers deliver, and lets everything else through: a pod behind this lags. */
  holdDeliveries(): void
  release(): void
  /** Ends all connections and takes no new ones until `mend`. */
  cut(): void
  mend(): void
  stop(): Promise<void>
}

/** Stands between one pod and NATS, so that a test decides when that pod learns what. */
export async function startNatsProxy(natsPort: number): Promise<NatsProxy> {
  const port = await freePort()
  const links = new Set<Link>()
  let holding = false
  let open = true
  const server = createServer((client) => {
    if (!open) return void client.destroy()
    const link = new Link(client, netConnect(natsPort, '127.0.0.1'), () => holding)
    links.add(link)
    client.on('close', () => links.delete(link))
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const end = () => {
    for (const link of links) link.end()
  }
  return {
    url: `nats://127.0.0.1:${port}`,
    holdDeliveries() {
      holding = true
    },
    release() {
      holding = false
      for (const link of links) link.release()
    },
    cut() {
      open = false
      end()
    },
    mend() {
      open = true
    },
    async stop() {
      end()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const lineEnd = Buffer.from('\r\n')

/** One connection. From the server it is read message by message (the NATS client protocol). */
class Link {
  private readonly client: Socket
  private readonly server: Socket
  private readonly holding: () => boolean
  private rest: Buffer = Buffer.alloc(0)
  private held: Buffer[] = []

  constructor(client: Socket, server: Socket, holding: () => boolean) {
    this.client = client
    this.server = server
    this.holding = holding
    client.on('data', (chunk: Buffer) => server.write(chunk))
    server.on('data', (chunk: Buffer) => this.forward(chunk))
    for (const socket of [client, server]) {
      socket.setNoDelay(true)
      socket.on('error', () => this.end()).on('close', () => this.end())
    }
  }

  release(): void {
    for (const message of this.held.splice(0)) this.client.write(message)
  }

  end(): void {
    this.client.destroy()
    this.server.destroy()
  }

  private forward(chunk: Buffer): void {
    this.rest = Buffer.concat([this.rest, chunk])
    for (;;) {
      const end = this.rest.indexOf(lineEnd)
      if (end < 0) return
      const words = this.rest.subarray(0, end).toString().split(' ')
      const hasPayload = words[0] === 'MSG' || words[0] === 'HMSG'
      const size = end + 2 + (hasPayload ? Number(words.at(-1)) + 2 : 0)
      if (this.rest.length < size) return
      const message = this.rest.subarray(0, size)
      this.rest = this.rest.subarray(size)
      const delivery = hasPayload && words.some((word) => word.startsWith('$JS.ACK.'))
      // What comes after something kept back must not overtake it.
      if (delivery && (this.holding() || this.held.length > 0)) this.held.push(Buffer.from(message))
      else this.client.write(message)
    }
  }
}
