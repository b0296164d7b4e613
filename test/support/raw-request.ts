import { connect, type Socket } from 'node:net'

/** Lets `write` send raw bytes to a server on loopback; resolves with all that it answers until it closes. */
export async function rawRequest(port: number, write: (socket: Socket) => void): Promise<string> {
  return await new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => write(socket))
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      answer += chunk
    })
    socket.on('end', () => resolve(answer))
    // A server that closes while the client still writes resets the connection; what came before counts.
    socket.on('error', (error) => (answer ? resolve(answer) : reject(error)))
  })
}
