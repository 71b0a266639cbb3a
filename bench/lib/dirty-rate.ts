/** How much of a guest's memory changes in a second, as QEMU measures it (`calc-dirty-rate`, since 5.2). */
import { setTimeout as wait } from 'node:timers/promises'
import { z } from 'zod'
import type { QmpSession } from '../../electron/qemu/qmp/session.ts'

/** 16384 pages of each GiB are looked at, the most that QEMU takes. By bitmap, QEMU 7.2 ends when it emulates. */
const how = { 'calc-time': 1, mode: 'page-sampling', 'sample-pages': 16_384 }
const askEveryMs = 100
const mebibyte = 1024 ** 2

const answer = z.object({ status: z.string(), 'dirty-rate': z.number().optional() })

/** @returns bytes, in whole MiB: of a page that changes often, each second once */
export async function measureDirtyRate(qmp: QmpSession): Promise<number> {
  await qmp.execute('calc-dirty-rate', how)
  for (;;) {
    const said = answer.parse(await qmp.execute('query-dirty-rate'))
    if (said.status === 'measured') return Math.max(0, said['dirty-rate'] ?? 0) * mebibyte
    await wait(askEveryMs)
  }
}
