import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { takeSocket, unsentBytes } from '../../services/gateway/http-socket.ts'
import { waitUntil } from '../support/wait.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

interface Taken {
  socket: Socket
  released: boolean
}

let server: Server
let client: Socket
let received = ''
let taken: Taken[]
const http = [] as { weak: WeakRef<object>; name: string }[]

function take(request: IncomingMessage, response: ServerResponse): void {
  const { parser } = request.socket as unknown as { parser: object }
  for (const [name, object] of Object.entries({ request, response, parser }))
    http.push({ name, weak: new WeakRef(object) })
  taken.push(takeSocket(request, response))
}

beforeEach(async () => {
  taken = []
  http.length = 0
  received = ''
  server = createServer(take)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  client = connect((server.address() as { port: number }).port, '127.0.0.1')
  client.setEncoding('latin1').on('data', (text: string) => {
    received += text
  })
  client.write('GET /v1/events HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\n\r\n')
  await waitUntil(() => taken.length > 0, { what: 'the request' })
})

afterEach(async () => {
  client.destroy()
  for (const { socket } of taken) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
})

test('this Node still lets HTTP go of its socket', () => {
  expect(taken[0]?.released).toBe(true)
})

test('parser, request and response are garbage afterwards, while the connection is open', async () => {
  expect(http.map(({ name }) => name)).toEqual(['request', 'response', 'parser'])
  await waitUntil(
    async () => {
      await turn()
      collectGarbage()
      return http.every(({ weak }) => weak.deref() === undefined)
    },
    { what: `${http.length} HTTP objects to be collected` },
  )
  expect(taken[0]?.socket.destroyed).toBe(false)
  taken[0]?.socket.write('still here')
  await waitUntil(() => received === 'still here', { what: 'a write after the collection' })
})

test('the socket has no listener left, and what is written to it arrives as it is', async () => {
  const { socket } = taken[0] as Taken
  for (const event of ['data', 'end', 'close', 'drain', 'error', 'timeout', 'resume', 'pause'])
    expect(socket.listenerCount(event), event).toBe(0)
  socket.write('HTTP/1.1 200 OK\r\n\r\nhello')
  await waitUntil(() => received === 'HTTP/1.1 200 OK\r\n\r\nhello', { what: 'the written bytes' })
})

test('what the client sends later is the owner’s to read, be it another request', async () => {
  const { socket } = taken[0] as Taken
  let text = ''
  socket.on('data', (bytes) => {
    text += String(bytes)
  })
  client.write('GET /second HTTP/1.1\r\n\r\n')
  await waitUntil(() => text.includes('second'), { what: 'the later bytes' })
  expect(taken).toHaveLength(1)
})

test('the owner sees the client go, by an end and by a cut', async () => {
  const { socket } = taken[0] as Taken
  const seen: string[] = []
  socket
    .on('end', () => seen.push('end'))
    .on('close', () => seen.push('close'))
    .on('error', () => seen.push('error'))
  socket.resume()
  client.end()
  await waitUntil(() => seen.includes('end'), { what: 'the end' })
  client.resetAndDestroy()
  socket.write('anybody?')
  await waitUntil(() => seen.includes('close'), { what: 'the close' })
})

test('unsent bytes are those that the kernel has not taken', async () => {
  const { socket } = taken[0] as Taken
  expect(unsentBytes(socket)).toBe(0)
  client.pause()
  const size = 32 * 1_048_576
  socket.write(Buffer.alloc(size))
  expect(unsentBytes(socket)).toBeGreaterThan(0)
  expect(unsentBytes(socket)).toBeLessThanOrEqual(size)
  const before = unsentBytes(socket)
  client.resume()
  await waitUntil(() => unsentBytes(socket) < before, { what: 'progress' })
  await waitUntil(() => unsentBytes(socket) === 0, { what: 'all of it' })
})

test('where the internals are missing, the socket is handed over all the same', () => {
  const socket = { parser: null, setTimeout: () => undefined }
  const result = takeSocket({ socket } as unknown as IncomingMessage, {} as ServerResponse)
  expect(result).toEqual({ socket, released: false })
})
