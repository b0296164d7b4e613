import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import type { KubernetesObject } from './chart.ts'

const root = join(import.meta.dirname, '../..')

/** Where the npm packages with the schemas of the API groups keep them; those of Kubernetes itself are the rest. */
const groups: Record<string, string> = {
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator',
  'gateway.networking.k8s.io': '@kubernetes-models/gateway-api',
  'keda.sh': '@kubernetes-models/keda',
}

const moduleOf = ({ apiVersion, kind }: KubernetesObject) =>
  `${groups[apiVersion.split('/')[0] as string] ?? 'kubernetes-models'}/${apiVersion}/${kind}`

/** Faults by the schema of an object's kind: types, required fields, formats. @throws for a kind without a schema. */
export async function schemaFaults(object: KubernetesObject): Promise<string[]> {
  const { [object.kind]: Model } = (await import(moduleOf(object))) as Record<
    string,
    new (
      data: unknown,
    ) => { validate(): void }
  >
  if (!Model) throw new Error(`There is no schema for ${object.apiVersion} ${object.kind}`)
  try {
    new Model(object).validate()
    return []
  } catch (error) {
    return [`${object.kind} ${object.metadata.name}: ${String(error)}`]
  }
}

/**
 * Fields that no schema knows, which the API server would drop or refuse. The schemas do not forbid them; the compiler
 * does, in a literal of the kind's type.
 */
export async function unknownFields(objects: KubernetesObject[]): Promise<string> {
  const folder = join(root, 'node_modules/.cache/kubernetes-objects')
  mkdirSync(folder, { recursive: true })
  const lines = objects.map(
    (object, index) =>
      `import type { I${object.kind} as I${index} } from '${moduleOf(object)}'\nexport const o${index}: I${index} = ${JSON.stringify(object)}`,
  )
  writeFileSync(join(folder, 'objects.ts'), lines.join('\n'))
  const compilerOptions = {
    ...{ module: 'nodenext', target: 'esnext', strict: true, noEmit: true, skipLibCheck: true, types: [] },
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['objects.ts'] }))
  const { failed, all } = await execa(join(root, 'node_modules/.bin/tsc'), ['--project', folder], {
    reject: false,
    all: true,
  })
  return failed ? String(all) : ''
}
