import { execa, type Options } from 'execa'
import { findTool, provideHelm } from './helm.ts'

/** Where to deploy to, and the programs for it. */
export interface Target {
  context: string
  namespace: string
  release: string
  /** Runs kubectl in the namespace and returns what it wrote. @throws with what it says when it fails. */
  kubectl(args: string[], options?: Options): Promise<string>
  /** The same for helm. */
  helm(args: string[], options?: Options): Promise<string>
}

/** The current context of kubectl. @throws naming what is missing. */
export async function currentTarget(environment: NodeJS.ProcessEnv): Promise<Target> {
  const kubectl = findTool('kubectl')
  if (!kubectl) throw new Error('kubectl is missing: https://kubernetes.io/docs/tasks/tools/')
  const helm = await provideHelm((text) => console.log(text))
  if (!helm) throw new Error('helm is missing: https://helm.sh/docs/intro/install/')
  const namespace = environment.NAMESPACE || 'sse-cluster'
  const release = environment.RELEASE || 'sse-cluster'
  const run = async (program: string, args: string[], options: Options = {}) => {
    const { failed, all, stdout } = await execa(program, args, { reject: false, all: true, ...options })
    if (failed) throw new Error(`${program.split('/').at(-1)} ${args.join(' ')}\n${String(all ?? '')}`)
    return String(stdout ?? '')
  }
  const context = await run(kubectl, ['config', 'current-context']).catch(() => '')
  if (!context)
    throw new Error('kubectl has no current context: name the cluster (KUBECONFIG, kubectl config).')
  return {
    context,
    namespace,
    release,
    kubectl: (args, options) => run(kubectl, ['--namespace', namespace, ...args], options),
    helm: (args, options) => run(helm, ['--namespace', namespace, ...args], options),
  }
}
