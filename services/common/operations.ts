import { createServer, type Server } from 'node:http'
import type { Registry } from 'prom-client'

export interface Health {
  /** Undefined when ready, else what the service is waiting for. */
  notReady(): string | undefined
}

/**
 * `/livez`, `/readyz` and `/metrics` on a port of their own, which Nginx does not expose. Liveness says only that
 * the process answers: it stays true while draining and while NATS is away, since a restart would help neither.
 */
export async function serveOperations(
  host: string,
  port: number,
  registry: Registry,
  health: Health,
): Promise<Server> {
  const server = createServer(async (request, response) => {
    const path = request.url?.split('?')[0]
    const answer = (status: number, body: string, type = 'text/plain; charset=utf-8') =>
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body)
    if (path === '/livez') return answer(200, 'ok\n')
    if (path === '/readyz') {
      const reason = health.notReady()
      return reason === undefined ? answer(200, 'ok\n') : answer(503, `${reason}\n`)
    }
    if (path === '/metrics') {
      try {
        return answer(200, await registry.metrics(), registry.contentType)
      } catch (error) {
        return answer(500, `metrics failed: ${String(error)}\n`)
      }
    }
    return answer(404, 'Here are /livez, /readyz and /metrics.\n')
  })
  await listening(server, host, port, 'METRICS_PORT')
  return server
}

/** @throws when the port is taken, naming the setting to change. */
async function listening(server: Server, host: string, port: number, setting: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new Error(`Port ${port} is taken; set ${setting} to a free one.`)
          : error,
      ),
    )
    server.listen(port, host, resolve)
  })
}
