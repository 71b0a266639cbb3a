/**
 * The contract, served: one router for every transport. Promises that input is parsed before a handler sees
 * it, output before a face sees it, and that whatever fails reaches the face as `FAILED` with an `ErrorShape`.
 * Relies on a `HostService` for all the work.
 */
import { implement } from '@orpc/server'
import { contract } from '../../shared/contract.ts'
import { toCallFailure } from './call-errors.ts'
import type { CallContext, HostService } from './service.ts'
import { boundedStream, defaultMaxWaiting } from './watch-queue.ts'

export interface RouterOptions {
  /** Origin under which `/screen/<ticket>` is served, as `ws://127.0.0.1:41234`. Asked at each call. */
  screenOrigin: () => string
  /** How many events may wait for a slow watcher before its stream ends. */
  maxWaitingEvents?: number
  /** Called when the host has agreed to quit and the answer has been given. */
  onQuit?: (() => void) | undefined
}

interface HandlerOptions<Input> {
  input: Input
  signal?: AbortSignal | undefined
}

const neverAborted = new AbortController().signal

/** Builds the router that the transports serve. */
export function createHostRouter(service: HostService, options: RouterOptions) {
  const os = implementContract()
  return os.router({
    state: {
      get: os.state.get.handler(pass(service.state.get)),
      watch: os.state.watch.handler(({ input, signal }) => watch(service, input, signal, options)),
    },
    guests: {
      create: os.guests.create.handler(pass(service.guests.create)),
      start: os.guests.start.handler(pass(service.guests.start)),
      pause: os.guests.pause.handler(pass(service.guests.pause)),
      resume: os.guests.resume.handler(pass(service.guests.resume)),
      shutDown: os.guests.shutDown.handler(pass(service.guests.shutDown)),
      forceOff: os.guests.forceOff.handler(pass(service.guests.forceOff)),
      rename: os.guests.rename.handler(pass(service.guests.rename)),
      remove: os.guests.remove.handler(pass(service.guests.remove)),
      undoRemove: os.guests.undoRemove.handler(pass(service.guests.undoRemove)),
      picture: os.guests.picture.handler(pass(service.guests.picture)),
      openScreen: os.guests.openScreen.handler(async ({ input, signal }) => {
        const { url } = await service.guests.openScreen(input, contextOf(signal))
        return { url: new URL(url, options.screenOrigin()).href }
      }),
      log: os.guests.log.handler(pass(service.guests.log)),
    },
    docks: {
      connect: os.docks.connect.handler(pass(service.docks.connect)),
      startPairing: os.docks.startPairing.handler(pass(service.docks.startPairing)),
      confirmPairing: os.docks.confirmPairing.handler(pass(service.docks.confirmPairing)),
      refusePairing: os.docks.refusePairing.handler(pass(service.docks.refusePairing)),
      dismissPairing: os.docks.dismissPairing.handler(pass(service.docks.dismissPairing)),
      unpair: os.docks.unpair.handler(pass(service.docks.unpair)),
    },
    migrations: {
      check: os.migrations.check.handler(pass(service.migrations.check)),
      start: os.migrations.start.handler(pass(service.migrations.start)),
      settle: os.migrations.settle.handler(pass(service.migrations.settle)),
    },
    ...checkpointRoutes(os, service),
    warm: {
      allow: os.warm.allow.handler(pass(service.warm.allow)),
      now: os.warm.now.handler(pass(service.warm.now)),
    },
    keptMemory: {
      forget: os.keptMemory.forget.handler(pass(service.keptMemory.forget)),
      forgetAll: os.keptMemory.forgetAll.handler(pass(service.keptMemory.forgetAll)),
    },
    operations: {
      cancel: os.operations.cancel.handler(pass(service.operations.cancel)),
      dismiss: os.operations.dismiss.handler(pass(service.operations.dismiss)),
    },
    settings: { change: os.settings.change.handler(pass(service.settings.change)) },
    files: { list: os.files.list.handler(pass(service.files.list)) },
    host: {
      quit: os.host.quit.handler(async ({ input, signal }) => {
        const answer = await service.host.quit(input, contextOf(signal))
        // After the answer has been handed to its connection, which is flushed before it closes.
        if (options.onQuit) setTimeout(options.onQuit, 20)
        return answer
      }),
    },
  })
}

/** The contract, to be given handlers; whatever one of them throws becomes `FAILED`. */
function implementContract() {
  return implement(contract).use(async ({ next }) => {
    try {
      return await next()
    } catch (error) {
      throw toCallFailure(error)
    }
  })
}

function checkpointRoutes(os: ReturnType<typeof implementContract>, service: HostService) {
  const { vault, checkpoints, lending } = service
  return {
    vault: {
      create: os.vault.create.handler(pass(vault.create)),
      open: os.vault.open.handler(pass(vault.open)),
      look: os.vault.look.handler(pass(vault.look)),
      phrase: os.vault.phrase.handler(pass(vault.phrase)),
      phraseSeen: os.vault.phraseSeen.handler(pass(vault.phraseSeen)),
      forget: os.vault.forget.handler(pass(vault.forget)),
      stats: os.vault.stats.handler(pass(vault.stats)),
      check: os.vault.check.handler(pass(vault.check)),
      sweep: os.vault.sweep.handler(pass(vault.sweep)),
    },
    checkpoints: {
      make: os.checkpoints.make.handler(pass(checkpoints.make)),
      restore: os.checkpoints.restore.handler(pass(checkpoints.restore)),
      relabel: os.checkpoints.relabel.handler(pass(checkpoints.relabel)),
      remove: os.checkpoints.remove.handler(pass(checkpoints.remove)),
      picture: os.checkpoints.picture.handler(pass(checkpoints.picture)),
      changeRules: os.checkpoints.changeRules.handler(pass(checkpoints.changeRules)),
    },
    lending: {
      lend: os.lending.lend.handler(pass(lending.lend)),
      revoke: os.lending.revoke.handler(pass(lending.revoke)),
      look: os.lending.look.handler(pass(lending.look)),
      receive: os.lending.receive.handler(pass(lending.receive)),
    },
  }
}

export type HostRouter = ReturnType<typeof createHostRouter>

function pass<Input, Output>(handle: (input: Input, context: CallContext) => Promise<Output>) {
  return ({ input, signal }: HandlerOptions<Input>): Promise<Output> => handle(input, contextOf(signal))
}

function contextOf(signal: AbortSignal | undefined): CallContext {
  return { signal: signal ?? neverAborted }
}

async function* watch(
  service: HostService,
  input: unknown,
  signal: AbortSignal | undefined,
  options: RouterOptions,
) {
  const open = (ended: AbortSignal) => service.state.watch(input, { signal: ended })
  try {
    yield* boundedStream(open, contextOf(signal).signal, options.maxWaitingEvents ?? defaultMaxWaiting)
  } catch (error) {
    throw toCallFailure(error)
  }
}
