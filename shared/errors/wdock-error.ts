/**
 * The one error type that crosses borders. Every failure a person can meet has a code, a sentence that says
 * what happened, and a fix that says what to do. The tables beside this file draw the whole tree once; code
 * throws with `fail(code, values)`. Relies on nothing.
 */
import { z } from 'zod'

/** One row of an error table. `{name}` in a sentence is filled from the values given to `fail`. */
export interface ErrorSpec {
  /** What happened, in a sentence a person understands. */
  readonly says: string
  /** What the person can do about it. */
  readonly fix: string
  /** True when trying the same thing again cannot help. */
  readonly permanent: boolean
}

export type ErrorValues = Readonly<Record<string, string | number>>

export const errorShape = z.object({
  code: z.string(),
  message: z.string(),
  fix: z.string(),
  permanent: z.boolean(),
  /** Technical detail one click deeper: stderr, a QMP message, a path. */
  detail: z.string().nullable(),
})
/** The serialised form of a `WdockError`. */
export type ErrorShape = z.infer<typeof errorShape>

export class WdockError extends Error {
  readonly code: string
  readonly fix: string
  readonly permanent: boolean
  readonly detail: string | null

  constructor(shape: ErrorShape, options?: { cause?: unknown }) {
    super(shape.message, options)
    this.name = 'WdockError'
    this.code = shape.code
    this.fix = shape.fix
    this.permanent = shape.permanent
    this.detail = shape.detail
  }

  toJSON(): ErrorShape {
    return {
      code: this.code,
      message: this.message,
      fix: this.fix,
      permanent: this.permanent,
      detail: this.detail,
    }
  }
}

/** Fills `{name}` placeholders; a placeholder without a value stays visible, so that a test finds it. */
export function fillTemplate(template: string, values: ErrorValues): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name]
    return value === undefined ? whole : String(value)
  })
}

/** As `fillTemplate`. A place calls itself as it stands within a sentence, “the folder /mnt/nas”: at the head it gets its capital. */
export function fillSentence(template: string, values: ErrorValues): string {
  const filled = fillTemplate(template, values)
  return template.startsWith('{place}') ? `${filled.charAt(0).toUpperCase()}${filled.slice(1)}` : filled
}
