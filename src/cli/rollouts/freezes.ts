import type { Command } from "commander";
import { formatIssuesOf, type FieldIssue, type KubernetesObject } from "../../api/index.ts";
import {
  canaryKind,
  freezeKind,
  meshUpgradeKind,
  parseFreeze,
  readFreeze,
  unreadableFreeze,
  type Freeze,
  type FreezeWindow,
} from "../../api/serin/index.ts";
import { shellWord, userError } from "../../base/index.ts";
import { undefinedIfForbidden, type KubeClient } from "../../kube/index.ts";
import type { CliContext, ConnectionFlags } from "../context.ts";
import { sourceName } from "../user-file.ts";
import { checkNamespaceNames, namesIn } from "../existing-namespaces.ts";
import { connectionFlags } from "../flags.ts";
import { outputFormat, renderObjects } from "../terminal/output.ts";
import { fittedTable } from "../terminal/fitted-table.ts";
import { durationText } from "./ladder-hint.ts";
import { readObject, whoAmI } from "./rollout-objects.ts";

interface AddFlags extends ConnectionFlags {
  readonly filename?: string;
  readonly reason?: string;
  readonly from?: string;
  readonly until?: string;
  readonly rrule?: string;
  readonly duration?: string;
  readonly zone?: string;
  readonly kind?: readonly string[];
  readonly namespaces?: readonly string[];
}

interface ExceptFlags extends ConnectionFlags {
  readonly canary?: string;
  readonly upgrade?: string;
  readonly reason: string;
}

/** `serin freeze`: manages freezes. */
export function freezeCommands(program: Command, context: CliContext): void {
  const freeze = program
    .command("freeze")
    .description("manage freezes: times in which no rollout starts a step; a freeze never delays an undo");
  connectionFlags(freeze.command("list").description("list the freezes with their windows and exceptions"))
    .option("-o, --output <format>", "print the objects for programs: json or yaml")
    .action(async (flags: ConnectionFlags & { readonly output?: string }) => {
      const format = outputFormat(flags.output, ["json", "yaml"]);
      const client = await context.connect(flags);
      const { items } = await client.list(freezeKind);
      if (format !== "table") context.out(await renderObjects(items, format));
      else context.out(items.length === 0 ? "no freeze exists\n" : renderFreezes(items, context.columns()));
    });
  connectionFlags(freeze.command("add [name]").description("block rollouts from now on, or in the windows of a file"))
    .option("-f, --filename <file>", "a Freeze as YAML; - is standard input")
    .option("--reason <text>", "the reason, which the status of waiting rollouts shows")
    .option(
      "--from <time>",
      "the start of the freeze in the time zone of --zone, such as 2026-12-20T18:00:00 (default: now)",
    )
    .option("--until <time>", "the end of the freeze")
    .option("--rrule <rule>", "repeat the freeze from --from on, by a rule of RFC 5545: FREQ=WEEKLY;BYDAY=FR")
    .option("--duration <time>", "how long each freeze of --rrule lasts: 90m, 12h, 3d")
    .option("--zone <name>", "the time zone, such as Europe/Berlin (default: UTC)")
    .option("--kind <kind...>", "the kinds to block: Canary or MeshUpgrade (default: both)")
    .option("--namespaces <name...>", "block only the Canaries in these namespaces")
    .action(async (name: string | undefined, flags: AddFlags) => {
      const raw =
        flags.filename === undefined
          ? fromFlags(name, flags, context)
          : await fromFile(name, flags.filename, flags, context);
      const parsed = parseFreeze(raw);
      if (parsed.value === undefined)
        throw userError("rollout-invalid", formatIssuesOf(`freeze ${name ?? ""}`, parsed.errors.map(ofFlag)));
      const client = await context.connect(flags);
      await client.apply(freezeKind, raw as Freeze, { fieldManager: "serin-cli", force: true });
      context.out(
        `freeze ${parsed.value.metadata.name ?? ""} applies: ${parsed.value.spec.windows.map((window) => windowText(window, parsed.value?.spec.timeZone ?? "UTC")).join("; ")}\n`,
      );
    });
  connectionFlags(freeze.command("except <name>").description("exempt one rollout from a freeze"))
    .option("--canary <namespace/name>", "the Canary to exempt")
    .option("--upgrade <name>", "the MeshUpgrade to exempt")
    .requiredOption("--reason <text>", "the reason, which the freeze stores")
    .action(async (name: string, flags: ExceptFlags) => await except(name, flags, context));
  connectionFlags(freeze.command("remove <name>").description("end a freeze")).action(
    async (name: string, flags: ConnectionFlags) => {
      const client = await context.connect(flags);
      if ((await client.get(freezeKind, name)) === undefined)
        throw userError("not-found", `there is no freeze "${name}"`, { hint: "serin freeze list" });
      await client.delete(freezeKind, name);
      context.out(`removed freeze ${name}\n`);
    },
  );
}

/** Reads the Freeze from a file. The file sets every field, so flags that set fields are refused. */
async function fromFile(name: string | undefined, file: string, flags: AddFlags, context: CliContext): Promise<Freeze> {
  const given = (["reason", "from", "until", "rrule", "duration", "zone", "kind", "namespaces"] as const).filter(
    (flag) => flags[flag] !== undefined,
  );
  if (given.length > 0)
    throw userError(
      "arguments-conflict",
      `-f ${file}: has the whole Freeze, and --${given.join(", --")} would have no effect`,
      { hint: "set the fields in the file, or leave -f out" },
    );
  const freeze = await readObject(freezeKind, file, context);
  if (name !== undefined && freeze.metadata.name !== name)
    throw userError(
      "arguments-conflict",
      `${sourceName(file)}: metadata.name must be ${name}, got ${freeze.metadata.name ?? ""}`,
    );
  return freeze;
}

function fromFlags(name: string | undefined, flags: AddFlags, context: CliContext): unknown {
  if (name === undefined) throw withoutName(flags);
  const { kind, namespaces } = flags;
  const lists = {
    ...(kind === undefined ? {} : { kinds: listed("--kind", kind) }),
    ...(namespaces === undefined ? {} : { namespaces: listed("--namespaces", namespaces) }),
  };
  checkNamespaceNames(lists.namespaces ?? [], "--namespaces");
  const zone = flags.zone ?? "UTC";
  const start = flags.from ?? localNow(context.clock.nowMs(), zone);
  return {
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "Freeze",
    metadata: { name },
    spec: {
      ...(flags.reason === undefined ? {} : { reason: flags.reason }),
      timeZone: zone,
      windows: [
        {
          start,
          ...(flags.until === undefined ? {} : { end: flags.until }),
          ...(flags.rrule === undefined ? {} : { rrule: flags.rrule }),
          ...(flags.duration === undefined ? {} : { durationSeconds: secondsOf(flags.duration) }),
        },
      ],
      ...lists,
    },
  };
}

/**
 * The names that a flag lists. Throws if it lists none, for example because a variable of the shell is empty: an empty
 * list in a Freeze means all.
 */
function listed(flag: string, values: readonly string[]): readonly string[] {
  const names = namesIn(values);
  if (names.length === 0)
    throw userError("argument-invalid", `${flag}: names nothing`, { hint: `leave ${flag} out to block all` });
  return names;
}

/**
 * The error for flags without the freeze's name. If the name comes after a flag with several values, the flag has taken
 * the name as one of them.
 */
function withoutName({ kind = [], namespaces = [] }: AddFlags): Error {
  const taken = [
    ["--kind", kind],
    ["--namespaces", namespaces],
  ] as const;
  const [flag, values] = taken.find(([, given]) => given.length > 1) ?? [];
  return userError(
    "argument-missing",
    flag === undefined ? "a freeze needs a name" : `a freeze needs a name, and ${flag} has taken ${values?.join(", ")}`,
    {
      hint:
        flag === undefined
          ? "serin freeze add holidays --reason … --until 2027-01-04T08:00:00, or -f <file>"
          : `write the name before the flags: serin freeze add ${shellWord(values?.at(-1) ?? "")} ${flag} ${values?.slice(0, -1).map(shellWord).join(" ")} …`,
    },
  );
}

/** By the path of a Freeze's field, the flag that sets it. */
const flagOfField: Readonly<Record<string, string>> = {
  "spec.reason": "--reason",
  "spec.timeZone": "--zone",
  "spec.windows[0].start": "--from",
  "spec.windows[0].end": "--until",
  "spec.windows[0].rrule": "--rrule",
  "spec.windows[0].durationSeconds": "--duration",
};

/** The issue with the flag's name instead of the field's path. */
function ofFlag(issue: FieldIssue): FieldIssue {
  const field = issue.path;
  return {
    ...issue,
    path:
      flagOfField[field] ?? field.replace(/^spec\.kinds\b/, "--kind").replace(/^spec\.namespaces\b/, "--namespaces"),
  };
}

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

function secondsOf(text: string): number {
  const [, count = "", unit = ""] = /^(\d+)([smhd])$/.exec(text) ?? [];
  if (unit === "") throw userError("argument-invalid", `--duration: must look like 90m, 12h or 3d, got "${text}"`);
  return Number(count) * (unitSeconds[unit] ?? 1);
}

/**
 * The local time in a zone: `2026-12-20T18:00:00`. For an unknown zone, returns any time, because the parser refuses
 * the zone later.
 */
function localNow(nowMs: number, timeZone: string): string {
  try {
    return new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "medium" })
      .format(nowMs)
      .replace(" ", "T");
  } catch {
    return new Date(nowMs).toISOString().slice(0, 19);
  }
}

function renderFreezes(items: readonly Freeze[], columns: number | undefined): string {
  const rows = items.map((stored) => {
    const read = readFreeze(stored);
    const name = stored.metadata.name ?? "";
    if ("fault" in read) return [name, "always", "all rollouts", "", unreadableFreeze(name, read.fault)];
    const { windows, timeZone, kinds, namespaces, exceptions, reason } = read.freeze.spec;
    return [
      name,
      windows.map((window) => windowText(window, timeZone)).join("; "),
      [kinds.length === allKinds ? "all rollouts" : kinds.join(","), namespaces.join(",")]
        .filter((part) => part !== "")
        .join(" in "),
      exceptions
        .map(
          (freeze) =>
            `${freeze.namespace === undefined ? "" : `${freeze.namespace}/`}${freeze.name} (${freeze.reason})`,
        )
        .join(", "),
      reason,
    ];
  });
  return fittedTable(["NAME", "WINDOWS", "APPLIES TO", "EXCEPT", "REASON"], rows, { columns });
}

/** The number of rollout kinds. A freeze that names all of them is one for all rollouts. */
const allKinds = 2;

function windowText({ start, end, rrule, durationSeconds = 0 }: FreezeWindow, zone = "UTC"): string {
  return rrule === undefined
    ? `${start} to ${end ?? ""} ${zone}`
    : `${rrule} from ${start} ${zone}, ${durationText(durationSeconds)} each`;
}

async function except(name: string, flags: ExceptFlags, context: CliContext): Promise<void> {
  const [namespace, canary] = flags.canary?.split("/") ?? [];
  if ((flags.canary === undefined) === (flags.upgrade === undefined))
    throw userError("argument-invalid", "pass exactly one of --canary and --upgrade");
  if (
    flags.canary !== undefined &&
    (namespace === undefined || namespace === "" || canary === undefined || canary === "")
  ) {
    throw userError("argument-invalid", `--canary: must be namespace/name, got "${flags.canary}"`);
  }
  const client = await context.connect(flags);
  const freeze = await client.get(freezeKind, name);
  if (freeze === undefined) throw userError("not-found", `there is no freeze "${name}"`, { hint: "serin freeze list" });
  const read = readFreeze(freeze);
  // The engine applies a freeze that it cannot read to all rollouts, so an exception would have no effect.
  if ("fault" in read)
    throw userError("rollout-invalid", `freeze ${name} is not valid: ${read.fault}`, {
      hint: `correct it: kubectl edit freeze ${name}; or end it: serin freeze remove ${name}`,
    });
  const by = await whoAmI(client);
  const found = await readRollout(client, flags.upgrade ?? canary ?? "", namespace);
  const uid = found?.metadata.uid;
  const rollout = {
    ...(flags.upgrade === undefined
      ? { kind: "Canary", namespace, name: canary }
      : { kind: "MeshUpgrade", name: flags.upgrade }),
    ...(uid === undefined ? {} : { uid }),
  };
  const exceptions = [...read.freeze.spec.exceptions, { ...rollout, reason: flags.reason, by }];
  await client.patchMerge(
    freezeKind,
    name,
    undefined,
    { metadata: { resourceVersion: freeze.metadata.resourceVersion }, spec: { exceptions } },
    { fieldManager: "serin-cli" },
  );
  const later = uid === undefined ? " (every one of this name, because you can read no such object now)" : "";
  context.out(`freeze ${name} exempts ${flags.canary ?? flags.upgrade ?? ""}${later}: ${flags.reason}\n`);
}

/**
 * Reads a Canary, or a MeshUpgrade if no namespace is given. Undefined if it does not exist, or if the user, who may
 * only manage freezes, may not read it.
 */
async function readRollout(
  client: KubeClient,
  name: string,
  namespace: string | undefined,
): Promise<KubernetesObject | undefined> {
  return await undefinedIfForbidden<KubernetesObject | undefined>(
    namespace === undefined ? client.get(meshUpgradeKind, name) : client.get(canaryKind, name, namespace),
  );
}
