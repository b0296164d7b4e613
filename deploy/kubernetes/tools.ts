import { provideHelm } from './helm.ts'

// A part of `npm run tools`: the tests render the chart where helm is, and skip that where it can't be had.

if (!(await provideHelm((text) => console.log(text))))
  console.log('helm is missing, and Go to install it with: the chart will not be rendered')
