import { existsSync } from "node:fs";
import type { Command } from "commander";
import { createLogger, Interruption, jsonText, userError } from "../../base/index.ts";
import { formatIssues, formatIssuesOf, type UntypedObject } from "../../api/index.ts";
import { parseMeshUpgrade, type MeshUpgrade } from "../../api/serin/index.ts";
import type { PlannedUpgrade, PreflightReport, Release, ReleaseFinder } from "../../preflight/index.ts";
import { CommandEnd } from "../command-end.ts";
import type { CliContext, ConnectionFlags } from "../context.ts";
import { sourceName } from "../user-file.ts";
import { readYaml } from "../installation/install-input.ts";
import { planText } from "./upgrade-plan-text.ts";

interface PlanFlags extends ConnectionFlags {
  readonly filename: string;
  readonly fromRelease?: string;
  readonly toRelease?: string;
  readonly diff?: boolean;
  readonly strict?: boolean;
  readonly json?: boolean;
  readonly output?: string;
}

const blockedExitCode = 1;

/** `serin upgrade plan`: shows what an upgrade would do, without doing it. */
export function upgradePlanCommand(upgrade: Command, context: CliContext): void {
  // By default, the parser reads a `-f` after `upgrade plan` as a flag of `upgrade`.
  upgrade.enablePositionalOptions();
  upgrade
    .command("plan")
    .description(
      "show what an upgrade would change, which workloads it affects, and what blocks it; the command writes nothing",
    )
    .requiredOption("-f, --filename <file>", "the MeshUpgrade as YAML; - is standard input")
    .option("--from-release <release>", "the directory of the old release, or a version that the lab has")
    .option("--to-release <release>", "the directory of the new release, or a version that the lab has")
    .option("--diff", "show every changed field of the rendered objects")
    .option("--strict", "fail on warnings, and on parts that could not be compared")
    .option("--json", "print the plan as JSON, for pipelines")
    .option("-o, --output <format>", "json prints the plan as JSON, like --json")
    .addHelpText("after", helpText)
    .action(async (flags: PlanFlags) => await plan(flags, context));
}

const helpText = `
Exit codes: 0 nothing blocks the upgrade (with --strict: and there are no warnings), 1 something blocks it, 2 the plan
could not be made, 64 a flag is wrong.
`;

async function plan(flags: PlanFlags, context: CliContext): Promise<void> {
  const isJson = flags.json === true || flags.output === "json";
  if (flags.output !== undefined && flags.output !== "json")
    throw userError("argument-invalid", `-o ${flags.output} is not supported: expected json`);
  const upgrade = await readUpgrade(flags.filename, context);
  const report = await reportOf(upgrade, flags, context).catch((error: unknown) => {
    // After an interruption, the error is only a consequence.
    throw context.signal.aborted ? new Interruption("the plan was interrupted") : error;
  });
  context.out(
    isJson
      ? jsonText(report)
      : planText(report, { colour: context.colour, diff: flags.diff === true, columns: context.columns() }),
  );
  const fails =
    report.verdict === "blocked" ||
    (flags.strict === true && (report.verdict === "warnings" || report.notCompared.length > 0));
  if (fails) throw new CommandEnd("problem-found", blockedExitCode);
}

async function reportOf(
  { planned, object }: ReadUpgrade,
  flags: PlanFlags,
  context: CliContext,
): Promise<PreflightReport> {
  const { previewUpgrade } = context;
  const { preflight } = await import("../../preflight/index.ts");
  return await preflight({
    client: await context.connect(flags),
    kubeConfig: await context.kubeConfig(flags),
    upgrade: planned,
    ...(previewUpgrade === undefined ? {} : { preview: async () => await previewUpgrade(flags, object) }),
    releases: await releaseFinder(flags, context),
    env: context.env,
    clock: context.clock,
    log: createLogger({ scope: "plan", level: "warn" }),
    signal: context.signal,
    progress: (text) => context.waiting("", text),
  });
}

interface ReadUpgrade {
  readonly planned: PlannedUpgrade;
  readonly object: MeshUpgrade;
}

async function readUpgrade(file: string, context: CliContext): Promise<ReadUpgrade> {
  const objects = (await readYaml(file, context)).filter(({ kind }) => kind === "MeshUpgrade");
  const [object, ...others] = objects;
  const source = sourceName(file);
  if (object === undefined)
    throw userError("file-invalid", `${source} contains no MeshUpgrade`, {
      hint: "a file of apiVersion: rollout.serin.dev/v1alpha1, kind: MeshUpgrade; docs/mesh-upgrade.md has one",
    });
  if (others.length > 0)
    throw userError(
      "file-invalid",
      `${source} contains ${objects.length} MeshUpgrades: ${objects.map(({ metadata }) => metadata?.name ?? "").join(", ")}`,
      { hint: "put each into its own file" },
    );
  const { value, errors, warnings } = parseMeshUpgrade(object);
  if (value === undefined) throw userError("rollout-invalid", formatIssuesOf(source, errors));
  for (const warning of warnings) context.err(`! ${source}: ${formatIssues([warning])}\n`);
  return { planned: plannedUpgrade(object, value), object: value };
}

/**
 * The fields of the upgrade that a plan reads. `installs` has the specs as the file states them, because each release
 * parses them itself. `cni` is the parsed spec of the CNI agent. Fields that it lacks come from the other specs.
 */
export function plannedUpgrade(object: UntypedObject, { metadata, spec }: MeshUpgrade): PlannedUpgrade {
  const { to } = object["spec"] as { readonly to?: { readonly install?: readonly unknown[] } };
  return {
    name: metadata.name ?? "",
    from: spec.from.revision,
    to: spec.to.revision,
    installs: to?.install ?? [],
    ...(spec.to.cni === undefined ? {} : { cni: spec.to.cni }),
    ...(spec.to.root === undefined ? {} : { rootSecret: spec.to.root.secretName }),
    scope: spec.scope,
    waves: spec.waves,
    ztunnel: spec.ztunnel,
    gatewayWeights: spec.gateways.weights,
    waypointWeights: spec.waypoints.weights,
    soakSeconds: spec.soakSeconds,
  };
}

/**
 * Returns a function that finds a release: the directory in the flags, else the lab's directory for the version, else
 * this release if it has the version.
 */
async function releaseFinder(flags: PlanFlags, context: CliContext): Promise<ReleaseFinder> {
  const { openRelease } = await import("../../preflight/index.ts");
  return async (side, version): Promise<Release | undefined> => {
    const [flag, given] = side === "from" ? ["--from-release", flags.fromRelease] : ["--to-release", flags.toRelease];
    if (given !== undefined)
      return await openRelease(flag, existsSync(given) ? given : await labTree(flag, given, flags, context));
    const wanted = version ?? (side === "to" ? context.version : undefined);
    if (wanted === undefined) return undefined;
    const directory = await context.releaseTree(wanted, flags);
    return directory === undefined ? undefined : await openRelease(flag, directory);
  };
}

async function labTree(flag: string, version: string, flags: PlanFlags, context: CliContext): Promise<string> {
  const directory = await context.releaseTree(version, flags);
  if (directory !== undefined) return directory;
  throw userError("release-missing", `${flag}: "${version}" is neither a directory nor a release that this lab has`, {
    hint: "serin release list shows the lab's releases; serin release build DIR --version VERSION builds one",
  });
}
