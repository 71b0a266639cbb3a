/**
 * The power of this PC as Linux tells it (Documentation/ABI/testing/sysfs-class-power): read when asked, so that nothing
 * needs a desktop. Batteries of mice and pens (`scope` Device) do not count.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface PowerState {
  /** It runs from its battery. */
  onBattery: boolean
  /** Of all batteries together, 0 to 100; null where there is none. */
  percent: number | null
}

const folder = '/sys/class/power_supply'

/** A PC without batteries, or one whose kernel does not tell, is on mains. */
export async function readPower(root = folder): Promise<PowerState> {
  const names = await readdir(root).catch(() => [])
  const supplies = await Promise.all(names.map((name) => readSupply(join(root, name))))
  const batteries = supplies.filter((supply) => supply.isBattery)
  const known = batteries.flatMap(({ percent }) => (percent === null ? [] : [percent]))
  const percent = known.length === 0 ? null : known.reduce((sum, each) => sum + each, 0) / known.length
  const onMains = supplies.some((supply) => supply.isMains)
  return { onBattery: !onMains && batteries.some((battery) => battery.isDischarging), percent }
}

interface Supply {
  isBattery: boolean
  isDischarging: boolean
  isMains: boolean
  percent: number | null
}

async function readSupply(path: string): Promise<Supply> {
  const read = async (name: string): Promise<string> =>
    (await readFile(join(path, name), 'utf8').catch(() => '')).trim()
  const [type, scope, status, capacity, online] = await Promise.all(
    ['type', 'scope', 'status', 'capacity', 'online'].map(read),
  )
  const percent = /^\d{1,3}$/.test(capacity ?? '') ? Math.min(100, Number(capacity)) : null
  return {
    isBattery: type === 'Battery' && scope !== 'Device',
    isDischarging: status === 'Discharging',
    isMains: type !== 'Battery' && scope !== 'Device' && online === '1',
    percent,
  }
}
