/** Makes a gap of the stand-in visible: reading a member it does not have throws, naming it. */

/** Members that Node and promises look for on any object. */
const silent = new Set<PropertyKey>(['then', 'toJSON', 'constructor', 'domain', 'captureRejections'])

export function loud<Value extends object>(name: string, value: Value): Value {
  return new Proxy(value, {
    get: (target, key) => {
      if (key in target || typeof key === 'symbol' || silent.has(key) || key.startsWith('_')) {
        const member: unknown = Reflect.get(target, key, target)
        return typeof member === 'function' && !isClass(member) ? member.bind(target) : member
      }
      throw new Error(`The stand-in for Electron has no ${name}.${key}`)
    },
  })
}

function isClass(member: object): boolean {
  return 'prototype' in member && typeof member.prototype === 'object'
}

/** An event object whose default can be prevented, as Electron's. */
export function preventable<Fields extends object>(
  fields: Fields,
): Fields & { preventDefault(): void; defaultPrevented: boolean } {
  const event = {
    ...fields,
    defaultPrevented: false,
    preventDefault: (): void => {
      event.defaultPrevented = true
    },
  }
  return event
}
