import type { KindDefinition } from "../../api/index.ts";
import type { RolloutStatus } from "../../api/serin/index.ts";
import { jsonText, messageOf, SerinError } from "../../base/index.ts";
import type { CliContext } from "../context.ts";
import { pendingChange } from "./pending-change.ts";
import { rolledBackExitCode, RolloutEnd } from "./rollout-end.ts";
import { renderValue } from "../terminal/output.ts";
import { plainScreen, screenOf } from "../terminal/screen.ts";
import { renderLadder } from "./ladder.ts";
import { findRollout, nameOf, type FoundRollout, type Rollout, type RolloutFlags } from "./rollout-objects.ts";

export interface StatusFlags extends RolloutFlags {
  readonly watch?: boolean;
  readonly output?: string;
  readonly json?: boolean;
  readonly verbose?: boolean;
  /** Milliseconds. */
  readonly timeout?: number;
}

/** The exit codes: 0 done, 1 stuck, 3 rolled back. Every other phase gives 4: still under way. */
const exitCodes: ReadonlyMap<RolloutStatus["phase"], number> = new Map([
  ["Completed", 0],
  ["Watching", 0],
  ["Stuck", 1],
  ["RolledBack", rolledBackExitCode],
]);
const waitingExitCode = 4;
const watchMs = 500;

/**
 * Shows the state of a rollout. With `watch`, follows it to its end: redraws the state on a terminal, and prints each
 * new line once elsewhere.
 */
export async function showStatus<Value extends Rollout>(
  kind: KindDefinition<Value>,
  name: string,
  flags: StatusFlags,
  context: CliContext,
): Promise<void> {
  const screen =
    flags.watch === true && flags.json !== true && flags.output === undefined ? screenOf(context) : undefined;
  const view = { flags, context, isRedrawn: screen?.isRedrawn === true };
  const find = async (): Promise<FoundRollout<Value> & { readonly pending: string | undefined }> => {
    const found = await findRollout(kind, name, flags, context);
    return { ...found, pending: flags.watch === true ? await pendingChange(found.client, found.object) : undefined };
  };
  const deadlineMs = flags.timeout === undefined ? Number.POSITIVE_INFINITY : context.clock.steadyMs() + flags.timeout;
  let shown = "";
  let isTold = false;
  try {
    for (;;) {
      const found = await (shown === "" ? find() : find().catch((error: unknown) => waitFor(error, context)));
      if (found !== undefined) {
        const { object, pending } = found;
        const text = await statusText(kind, found, view);
        if (text !== shown) (screen ?? plainScreen(context)).show(text);
        shown = text;
        if (flags.watch !== true) return endWith(codeOf(object));
        if (pending !== undefined && !isTold) context.err(`${pending}\n`);
        isTold = pending !== undefined;
        const code = codeOf(object);
        if (code !== waitingExitCode && isCurrent(object) && pending === undefined) return endWith(code);
      }
      if (context.clock.steadyMs() >= deadlineMs) throw new RolloutEnd(waitingExitCode);
      await context.clock.sleep(watchMs, context.signal);
    }
  } finally {
    screen?.close();
  }
}

function codeOf({ status }: Rollout): number {
  return exitCodes.get(status?.phase ?? "Planned") ?? waitingExitCode;
}

function endWith(code: number): void {
  if (code !== 0) throw new RolloutEnd(code);
}

/**
 * Whether the engine has seen the latest change of the spec. If not, a phase that says "ended" belongs to an earlier
 * run.
 */
function isCurrent({ metadata, status }: Rollout): boolean {
  return (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
}

/**
 * Reports an error and lets the watch go on, because the API server may be unavailable for a moment. Throws an error
 * that the user must correct.
 */
function waitFor(error: unknown, context: CliContext): undefined {
  if (error instanceof SerinError && error.kind === "user") throw error;
  context.err(`${messageOf(error)}; trying again\n`);
  return undefined;
}

interface StatusView {
  readonly flags: StatusFlags;
  readonly context: CliContext;
  /** Whether the terminal redraws the text in place. If not, each new line is printed once. */
  readonly isRedrawn: boolean;
}

/**
 * The ladder for people, or the status for programs. With `--watch`, each change becomes one line of JSON or one YAML
 * document.
 */
async function statusText<Value extends Rollout>(
  kind: KindDefinition<Value>,
  { object, stored }: FoundRollout<Value>,
  view: StatusView,
): Promise<string> {
  const { flags } = view;
  if (flags.json === true || flags.output === "json")
    return flags.watch === true ? `${JSON.stringify(statusJson(stored))}\n` : jsonText(statusJson(stored));
  if (flags.output === "yaml")
    return `${flags.watch === true ? "---\n" : ""}${await renderValue(statusJson(stored), "yaml")}`;
  return renderLadder(`${kind.kind} ${nameOf(object)}`, object.status, ladderOptions(object, view));
}

function statusJson({ apiVersion, kind, metadata, status }: Rollout): unknown {
  return {
    apiVersion,
    kind,
    metadata: {
      name: metadata.name,
      ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
      generation: metadata.generation,
    },
    status: status ?? {},
  };
}

function ladderOptions(object: Rollout, { flags, context, isRedrawn }: StatusView): Parameters<typeof renderLadder>[2] {
  const columns = isRedrawn ? context.columns() : undefined;
  const rows = isRedrawn ? context.rows?.() : undefined;
  // The output is a log, which gets each new line once. A count of seconds would add a line each second.
  const isLog = flags.watch === true && !isRedrawn;
  return {
    colour: context.colour,
    verbose: flags.verbose === true || flags.watch !== true,
    isBehind: !isCurrent(object),
    ...(columns === undefined ? {} : { columns }),
    ...(rows === undefined ? {} : { rows }),
    ...(isLog ? {} : { nowMs: context.clock.nowMs() }),
  };
}
