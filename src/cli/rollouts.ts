import type { Command } from "commander";
import { parse } from "yaml";
import { userError } from "../base/index.ts";
import { formatIssues, type KindDefinition } from "../api/index.ts";
import { canaryKind, meshUpgradeKind, parseCanary, parseMeshUpgrade, type Approval, type Canary, type MeshUpgrade, type RolloutStatus } from "../api/serin/index.ts";
import type { KubeClient } from "../kube/index.ts";
import type { CliContext, ConnectionFlags } from "./context.ts";
import { upgradeInPlaceCommand } from "./install.ts";
import { RolloutEnd } from "./rollout-end.ts";
import { renderTable } from "./table.ts";

type Rollout = Canary | MeshUpgrade;

interface RolloutFlags extends ConnectionFlags {
  readonly namespace?: string;
  readonly watch?: boolean;
  readonly output?: string;
  readonly filename?: string;
}

/** What a verb writes into the object's spec; the engine does the rest. */
const orders: Readonly<Record<string, { readonly text: string; readonly spec: Readonly<Record<string, unknown>> }>> = {
  pause: { text: "paused", spec: { paused: true } },
  resume: { text: "resumed", spec: { paused: false } },
  abort: { text: "is being put back", spec: { abort: true } },
  undo: { text: "is being put back", spec: { abort: true } },
  rollback: { text: "is being put back", spec: { abort: true } },
};

const watchMs = 500;

export function canaryCommands(program: Command, context: CliContext): void {
  const canary = program.command("canary").description("an app's change, moved step by step and judged by evidence");
  verbs(canary, canaryKind, ["pause", "resume", "abort", "undo"], context);
  withFlags(canary.command("promote <name>").description("approve the step that waits")).action(async (name: string, flags: RolloutFlags) => {
    const { client, object } = await find(canaryKind, name, flags, context);
    const step = object.status?.step?.id ?? "";
    await order(client, canaryKind, object, { approvals: [...object.spec.approvals, approvalOf(step)] });
    context.out(`canary ${name}: ${step} is approved\n`);
  });
}

export function upgradeCommands(program: Command, context: CliContext): void {
  const upgrade = program.command("upgrade").description("the mesh itself, moved from one revision to another; without a verb, this release installed over the one that runs");
  upgradeInPlaceCommand(upgrade, context);
  verbs(upgrade, meshUpgradeKind, ["pause", "resume", "rollback"], context);
  withFlags(upgrade.command("approve <name>").description("approve the retiring of the old revision")).action(async (name: string, flags: RolloutFlags) => {
    const { client, object } = await find(meshUpgradeKind, name, flags, context);
    const step = object.status?.step?.id ?? "dependents";
    await order(client, meshUpgradeKind, object, { approvals: [...object.spec.approvals, approvalOf(step)] });
    context.out(`upgrade ${name}: ${step} is approved\n`);
  });
}

function approvalOf(step: string): Approval {
  return { step, by: "", why: "", at: new Date().toISOString() };
}

function withFlags(command: Command): Command {
  return command
    .option("-n, --namespace <namespace>", "the canary's namespace")
    .option("--kubeconfig <path>", "kubeconfig file")
    .option("--context <name>", "context of the kubeconfig");
}

function verbs<Value extends Rollout>(parent: Command, kind: KindDefinition<Value>, words: readonly string[], context: CliContext): void {
  withFlags(parent.command("start").description(`begin the ${kind.kind} of a file`).requiredOption("-f, --filename <file>", "the object as YAML")).action(
    async (flags: RolloutFlags) => {
      const object = await readRollout(kind, flags, context);
      const client = await context.connect(flags);
      await client.apply(kind, object, { fieldManager: "serin-cli", force: true });
      context.out(`${kind.kind} ${object.metadata.name ?? ""} is under way; watch it by: serin ${parent.name()} status ${object.metadata.name ?? ""} -w\n`);
    },
  );
  withFlags(parent.command("list").description("all of them")).action(async (flags: RolloutFlags) => {
    const client = await context.connect(flags);
    const { items } = await client.list(kind, flags.namespace === undefined ? {} : { namespace: flags.namespace });
    const rows = items.map(({ metadata, status }) => [metadata.namespace ?? "", metadata.name ?? "", status?.phase ?? "", status?.progress ?? "", status?.message ?? ""]);
    context.out(renderTable(["NAMESPACE", "NAME", "PHASE", "PROGRESS", "MESSAGE"], rows));
  });
  withFlags(
    parent.command("status <name>").description("where it is, what it saw, and why it decided so").option("-w, --watch", "until it ends").option("-o, --output <format>", "json"),
  ).action(async (name: string, flags: RolloutFlags) => await status(kind, name, flags, context));
  for (const word of words) {
    const said = orders[word];
    if (said === undefined) continue;
    withFlags(parent.command(`${word} <name>`).description(`the rollout ${said.text}`)).action(async (name: string, flags: RolloutFlags) => {
      const { client, object } = await find(kind, name, flags, context);
      await order(client, kind, object, said.spec);
      context.out(`${parent.name()} ${name} ${said.text}\n`);
    });
  }
}

async function readRollout<Value extends Rollout>(kind: KindDefinition<Value>, { filename = "-" }: RolloutFlags, context: CliContext): Promise<Value> {
  const raw: unknown = parse(await context.readFile(filename));
  const parsed = kind.kind === "Canary" ? parseCanary(raw) : parseMeshUpgrade(raw);
  if (parsed.value === undefined) throw userError("rollout-invalid", `${filename}: ${formatIssues(parsed.errors)}`);
  return raw as Value;
}

async function find<Value extends Rollout>(kind: KindDefinition<Value>, name: string, flags: RolloutFlags, context: CliContext): Promise<{ client: KubeClient; object: Value }> {
  const client = await context.connect(flags);
  const { items } = await client.list(kind, flags.namespace === undefined ? {} : { namespace: flags.namespace });
  const found = items.filter((item) => item.metadata.name === name);
  const [object] = found;
  if (found.length > 1) throw userError("ambiguous", `${found.length} namespaces have a ${kind.kind} "${name}"`, { hint: "say which by -n" });
  if (object === undefined) throw userError("not-found", `there is no ${kind.kind} "${name}"`, { hint: `kubectl get ${kind.plural} -A` });
  return { client, object };
}

async function order<Value extends Rollout>(client: KubeClient, kind: KindDefinition<Value>, { metadata }: Value, spec: Readonly<Record<string, unknown>>): Promise<void> {
  await client.patchMerge(kind, metadata.name ?? "", metadata.namespace, { spec }, { fieldManager: "serin-cli" });
}

/** Exit codes of a watched rollout: 0 done, 1 stuck, 3 rolled back, 4 waiting. */
const exitCodes: Readonly<Partial<Record<RolloutStatus["phase"], number>>> = { Completed: 0, Stuck: 1, RolledBack: 3 };
const waitingExitCode = 4;

async function status<Value extends Rollout>(kind: KindDefinition<Value>, name: string, flags: RolloutFlags, context: CliContext): Promise<void> {
  let shown = "";
  for (;;) {
    const { object } = await find(kind, name, flags, context);
    const text = flags.output === "json" ? `${JSON.stringify(object.status ?? {}, undefined, 2)}\n` : renderStatus(object);
    if (text !== shown) context.out(text);
    shown = text;
    const code = exitCodes[object.status?.phase ?? "Planned"];
    if (code === 0) return;
    if (code !== undefined || flags.watch !== true) throw new RolloutEnd(code ?? waitingExitCode);
    await context.clock.sleep(watchMs, context.signal);
  }
}

const marks: Readonly<Record<string, string>> = { pass: "✔", fail: "✘", wait: "…", error: "!" };

function renderStatus({ kind = "", metadata, status: current }: Rollout): string {
  if (current === undefined) return `${kind} ${metadata.name ?? ""}: not seen by the engine yet\n`;
  const lines = [`${kind} ${metadata.name ?? ""}: ${current.phase} ${current.progress}`];
  for (const step of current.completedSteps) {
    const seconds = (Date.parse(step.endedAt) - Date.parse(step.startedAt)) / 1000;
    lines.push(`  ✔ ${step.title}  (${seconds.toFixed(1)} s)`);
    for (const evidence of step.evidence) lines.push(`      ${evidence}`);
  }
  if (current.step !== undefined && current.phase !== "Completed") {
    lines.push(`  ${current.phase === "RolledBack" ? "✘" : "▸"} ${current.step.title}`);
    for (const check of current.step.checks) lines.push(`      ${marks[check.verdict] ?? ""} ${check.type}: ${check.evidence}`);
  }
  if (current.cause !== undefined) lines.push(`  cause: ${current.cause}`);
  return `${lines.join("\n")}\n`;
}
