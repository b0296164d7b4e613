/** A number for people: thousands apart, three decimals at most. (k6's JavaScript has no `Intl`.) */
export function shown(value: number | undefined): string {
  if (value === undefined) return 'none'
  const [whole, decimals] = (Number.isInteger(value) ? String(value) : value.toFixed(3)).split('.')
  const grouped = (whole as string).replace(/\B(?=(\d{3})+$)/g, ',')
  return decimals === undefined ? grouped : `${grouped}.${decimals}`
}
