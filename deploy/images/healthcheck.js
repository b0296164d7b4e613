// The image's health check: what the service itself says of its readiness. JavaScript, and without fetch, since it
// runs every few seconds in every container: type stripping and undici would double its cost.
import { get } from 'node:http'

const url = `http://127.0.0.1:${process.env.METRICS_PORT}/readyz`
const request = get(url, { timeout: 3_000 }, (answer) => process.exit(answer.statusCode === 200 ? 0 : 1))
request.on('error', () => process.exit(1))
request.on('timeout', () => process.exit(1))
