/** The tree of errors, drawn once: one table an area, and the two functions that make and read errors. */

import { commandErrors } from './command-errors.ts'
import { deltaErrors } from './delta-errors.ts'
import { diskErrors } from './disk-errors.ts'
import { dockErrors } from './dock-errors.ts'
import { guestErrors } from './guest-errors.ts'
import { hostErrors } from './host-errors.ts'
import { keptErrors } from './kept-errors.ts'
import { migrationErrors } from './migration-errors.ts'
import { qemuErrors } from './qemu-errors.ts'
import { storeErrors } from './store-errors.ts'
import { vaultErrors } from './vault-errors.ts'
import { warmErrors } from './warm-errors.ts'
import {
  type ErrorShape,
  type ErrorSpec,
  type ErrorValues,
  fillSentence,
  fillTemplate,
  WdockError,
} from './wdock-error.ts'

export { type ErrorShape, errorShape, WdockError } from './wdock-error.ts'

export const errorTable = {
  ...hostErrors,
  ...guestErrors,
  ...qemuErrors,
  ...diskErrors,
  ...dockErrors,
  ...migrationErrors,
  ...deltaErrors,
  ...keptErrors,
  ...warmErrors,
  ...storeErrors,
  ...vaultErrors,
  ...commandErrors,
} as const satisfies Record<string, ErrorSpec>

export type ErrorCode = keyof typeof errorTable

export interface FailOptions {
  /** Technical detail to show one click deeper. */
  detail?: string
  cause?: unknown
}

/** Makes the error of a code. @returns the error, to be thrown by the caller. */
export function fail(code: ErrorCode, values: ErrorValues = {}, options: FailOptions = {}): WdockError {
  const spec = errorTable[code]
  return new WdockError(
    {
      code,
      message: fillSentence(spec.says, values),
      fix: fillTemplate(spec.fix, values),
      permanent: spec.permanent,
      detail: options.detail ?? null,
    },
    options.cause === undefined ? undefined : { cause: options.cause },
  )
}

/** Any thrown value as a coded error: coded ones pass through, the rest become `host.unexpected`. */
export function toWdockError(thrown: unknown): WdockError {
  if (thrown instanceof WdockError) return thrown
  const detail = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
  return fail('host.unexpected', {}, { detail, cause: thrown })
}

/** True when `thrown` is the coded error `code`. */
export function isCode(thrown: unknown, code: ErrorCode): thrown is WdockError {
  return thrown instanceof WdockError && thrown.code === code
}

/** An error that came over a border as data. */
export function errorFromShape(shape: ErrorShape): WdockError {
  return new WdockError(shape)
}
