import { Option, type Command } from "commander";
import type { KindDefinition } from "../../api/index.ts";
import { canaryKind, completingSteps, meshUpgradeKind } from "../../api/serin/index.ts";
import type { CliContext } from "../context.ts";
import { connectionFlags, durationFlag } from "../flags.ts";
import { upgradeInPlaceCommand } from "../installation/install.ts";
import { runFlag, showHistory, type HistoryFlags } from "./history.ts";
import { importCommand } from "./import.ts";
import { listRollouts, type ListFlags } from "./list.ts";
import { approve, giveOrder, orderFully, type OrderFlags, type OrderWord } from "./orders.ts";
import { rolledBackExitCode, RolloutEnd } from "./rollout-end.ts";
import { nounOf, rolloutKindOf, rolloutToOrder, type Rollout } from "./rollout-objects.ts";
import { createRollout, retryRollout, type CreateFlags, type RetryFlags } from "./start.ts";
import { showStatus, type StatusFlags } from "./status.ts";
import { upgradePlanCommand } from "./upgrade-plan.ts";

/** The orders that verbs write. */
const orderVerbs = {
  pause: { text: "pause the rollout before its next action", done: "is paused", order: "pause" },
  resume: { text: "continue a paused rollout", done: "continues", order: "resume" },
  abort: { text: "stop the rollout, and undo all its changes", done: "is being undone", order: "rollback" },
  undo: {
    alias: "rollback",
    text: "undo all changes of the rollout, also after its end",
    done: "is being undone",
    order: "rollback",
  },
  rollback: {
    alias: "undo",
    text: "undo all changes of the upgrade, in any phase and also after its end",
    done: "is being undone",
    order: "rollback",
  },
} as const satisfies Readonly<Record<string, OrderVerb>>;

interface OrderVerb {
  /** The verb's name for the other kind of rollout, which is accepted too. */
  readonly alias?: string;
  readonly text: string;
  readonly done: string;
  readonly order: OrderWord;
}

export function canaryCommands(program: Command, context: CliContext): void {
  const canary = program.command("canary").description("roll out an application step by step; checks judge each step");
  commonVerbs(canary, canaryKind, ["pause", "resume", "abort", "undo"], context);
  importCommand(canary, context);
  approval(
    canary.command("promote <name>").alias("approve"),
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
  commonVerbs(upgrade, meshUpgradeKind, ["pause", "resume", "rollback"], context);
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
  return connectionFlags(command.option("-n, --namespace <namespace>", namespaceText(command)));
}

function namespaceText(command: Command): string {
  if (command.parent?.name() === "upgrade") return "has no effect; a MeshUpgrade has no namespace";
  return command.name() === "list"
    ? "list only the Canaries of this namespace"
    : "the namespace of the Canary (default: the namespace of the kubeconfig's context)";
}

function approval(command: Command, description: string): Command {
  return withFlags(command.description(description))
    .option("-m, --message <why>", "the reason, which the history keeps")
    .option("--step <id>", "the step (default: the step that waits, if no other one was approved in this run)");
}

interface UndoFlags extends OrderFlags {
  readonly watch?: boolean;
}

/** Follows an undo that the user has ordered. Succeeds if the rollout ends as rolled back. */
async function watchUndo<Value extends Rollout>(
  kind: KindDefinition<Value>,
  { metadata: { name = "", namespace } }: Value,
  flags: UndoFlags,
  context: CliContext,
): Promise<void> {
  try {
    await showStatus(kind, name, { ...flags, ...(namespace === undefined ? {} : { namespace }) }, context);
  } catch (error) {
    if (!(error instanceof RolloutEnd) || error.exitCode !== rolledBackExitCode) throw error;
  }
}

/** Adds the verbs that both kinds have, and those of `orderVerbs` that are named. */
function commonVerbs<Value extends Rollout>(
  parent: Command,
  kind: KindDefinition<Value>,
  ordering: readonly (keyof typeof orderVerbs)[],
  context: CliContext,
): void {
  const [creating, alias] = nounOf(rolloutKindOf(kind)) === "canary" ? ["create", "start"] : ["start", "create"];
  withFlags(parent.command(creating).alias(alias).description(`create the ${kind.kind} of a file, and start it`))
    .requiredOption("-f, --filename <file>", "the object as YAML; - is standard input")
    .option("-w, --watch", "show the steps and their states until the rollout ends")
    .option("--dry-run", "check the file, also at the API server, and write nothing")
    .action(async (flags: CreateFlags) => await createRollout(kind, flags, context));
  withFlags(
    parent
      .command("retry <name>")
      .description("start an ended rollout again, unchanged or from a file, and keep its history"),
  )
    .option("-f, --filename <file>", "the object as YAML; - is standard input")
    .option("-w, --watch", "show the steps and their states until the rollout ends")
    .action(async (name: string, flags: RetryFlags) => await retryRollout(kind, name, flags, context));
  const listing = withFlags(
    parent.command("list").description(`list all ${kind.kind === "Canary" ? "Canaries" : "MeshUpgrades"}`),
  ).option("-o, --output <format>", "print the objects for programs: json or yaml");
  if (kind.namespaced)
    listing.option("-A, --all-namespaces", "list the Canaries of all namespaces; this is the default without -n");
  listing.action(async (flags: ListFlags) => await listRollouts(kind, flags, context));
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
  for (const verb of ordering) {
    const { alias, text, done, order }: OrderVerb = orderVerbs[verb];
    const command = parent.command(`${verb} <name>`).description(text);
    if (alias !== undefined) command.alias(alias);
    withFlags(command).option("-m, --message <why>", "the reason, which the history keeps");
    if (order === "rollback") command.option("-w, --watch", "show what the undo waits for until it ends");
    command.action(async (name: string, flags: UndoFlags) => {
      const { client, object } = await rolloutToOrder(kind, name, flags, context);
      await giveOrder({ client, kind, object, flags, context }, { order, done });
      if (flags.watch === true) await watchUndo(kind, object, flags, context);
    });
  }
}
