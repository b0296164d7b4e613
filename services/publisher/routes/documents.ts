import swagger from '@fastify/swagger'
import reference from '@scalar/fastify-api-reference'
import type { HttpApp } from '../../common/http-app.ts'
import { apiDocument, subscribeOperation } from '../api-document.ts'

/** `/openapi.json`, and `/docs` as a page for it. The page must work without the internet. */
export async function addDocuments(app: HttpApp): Promise<void> {
  await app.register(swagger, { openapi: structuredClone(apiDocument) })
  await app.register(reference, {
    routePrefix: '/docs',
    configuration: {
      url: '../openapi.json',
      withDefaultFonts: false,
      telemetry: false,
      hideClientButton: true,
      showDeveloperTools: 'never',
      agent: { disabled: true },
      mcp: { disabled: true },
    },
  })
  app.addHook('onSend', async (request, reply) => {
    if (request.url.startsWith('/docs'))
      reply.header(
        'content-security-policy',
        "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'",
      )
  })
  let document: string | undefined
  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => {
    document ??= JSON.stringify(withSubscribe(app.swagger()))
    return reply.header('content-type', 'application/json').send(document)
  })
}

function withSubscribe(document: object): object {
  const { paths } = document as { paths?: Record<string, object> }
  return {
    ...document,
    paths: { ...paths, '/v1/events': { get: subscribeOperation, ...paths?.['/v1/events'] } },
  }
}
