import { provideHelm, provideHelm3 } from './helm.ts'

// A part of `npm run tools`: the tests render the chart where helm is, and skip that where it can't be had. HELM_3=1,
// as CI has it: Helm 3 too, another minute or two of building.

const say = (text: string) => console.log(text)

if (!(await provideHelm(say)))
  say('helm is missing, and Go to install it with: the chart will not be rendered')
if (process.env.HELM_3 && !(await provideHelm3(say)))
  say('Helm 3 is missing, and Go to install it with: the chart will be rendered by Helm 4 only')
