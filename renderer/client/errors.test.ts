/** Every failure of a call becomes one coded error. */
import { ORPCError } from '@orpc/client'
import { describe, expect, it } from 'vitest'
import { fail } from '../../shared/errors/index.ts'
import { toErrorShape } from './errors.ts'

describe('errors of calls', () => {
  it('passes the coded error of the host through', () => {
    const shape = fail('guest.name_taken', { name: 'Mail' }, { detail: 'why' }).toJSON()
    expect(toErrorShape(new ORPCError('FAILED', { data: shape }))).toEqual(shape)
  })

  it('names a call that was cut off by the loss of the link', () => {
    expect(toErrorShape(new DOMException('gone', 'AbortError')).code).toBe('host.out_of_touch')
    expect(toErrorShape(new Error('Cannot send message, WebSocket is not open.')).code).toBe(
      'host.out_of_touch',
    )
  })

  it('keeps the technical part of whatever else was thrown', () => {
    const shape = toErrorShape(new TypeError('x is undefined'))
    expect(shape.code).toBe('host.unexpected')
    expect(shape.detail).toContain('x is undefined')
  })
})
