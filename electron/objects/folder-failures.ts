/** System errors of a folder that keeps objects, as coded errors. Relies on errno(3) names. */
import { type ErrorCode, fail, WdockError } from '../../shared/errors/index.ts'
import { systemErrorCode } from '../platform/atomic-file.ts'

const codes = new Map(
  Object.entries<ErrorCode>({
    EACCES: 'store.no_permission',
    EPERM: 'store.no_permission',
    EROFS: 'store.read_only',
    ENOSPC: 'store.full',
    EDQUOT: 'store.full',
    // A drive that was pulled out, a share that was taken away.
    EIO: 'store.drive_failed',
    ENODEV: 'store.drive_failed',
    ENXIO: 'store.drive_failed',
    ENOTCONN: 'store.drive_failed',
    ESHUTDOWN: 'store.drive_failed',
    ESTALE: 'store.drive_failed',
    EREMOTEIO: 'store.drive_failed',
    // A network file system that waits for its server no longer.
    ETIMEDOUT: 'store.unreachable',
    EHOSTDOWN: 'store.unreachable',
    EHOSTUNREACH: 'store.unreachable',
    ENETUNREACH: 'store.unreachable',
    ECONNREFUSED: 'store.unreachable',
    ECONNRESET: 'store.unreachable',
    EAGAIN: 'store.busy',
    EBUSY: 'store.busy',
    EMFILE: 'store.busy',
    ENFILE: 'store.busy',
    ENOMEM: 'store.busy',
    ETXTBSY: 'store.busy',
    EISDIR: 'store.in_the_way',
    ENOTDIR: 'store.in_the_way',
    ENOENT: 'store.folder_missing',
  }),
)

/** `error` of a call on `path` as a coded one; coded ones and the reason of an aborted signal pass through. */
export function folderFailure(error: unknown, path: string, signal?: AbortSignal): unknown {
  if (error instanceof WdockError) return error
  if (signal?.aborted) return signal.reason
  const code = codes.get(systemErrorCode(error) ?? '') ?? 'store.refused'
  const detail = error instanceof Error ? error.message : String(error)
  return fail(code, { path, place: `the folder ${path}` }, { detail, cause: error })
}

/** Whether there is nothing at a path; a file in the place of a folder above holds no objects either. */
export function isAbsence(error: unknown): boolean {
  const code = systemErrorCode(error)
  return code === 'ENOENT' || code === 'ENOTDIR'
}
