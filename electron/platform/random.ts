/** Randomness, injected so that tests can repeat it. The system's one is cryptographic. */
import { randomBytes, randomInt, randomUUID } from 'node:crypto'

export interface Random {
  bytes(count: number): Buffer
  /** `byteCount` random bytes as lower-case hexadecimal digits. */
  hex(byteCount: number): string
  uuid(): string
  /** A whole number, 0 ≤ n < `below`. */
  int(below: number): number
}

export const systemRandom: Random = {
  bytes: (count) => randomBytes(count),
  hex: (byteCount) => randomBytes(byteCount).toString('hex'),
  uuid: () => randomUUID(),
  int: (below) => randomInt(below),
}
