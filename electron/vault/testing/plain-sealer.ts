/** For models, where thousands of objects are written and nobody attacks: names are bound, nothing is hidden. */
import { fail } from '../../../shared/errors/index.ts'
import type { Sealer } from '../vault-objects.ts'

export const plainSealer: Sealer = {
  seal: (name, payload) => Buffer.concat([Buffer.from(`${name}\n`), payload]),
  open: (name, sealed) => openPlainly(name, sealed),
}

export function openPlainly(name: string, sealed: Buffer): Buffer {
  const end = sealed.indexOf(10)
  if (sealed.toString('utf8', 0, end) !== name) throw fail('vault.damaged_object', { name })
  return sealed.subarray(end + 1)
}
