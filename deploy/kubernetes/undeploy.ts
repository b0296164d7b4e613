import { join } from 'node:path'
import { currentTarget } from './target.ts'

/**
 * Takes the release away; gateways drain first. The log stays, with its servers and volumes, unless DATA=delete.
 *
 * @throws when a step fails, with what the tool said.
 */
export async function undeploy(environment: NodeJS.ProcessEnv = process.env): Promise<void> {
  const { context, namespace, release, helm, kubectl } = await currentTarget(environment)
  console.log(`taking the release ${release} from the namespace ${namespace} of ${context}`)
  // In the foreground: it is over when the last pod has drained and gone.
  const wait = ['--cascade', 'foreground', '--wait', '--timeout', environment.TIMEOUT || '15m']
  await helm(['uninstall', release, '--ignore-not-found', ...wait])
  // Helm leaves what its tests made.
  const testPods = `app.kubernetes.io/instance=${release},app.kubernetes.io/component=test`
  await kubectl(['delete', 'pods', '--selector', testPods, '--ignore-not-found'])
  if (environment.DATA !== 'delete') {
    console.log('the log and its volumes stay; DATA=delete takes them too')
    return
  }
  await kubectl(['delete', '--ignore-not-found', '--filename', join(import.meta.dirname, 'nats.yaml')])
  await kubectl(['delete', 'persistentvolumeclaims', '--selector', 'app.kubernetes.io/name=nats'])
  await kubectl(['delete', 'secret', `${release}-jwt`, '--ignore-not-found'])
  console.log('deleted the log, its volumes and the key')
}
