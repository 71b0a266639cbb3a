/** The settings of this dock: one small versioned file, written atomically. */
import { hostname } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { defaultSettings, type HostSettings, hostSettings } from '../../shared/models/host-state.ts'
import { readJson, writeJsonAtomic } from '../platform/atomic-file.ts'

/** A setting that came with a later version than the file is missing from it. */
const settingsFile = z.strictObject({ version: z.literal(1), settings: hostSettings.partial() })

/** The port other docks try when a person types an address without one. */
export const defaultPort = 47315

export class Settings {
  readonly #path: string
  #current: HostSettings

  private constructor(path: string, current: HostSettings) {
    this.#path = path
    this.#current = current
  }

  /** @throws host.state_unreadable */
  static async open(configDir: string, overrides: Partial<HostSettings>): Promise<Settings> {
    const path = join(configDir, 'settings.json')
    const stored = await readJson(path, settingsFile)
    const initial = defaultSettings(hostname().slice(0, 64) || 'This PC', defaultPort)
    return new Settings(path, { ...hostSettings.parse({ ...initial, ...stored?.settings }), ...overrides })
  }

  get current(): HostSettings {
    return this.#current
  }

  async change(
    change: { [Key in keyof HostSettings]?: HostSettings[Key] | undefined },
  ): Promise<HostSettings> {
    const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))
    const next = hostSettings.parse({ ...this.#current, ...given })
    await writeJsonAtomic(this.#path, { version: 1, settings: next })
    this.#current = next
    return next
  }
}
