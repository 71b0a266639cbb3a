/**
 * How failures cross the border between host and face: always as `FAILED` with an `ErrorShape`. Both
 * directions live here, so that they stay each other's inverse.
 */
import { ORPCError } from '@orpc/client'
import { ValidationError } from '@orpc/contract'
import { errorShape, fail, toWdockError, WdockError } from '../../shared/errors/index.ts'

/** Any failure of a call as it is sent to a face. */
export function toCallFailure(thrown: unknown): ORPCError<'FAILED', unknown> {
  const coded = codedFailure(thrown)
  return new ORPCError('FAILED', {
    defined: true,
    status: 500,
    message: coded.message,
    data: coded.toJSON(),
    cause: thrown,
  })
}

/** A failure that came from the host, or from the way to it, as a coded error. */
export function fromCallFailure(thrown: unknown): WdockError {
  if (thrown instanceof ORPCError) {
    const shape = errorShape.safeParse(thrown.data)
    if (shape.success) return new WdockError(shape.data, { cause: thrown })
    if (thrown.status === 400 || thrown.status === 404) {
      return fail('host.bad_input', { why: thrown.message }, { cause: thrown })
    }
  }
  return toWdockError(thrown)
}

function codedFailure(thrown: unknown): WdockError {
  if (!(thrown instanceof ORPCError)) return toWdockError(thrown)
  const shape = errorShape.safeParse(thrown.data)
  if (shape.success) return new WdockError(shape.data, { cause: thrown })
  if (thrown.cause instanceof ValidationError && thrown.code === 'BAD_REQUEST') {
    return fail('host.bad_input', { why: issuesInWords(thrown.cause.issues) }, { cause: thrown })
  }
  if (thrown.cause instanceof ValidationError) {
    const detail = `${thrown.message}: ${issuesInWords(thrown.cause.issues)}`
    return fail('host.unexpected', {}, { detail, cause: thrown })
  }
  return toWdockError(thrown)
}

interface Issue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

const maxIssues = 3

/** `cores: Too big: expected number to be <=64; name: a name is needed`. At most three. */
export function issuesInWords(issues: readonly Issue[]): string {
  const words = issues.slice(0, maxIssues).map((issue) => {
    const path = (issue.path ?? []).map((step) => String(typeof step === 'object' ? step.key : step))
    const message = issue.message.replace(/\.$/, '')
    return path.length > 0 ? `${path.join('.')}: ${message}` : message
  })
  const more = issues.length - maxIssues
  return more > 0 ? `${words.join('; ')}; and ${more} more` : words.join('; ')
}
