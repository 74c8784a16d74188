import { Option, type Command } from "commander";
import type { KindDefinition } from "../../api/index.ts";
import {
  approvalBefore,
  approvalPatch,
  approvalProblem,
  canaryKind,
  changeAgainst,
  completingSteps,
  fullPromotionPatch,
  hasEnded,
  nextApprovalOf,
  isRestingPhase,
  meshUpgradeKind,
  orderPatch,
  refusalOf,
  remadeProblem,
  retriedRollout,
  commandForStep,
  rolloutCommand,
  waitingStepOf,
  type OrderedBy,
  type RolloutKind,
} from "../../api/serin/index.ts";
import { userError, type SerinError } from "../../base/index.ts";
import { type KubeClient } from "../../kube/index.ts";
import { createAsApplied, deleteThisObject, patchAsRead, patchThisObject } from "../../kube/writes-as-read/index.ts";
import type { CliContext } from "../context.ts";
import { upgradeInPlaceCommand } from "../installation/install.ts";
import { connectionFlags, durationFlag } from "../flags.ts";
import { outputFormat, renderObjects } from "../terminal/output.ts";
import { renderTable } from "../terminal/table.ts";
import { runFlag, showHistory, type HistoryFlags } from "./history.ts";
import { importCommand } from "./import.ts";
import { nameOf, readObject, rolloutToOrder, whoAmI, type Rollout, type RolloutFlags } from "./rollout-objects.ts";
import { showStatus, type StatusFlags } from "./status.ts";
import { upgradePlanCommand } from "./upgrade-plan.ts";

interface OrderFlags extends RolloutFlags {
  readonly message?: string;
  readonly full?: boolean;
  readonly step?: string;
}

interface ListFlags extends RolloutFlags {
  readonly output?: string;
  readonly allNamespaces?: boolean;
}

interface CreateFlags extends RolloutFlags {
  readonly filename: string;
  readonly watch?: boolean;
  readonly dryRun?: boolean;
}

/** The order that each verb writes. The engine carries it out. */
const orders: Readonly<
  Record<string, { readonly text: string; readonly done: string; readonly order: Parameters<typeof orderPatch>[1] }>
> = {
  pause: { text: "pause the rollout before its next action", done: "is paused", order: "pause" },
  resume: { text: "continue a paused rollout", done: "continues", order: "resume" },
  abort: { text: "stop the rollout, and undo all its changes", done: "is being undone", order: "rollback" },
  undo: { text: "undo all changes of the rollout, also after its end", done: "is being undone", order: "rollback" },
  rollback: {
    text: "undo all changes of the upgrade, in any phase and also after its end",
    done: "is being undone",
    order: "rollback",
  },
};

export function canaryCommands(program: Command, context: CliContext): void {
  const canary = program.command("canary").description("roll out an application step by step; checks judge each step");
  verbs(canary, canaryKind, ["pause", "resume", "abort", "undo"], context);
  importCommand(canary, context);
  approval(
    canary.command("promote <name>"),
    "approve the step that waits; with --full, go to the last step at once without pauses and checks",
  )
    .option("--full", "go to the last step at once")
    .action(async (name: string, flags: OrderFlags) => {
      const { client, object } = await rolloutToOrder(canaryKind, name, flags, context);
      if (flags.full === true) await orderFully({ client, kind: canaryKind, object, flags, context });
      else await approve({ client, kind: canaryKind, object, flags, context });
    });
}

export function upgradeCommands(program: Command, context: CliContext): void {
  const upgrade = program
    .command("upgrade")
    .description(
      "move the mesh from one revision to another step by step; without a verb, replace the installed release",
    );
  upgradeInPlaceCommand(upgrade, context);
  upgradePlanCommand(upgrade, context);
  verbs(upgrade, meshUpgradeKind, ["pause", "resume", "rollback"], context);
  approval(upgrade.command("approve <name>"), "approve the step that waits").action(
    async (name: string, flags: OrderFlags) => {
      const { client, object } = await rolloutToOrder(meshUpgradeKind, name, flags, context);
      await approve({ client, kind: meshUpgradeKind, object, flags, context });
    },
  );
  approval(upgrade.command("complete <name>"), "end the soak now, and allow the removal of the old revision").action(
    async (name: string, flags: OrderFlags) => {
      const { client, object } = await rolloutToOrder(meshUpgradeKind, name, flags, context);
      await approve({ client, kind: meshUpgradeKind, object, flags, context }, completingSteps);
    },
  );
}

function withFlags(command: Command): Command {
  const isUpgrade = command.parent?.name() === "upgrade";
  return connectionFlags(
    command.option(
      "-n, --namespace <namespace>",
      isUpgrade
        ? "has no effect; a MeshUpgrade has no namespace"
        : "the namespace of the Canary (default: the namespace of the kubeconfig's context)",
    ),
  );
}

function approval(command: Command, description: string): Command {
  return withFlags(command.description(description))
    .option("-m, --message <why>", "the reason, which the history keeps")
    .option("--step <id>", "the step (default: the step that waits, if no other one was approved in this run)");
}

function verbs<Value extends Rollout>(
  parent: Command,
  kind: KindDefinition<Value>,
  words: readonly string[],
  context: CliContext,
): void {
  const noun = parent.name();
  withFlags(
    parent
      .command(noun === "canary" ? "create" : "start")
      .alias(noun === "canary" ? "start" : "create")
      .description(`create the ${kind.kind} of a file, and start it`),
  )
    .requiredOption("-f, --filename <file>", "the object as YAML; - is standard input")
    .option("-w, --watch", "show the steps and their states until the rollout ends")
    .option("--dry-run", "check the file, also at the API server, and write nothing")
    .action(async (flags: CreateFlags) => await create(kind, flags, noun, context));
  withFlags(
    parent
      .command("retry <name>")
      .description("start an ended rollout again, unchanged or from a file, and keep its history"),
  )
    .option("-f, --filename <file>", "the object as YAML; - is standard input")
    .option("-w, --watch", "show the steps and their states until the rollout ends")
    .action(async (name: string, flags: CreateFlags) => await retry(kind, name, flags, noun, context));
  const listing = withFlags(
    parent.command("list").description(`list all ${kind.kind === "Canary" ? "Canaries" : "MeshUpgrades"}`),
  ).option("-o, --output <format>", "print the objects for programs: json or yaml");
  if (kind.namespaced)
    listing.option("-A, --all-namespaces", "list the Canaries of all namespaces; this is the default without -n");
  listing.action(async (flags: ListFlags) => await list(kind, flags, context));
  withFlags(
    parent.command("status <name>").description("show the state of a rollout with the reason and the evidence for it"),
  )
    .option(
      "-w, --watch",
      "watch until the rollout ends; the exit code is 0 for done, 1 for stuck, 3 for rolled back, 4 for still under way",
    )
    .option("-v, --verbose", "show the evidence of every step, and all pending steps")
    .option("--timeout <time>", "stop watching after this time: 90, 50s, 5m (default: no limit)", durationFlag)
    .addOption(new Option("-o, --output <format>", "print the object for programs").choices(["json", "yaml"]))
    .option("--json", "the same as -o json")
    .action(async (name: string, flags: StatusFlags) => await showStatus(kind, name, flags, context));
  withFlags(
    parent
      .command("history <name>")
      .description("show every decision with its evidence, author and reason, also for a deleted rollout"),
  )
    .option("--run <number>", "show only this run", runFlag)
    .addOption(new Option("-o, --output <format>", "print the object for programs").choices(["json", "yaml"]))
    .option("--json", "the same as -o json")
    .action(async (name: string, flags: HistoryFlags) => await showHistory(kind, name, flags, context));
  for (const word of words) {
    const orderVerb = orders[word];
    if (orderVerb === undefined) continue;
    withFlags(parent.command(`${word} <name>`).description(orderVerb.text))
      .option("-m, --message <why>", "the reason, which the history keeps")
      .action(async (name: string, flags: OrderFlags) => {
        const { client, object } = await rolloutToOrder(kind, name, flags, context);
        refuseVain(kind, object, orderVerb.order);
        const patch = orderPatch(object, orderVerb.order, await orderedBy(client, flags, context));
        if ((await patchThisObject(client, kind, object, { patch, fieldManager: "serin-cli" })) === "replaced")
          throw notGiven(kind, object, remadeProblem);
        context.out(`${noun} ${nameOf(object)} ${orderVerb.done}\n`);
      });
  }
}

async function create<Value extends Rollout>(
  kind: KindDefinition<Value>,
  flags: CreateFlags,
  noun: string,
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
  const there = await client.get(kind, object.metadata.name ?? "", namespace);
  if (there?.status !== undefined && hasEnded(there)) {
    throw userError("rollout-ended", `${kind.kind} ${nameOf(there)} has ended as ${there.status.phase}`, {
      hint: `start it again: serin ${noun} retry ${object.metadata.name ?? ""} [-f ${flags.filename}]; it keeps its history`,
    });
  }
  await client.apply(kind, object, {
    fieldManager: "serin-cli",
    force: true,
    ...(flags.dryRun === true ? { dryRun: true } : {}),
  });
  const name = object.metadata.name ?? "";
  if (flags.dryRun === true) {
    context.out(`${kind.kind} ${nameOf(object)} would be accepted\n`);
    return;
  }
  if (flags.watch === true)
    await showStatus(kind, name, { ...flags, ...(namespace === undefined ? {} : { namespace }) }, context);
  else
    context.out(
      `${kind.kind} ${nameOf(object)} is under way; watch it: serin ${noun} status ${name}${namespace === undefined ? "" : ` -n ${namespace}`} -w\n`,
    );
}

/**
 * The command that begins a run of a Canary that follows a Deployment, with the Deployment's present template. As in
 * `kubectl rollout restart`, the time makes it a new template.
 */
function howToBegin({ spec, metadata: { namespace = "" } }: Rollout, nowMs: number): string | undefined {
  if (!("target" in spec && "deployment" in spec.target)) return undefined;
  const patch = JSON.stringify({
    spec: { template: { metadata: { annotations: { retried: new Date(nowMs).toISOString() } } } },
  });
  return `kubectl patch deployment ${spec.target.deployment.name} -n ${namespace} -p '${patch}'`;
}

const goneTimeoutMs = 60_000;
const gonePollMs = 50;

/**
 * Deletes an ended rollout and creates it again, unchanged or from the file. Its orders are not repeated. Checks first
 * whether the server would accept the object, before anything is deleted.
 */
async function retry<Value extends Rollout>(
  kind: KindDefinition<Value>,
  name: string,
  flags: CreateFlags,
  noun: string,
  context: CliContext,
): Promise<void> {
  const { client, object } = await rolloutToOrder(kind, name, flags, context);
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
        hint: `serin ${noun} ${noun === "canary" ? `abort ${name} -n ${object.metadata.namespace ?? ""}` : `rollback ${name}`}`,
      },
    );
  const { namespace } = object.metadata;
  const file = (flags as { filename?: string }).filename;
  const given = file === undefined ? retriedRollout(object) : await readObject(kind, file, context);
  if (given.metadata.name !== name)
    throw userError(
      "arguments-conflict",
      `${file ?? ""}: metadata.name must be ${name}, got ${given.metadata.name ?? ""}`,
    );
  const metadata = { ...given.metadata, ...(namespace === undefined ? {} : { namespace }) };
  const next: Value = { ...given, metadata };
  // Use a generated name, because the rollout's own name is taken until its deletion.
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
        hint: `watch it: serin ${noun} status ${name}${namespace === undefined ? "" : ` -n ${namespace}`} -w`,
      },
    );
  if (flags.watch === true)
    await showStatus(kind, name, { ...flags, ...(namespace === undefined ? {} : { namespace }) }, context);
  else
    context.out(
      `${kind.kind} ${nameOf(object)} starts again; watch it: serin ${noun} status ${name}${namespace === undefined ? "" : ` -n ${namespace}`} -w\n`,
    );
}

async function list<Value extends Rollout>(
  kind: KindDefinition<Value>,
  flags: ListFlags,
  context: CliContext,
): Promise<void> {
  if (flags.allNamespaces === true && flags.namespace !== undefined)
    throw userError("arguments-conflict", `-A means all namespaces, and -n says ${flags.namespace}`, {
      hint: "use one of them",
    });
  const format = outputFormat(flags.output, ["json", "yaml"]);
  const client = await context.connect(flags);
  const { items } = await client.list(
    kind,
    kind.namespaced && flags.namespace !== undefined ? { namespace: flags.namespace } : {},
  );
  if (format !== "table") {
    context.out(await renderObjects(items, format));
    return;
  }
  if (items.length === 0) {
    context.out(`no ${kind.kind} exists\n`);
    return;
  }
  const header = [
    ...(kind.namespaced ? ["NAMESPACE"] : []),
    "NAME",
    "PHASE",
    "PROGRESS",
    ...(kind.namespaced ? ["WEIGHT"] : ["FROM", "TO"]),
    "STEP",
  ];
  const rows = items.map((item) => [
    ...(kind.namespaced ? [item.metadata.namespace ?? ""] : []),
    item.metadata.name ?? "",
    item.status?.phase ?? "",
    item.status?.progress ?? "",
    ...("from" in item.spec
      ? [item.spec.from.revision, item.spec.to.revision]
      : [item.status?.weight === undefined ? "" : `${item.status.weight} %`]),
    item.status?.cause ?? item.status?.step?.title ?? "",
  ]);
  context.out(renderTable(header, rows));
}

function rolloutKindOf({ kind }: KindDefinition): RolloutKind {
  return kind === "Canary" ? "Canary" : "MeshUpgrade";
}

/** Refuses an order that would change nothing. The API server checks the user's rights. */
function refuseVain<Value extends Rollout>(
  kind: KindDefinition<Value>,
  object: Value,
  action: Parameters<typeof refusalOf>[2],
): void {
  const kindName = rolloutKindOf(kind);
  const why = refusalOf(kindName, object, action, { patch: true, replace: true });
  if (why === undefined) return;
  const { name = "", namespace } = object.metadata;
  const [noun, where] = kindName === "Canary" ? ["canary", ` -n ${namespace ?? ""}`] : ["upgrade", ""];
  throw userError("nothing-waits", `${kindName} ${nameOf(object)}: ${why}`, {
    hint: `see serin ${noun} status ${name}${where}`,
  });
}

async function orderedBy(client: KubeClient, flags: OrderFlags, context: CliContext): Promise<OrderedBy> {
  const by = await whoAmI(client);
  return { by, why: flags.message ?? "", at: new Date(context.clock.nowMs()).toISOString() };
}

/** An order of the user to one rollout. */
interface Order<Value extends Rollout> {
  readonly client: KubeClient;
  readonly kind: KindDefinition<Value>;
  readonly object: Value;
  readonly flags: OrderFlags;
  readonly context: CliContext;
}

/**
 * Patches the rollout in the version that was read. Refuses if it has changed since in a way that the user has not
 * seen.
 */
async function patchAsSeen<Value extends Rollout>(
  { client, kind, object, context }: Order<Value>,
  order: Parameters<typeof changeAgainst>[0],
  patchOf: (current: Value) => unknown,
): Promise<void> {
  let change: string | undefined;
  const outcome = await patchAsRead(client, kind, object, {
    patchOf,
    isMeant: (current) => {
      change = changeAgainst(order, object, current);
      return change === undefined;
    },
    fieldManager: "serin-cli",
    clock: context.clock,
    signal: context.signal,
  });
  if (outcome === "done") return;
  throw notGiven(kind, object, change ?? "it was deleted meanwhile");
}

function notGiven<Value extends Rollout>(kind: KindDefinition<Value>, object: Value, what: string): SerinError {
  return userError("nothing-waits", `${kind.kind} ${nameOf(object)}: ${what}, so your order was not given`, {
    hint: `look at it with \`${statusCommand(rolloutKindOf(kind), object)}\`, and give the order again`,
  });
}

/** Approves the steps in the caller's name. The write replaces the whole list, so after a conflict it starts again. */
async function approve<Value extends Rollout>(
  { client, kind, object, flags, context }: Order<Value>,
  steps?: readonly string[],
): Promise<void> {
  const wanted = flags.step !== undefined ? [flags.step] : (steps ?? [waitingStep(kind, object)]);
  if (hasEnded(object))
    throw userError("nothing-waits", `${kind.kind} ${nameOf(object)}: it has ended as ${object.status?.phase ?? ""}`);
  // An earlier approval would skip the soak of the whole mesh, and remove the old revision without a look at the
  // result.
  if (kind.kind === "MeshUpgrade" && wanted.some((step) => completingSteps.includes(step)))
    refuseVain(kind, object, "complete");
  for (const step of wanted) {
    const problem = approvalProblem(object, step);
    if (problem !== undefined) throw userError("nothing-waits", `${kind.kind} ${nameOf(object)}: ${problem}`);
  }
  const ordered = await orderedBy(client, flags, context);
  await patchAsSeen({ client, kind, object, flags, context }, "approve", (current) =>
    approvalPatch(current, wanted, ordered),
  );
  context.out(`${kind.kind} ${nameOf(object)}: ${wanted.join(", ")} approved by ${ordered.by}\n`);
}

/** The step that is approved without `--step`. */
function waitingStep<Value extends Rollout>(definition: KindDefinition<Value>, rollout: Value): string {
  const kind = rolloutKindOf(definition);
  const step = waitingStepOf(rollout);
  const { status } = rollout;
  if (step !== undefined) {
    const before = approvalBefore(rollout);
    if (before === undefined) return step;
    const command = rolloutCommand(kind, rollout, "approve");
    throw userError(
      "ambiguous",
      `${kind} ${nameOf(rollout)}: step ${before.step} was approved by ${before.by} at ${before.at}, and step ${step} (${status?.step?.title ?? ""}) waits now`,
      { hint: `name the step that you have looked at: ${commandForStep(command, step)}` },
    );
  }
  const at = hasEnded(rollout) || status?.step === undefined ? "" : ` at ${status.step.title}`;
  throw userError(
    "nothing-waits",
    `${nameOf(rollout)}: no step waits for an approval: the rollout is ${status?.phase ?? "not read by the engine yet"}${at}`,
    { hint: insteadOfApproval(kind, rollout) },
  );
}

function statusCommand(kind: RolloutKind, { metadata: { name = "", namespace } }: Rollout): string {
  return `serin ${kind === "Canary" ? "canary" : "upgrade"} status ${name}${namespace === undefined ? "" : ` -n ${namespace}`}`;
}

/** What a person can do if no step waits for an approval. */
function insteadOfApproval(kind: RolloutKind, rollout: Rollout): string {
  const lookAtIt = `look at its steps with \`${statusCommand(kind, rollout)}\``;
  if (hasEnded(rollout)) return lookAtIt;
  const isRefused = (order: Parameters<typeof refusalOf>[2]): boolean =>
    refusalOf(kind, rollout, order, { patch: true, replace: true }) !== undefined;
  if (rollout.status?.phase === "Paused" && !isRefused("resume"))
    return `to continue it: ${rolloutCommand(kind, rollout, "resume")}`;
  const { plannedSteps = [], step } = rollout.status ?? {};
  const isAsked = plannedSteps.some(({ id, untilApproved }) => id === step?.id && untilApproved === true);
  if (kind === "MeshUpgrade" && !isRefused("complete") && (step?.id === "soak" || isAsked)) {
    const what = step?.id === "soak" ? "to end the soak" : "to allow the removal of the old revision";
    return `${what}: ${rolloutCommand(kind, rollout, "complete")}`;
  }
  const next = nextApprovalOf(rollout);
  return next === undefined
    ? lookAtIt
    : `approve step ${next} when it waits, or approve it in advance: ${commandForStep(rolloutCommand(kind, rollout, "approve"), next)}`;
}

async function orderFully<Value extends Rollout>({
  client,
  kind,
  object,
  flags,
  context,
}: Order<Value>): Promise<void> {
  refuseVain(kind, object, "promote");
  const ordered = await orderedBy(client, flags, context);
  await patchAsSeen({ client, kind, object, flags, context }, "promote", (current) =>
    fullPromotionPatch(current, ordered),
  );
  context.out(`${kind.kind} ${nameOf(object)} goes to its last step at once, by order of ${ordered.by}\n`);
}
