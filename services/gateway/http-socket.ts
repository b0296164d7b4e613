import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/**
 * The one place that leans on Node’s internals. Once the head of a stream is out, HTTP has nothing more to do on its
 * connection, but Node keeps parser, request and response for as long as it lives: a plain Node server holds 12.6 KB a
 * stream, a prototype without them 2.5 (the lab's figures, in the design).
 * Everything here has a plain fallback: where an internal is missing, the objects stay, and streams work all the same.
 * `test/unit/http-socket.test.ts` tells when a Node version changes what is used here.
 */

interface Parser {
  unconsume?: () => void
  remove?: () => void
  close?: () => void
  socket?: unknown
  incoming?: unknown
  outgoing?: unknown
  onIncoming?: unknown
}

interface HttpSocket extends Socket {
  parser?: Parser | null
  _httpMessage?: unknown
  _handle?: { writeQueueSize?: number } | null
}

/**
 * Takes the socket of a request out of the HTTP server’s hands: from here on it is the caller’s, with no listeners.
 * What the client still sends must be read by the caller.
 *
 * @returns the socket, and whether the HTTP objects could be let go.
 */
export function takeSocket(
  request: IncomingMessage,
  response: ServerResponse,
): { socket: Socket; released: boolean } {
  const socket = request.socket as HttpSocket
  const { parser } = socket
  socket.setTimeout(0)
  if (!parser || typeof parser.unconsume !== 'function' || typeof parser.close !== 'function') {
    return { socket, released: false }
  }
  response.detachSocket(socket)
  socket.removeAllListeners()
  parser.unconsume()
  // Callbacks that hold the server and the request (numbered properties of Node’s HTTPParser).
  for (let i = 0; i < 8; i++) (parser as Record<number, unknown>)[i] = null
  parser.remove?.()
  parser.socket = null
  parser.incoming = null
  parser.outgoing = null
  parser.onIncoming = null
  socket.parser = null
  ;(request as { parser?: unknown }).parser = null
  // Not within the parser’s own callback, which is still on the stack.
  setImmediate(() => parser.close?.())
  return { socket, released: true }
}

/** Bytes that have been written to the socket and that the kernel has not taken yet. */
export function unsentBytes(socket: Socket): number {
  return (socket as HttpSocket)._handle?.writeQueueSize ?? socket.writableLength
}
