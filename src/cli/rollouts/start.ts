import type { KindDefinition } from "../../api/index.ts";
import { hasEnded, isRestingPhase, retriedRollout, rolloutCommand, storedRollout } from "../../api/serin/index.ts";
import { userError } from "../../base/index.ts";
import { createAsApplied, deleteThisObject } from "../../kube/writes-as-read/index.ts";
import type { CliContext } from "../context.ts";
import {
  nameOf,
  nounOf,
  readObject,
  rolloutKindOf,
  rolloutToOrder,
  statusCommand,
  type Rollout,
  type RolloutFlags,
} from "./rollout-objects.ts";
import { showStatus } from "./status.ts";

interface StartFlags extends RolloutFlags {
  readonly watch?: boolean;
}

export interface CreateFlags extends StartFlags {
  readonly filename: string;
  readonly dryRun?: boolean;
}

export interface RetryFlags extends StartFlags {
  /** The file with the changed object. Without it, the rollout is repeated unchanged. */
  readonly filename?: string;
}

const goneTimeoutMs = 60_000;
const gonePollMs = 50;

/** Creates the rollout in a file. If it exists and has not ended, applies the file to it. */
export async function createRollout<Value extends Rollout>(
  kind: KindDefinition<Value>,
  flags: CreateFlags,
  context: CliContext,
): Promise<void> {
  const raw = await readObject(kind, flags.filename, context);
  const client = await context.connect(flags);
  const namespace = kind.namespaced
    ? (raw.metadata.namespace ?? flags.namespace ?? (await context.defaultNamespace(flags)))
    : undefined;
  if (flags.namespace !== undefined && namespace !== undefined && flags.namespace !== namespace) {
    throw userError(
      "arguments-conflict",
      `${flags.filename}: metadata.namespace is ${namespace}, and -n says ${flags.namespace}`,
    );
  }
  const object: Value = { ...raw, metadata: { ...raw.metadata, ...(namespace === undefined ? {} : { namespace }) } };
  const stored = await client.get(kind, object.metadata.name ?? "", namespace);
  const there = stored === undefined ? undefined : storedRollout(rolloutKindOf(kind), stored);
  if (there?.status !== undefined && hasEnded(there)) {
    throw userError("rollout-ended", `${kind.kind} ${nameOf(there)} has ended as ${there.status.phase}`, {
      hint: `start it again: serin ${nounOf(rolloutKindOf(kind))} retry ${there.metadata.name ?? ""} [-f ${flags.filename}]; it keeps its history`,
    });
  }
  await client.apply(kind, object, {
    fieldManager: "serin-cli",
    force: true,
    ...(flags.dryRun === true ? { dryRun: true } : {}),
  });
  if (flags.dryRun === true) {
    context.out(`${kind.kind} ${nameOf(object)} would be accepted\n`);
    return;
  }
  await follow(kind, object, { done: "is under way", flags, context });
}

/**
 * Deletes an ended rollout and creates it again, unchanged or from the file, without its orders. Before it deletes
 * anything, it checks whether the server would accept the new object.
 */
export async function retryRollout<Value extends Rollout>(
  kind: KindDefinition<Value>,
  name: string,
  flags: RetryFlags,
  context: CliContext,
): Promise<void> {
  const { client, object, stored } = await rolloutToOrder(kind, name, flags, context);
  const begins = howToBegin(object, context.clock.nowMs());
  if (begins !== undefined && isRestingPhase(object.status?.phase))
    throw userError(
      "rollout-under-way",
      `${kind.kind} ${nameOf(object)} waits for a change of its Deployment, and a change begins its next run`,
      { hint: begins },
    );
  if (!hasEnded(object))
    throw userError(
      "rollout-under-way",
      `${kind.kind} ${nameOf(object)} has not ended: it is ${object.status?.phase ?? "not read by the engine yet"}`,
      {
        hint: rolloutCommand(rolloutKindOf(kind), object, "rollback"),
      },
    );
  const { namespace } = object.metadata;
  const { filename: file } = flags;
  const given = file === undefined ? retriedRollout(stored) : await readObject(kind, file, context);
  if (given.metadata.name !== name)
    throw userError(
      "arguments-conflict",
      `${file ?? ""}: metadata.name must be ${name}, got ${given.metadata.name ?? ""}`,
    );
  const metadata = { ...given.metadata, ...(namespace === undefined ? {} : { namespace }) };
  const next: Value = { ...given, metadata };
  // Try a generated name, because the rollout's own name is taken until it is deleted.
  const { name: _name, ...nameless } = metadata;
  const rehearsed: Value = { ...next, metadata: { ...nameless, generateName: `${name}-` } };
  await client.create(kind, rehearsed, { fieldManager: "serin-cli", dryRun: true });
  const outcome = await deleteThisObject(client, kind, object, {
    clock: context.clock,
    timeoutMs: goneTimeoutMs,
    pollMs: gonePollMs,
    signal: context.signal,
  });
  if (outcome === "still-there")
    throw userError("not-gone", `${kind.kind} ${nameOf(object)} is still being deleted`, {
      hint: `see kubectl get ${kind.plural} ${name} -o yaml`,
    });
  const isTaken =
    outcome === "replaced" ||
    (await createAsApplied(client, kind, next, { fieldManager: "serin-cli", clock: context.clock })) === "taken";
  if (isTaken)
    throw userError(
      "rollout-under-way",
      `${kind.kind} ${nameOf(object)}: somebody else has started it again meanwhile`,
      {
        hint: `watch it: ${statusCommand(rolloutKindOf(kind), next)} -w`,
      },
    );
  await follow(kind, next, { done: "starts again", flags, context });
}

/**
 * The command that begins a run of a Canary that follows a Deployment, with the Deployment's present template. As in
 * `kubectl rollout restart`, an annotation with the time makes the template a new one. Undefined for other rollouts.
 */
function howToBegin({ spec, metadata: { namespace = "" } }: Rollout, nowMs: number): string | undefined {
  if (!("target" in spec && "deployment" in spec.target)) return undefined;
  const patch = JSON.stringify({
    spec: { template: { metadata: { annotations: { retried: new Date(nowMs).toISOString() } } } },
  });
  return `kubectl patch deployment ${spec.target.deployment.name} -n ${namespace} -p '${patch}'`;
}

/** With `watch`, follows the rollout to its end. Otherwise says what was done, and how to follow the rollout. */
async function follow<Value extends Rollout>(
  kind: KindDefinition<Value>,
  rollout: Value,
  { done, flags, context }: { readonly done: string; readonly flags: StartFlags; readonly context: CliContext },
): Promise<void> {
  const { name = "", namespace } = rollout.metadata;
  if (flags.watch === true)
    await showStatus(kind, name, { ...flags, ...(namespace === undefined ? {} : { namespace }) }, context);
  else
    context.out(
      `${kind.kind} ${nameOf(rollout)} ${done}; watch it: ${statusCommand(rolloutKindOf(kind), rollout)} -w\n`,
    );
}
