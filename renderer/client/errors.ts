/** Whatever a call threw, as the coded error that people read. Relies on the contract's one failure, `FAILED`. */
import { ORPCError } from '@orpc/client'
import { type ErrorShape, errorShape, fail, toWdockError } from '../../shared/errors/index.ts'

/** @returns the error of a failed call; losing the link in the middle of one is `host.out_of_touch`. */
export function toErrorShape(thrown: unknown): ErrorShape {
  if (thrown instanceof ORPCError) {
    const coded = errorShape.safeParse(thrown.data)
    if (coded.success) return coded.data
  }
  if (thrown instanceof Error && isLinkLoss(thrown)) return fail('host.out_of_touch').toJSON()
  return toWdockError(thrown).toJSON()
}

function isLinkLoss(error: Error): boolean {
  return (
    error.name === 'AbortError' ||
    error.name === 'TimeoutError' ||
    /websocket is not open/i.test(error.message)
  )
}
