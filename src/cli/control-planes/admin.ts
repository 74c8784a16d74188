import type { Command } from "commander";
import { logLevels, nearestName, transientError, userError } from "../../base/index.ts";
import { paint } from "../terminal/colour.ts";
import type { CliContext } from "../context.ts";
import { portFlag, revisionFlag, type CommonFlags } from "../flags.ts";
import { outputFormat, renderValue } from "../terminal/output.ts";
import { listPilotsOf, noPilots, type Pilot } from "./pilots.ts";
import { fittedTable } from "../terminal/fitted-table.ts";

interface LogFlags extends CommonFlags {
  readonly revision?: string;
  readonly level?: string;
  readonly reset?: boolean;
  readonly logReset?: boolean;
  readonly output?: string;
  readonly ctrlz_port: number;
}

/** A logging scope, as istiod's ControlZ reports it. */
interface Scope {
  readonly name: string;
  readonly description?: string;
  readonly output_level: string;
  readonly stack_trace_level?: string;
}

const controlPort = 9876;
const defaultLevel = "info";
/** The levels of Serin, and those that only upstream's istiod has. */
const levels = [...logLevels, "fatal", "none"];

export function adminCommands(program: Command, context: CliContext): void {
  const admin = program.command("admin").alias("istiod").description("show or change the log levels of control planes");
  revisionFlag(admin.command("log [istiod]").alias("l"))
    .description("show the log level of a control plane; --level changes it until the control plane restarts")
    .option(
      "--level <levels>",
      `<level>, or <scope>:<level>, several separated by commas; levels are ${logLevels.join(", ")}`,
    )
    .option("--reset", `reset the level to ${defaultLevel}`)
    .option("--log-reset", `reset the level to ${defaultLevel}`)
    .option("--ctrlz_port <port>", "the ControlZ port of istiod", portFlag, controlPort)
    .option("-o, --output <format>", "json, yaml or short", "short")
    .action(async (name: string | undefined, flags: LogFlags) => await log(name, flags, context));
}

async function log(name: string | undefined, flags: LogFlags, context: CliContext): Promise<void> {
  const resets = flags.reset === true || flags.logReset === true;
  if (resets && flags.level !== undefined)
    throw userError("arguments-conflict", "--level cannot be combined with --reset");
  const format = outputFormat(flags.output);
  const wanted = parseLevels(flags.level);
  const client = await context.connect(flags);
  const pilots = await listPilotsOf(client, flags.revision);
  if (pilots.length === 0) throw await noPilots(client, context.programName);
  const pilot = pilotNamed(name, pilots);
  const scopes = await readScopes(pilot, flags, context);
  const changes = resets
    ? scopes.map((scope) => ({ scope: scope.name, level: defaultLevel }))
    : wanted.flatMap((change) => ofScopes(change, scopes));
  for (const { scope, level } of changes)
    await ask(
      pilot,
      { method: "PUT", path: `/scopej/${scope}`, body: JSON.stringify({ name: scope, output_level: level }) },
      flags,
      context,
    );
  if (changes.length > 0) return;
  const shown = scopes.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  if (format !== "table")
    context.out(
      await renderValue(
        shown.map((scope) => ({
          scope_name: scope.name,
          log_level: scope.output_level,
          stack_trace_level: scope.stack_trace_level ?? "none",
          description: scope.description ?? "",
        })),
        format,
      ),
    );
  else
    context.out(
      fittedTable(
        ["ACTIVE SCOPE", "DESCRIPTION", "LOG LEVEL", "STACK TRACE LEVEL"],
        shown.map((scope) => [
          scope.name,
          scope.description ?? "",
          scope.output_level,
          scope.stack_trace_level ?? "none",
        ]),
        {
          columns: context.columns(),
          style: (cell) => (cell === "debug" ? paint(context, "yellow", cell) : cell),
        },
      ),
    );
}

function pilotNamed(name: string | undefined, pilots: readonly Pilot[]): Pilot {
  const [pod = "", namespace] = (name ?? "").split(".");
  const found =
    name === undefined
      ? pilots[0]
      : pilots.find((pilot) => pilot.pod === pod && (namespace === undefined || pilot.namespace === namespace));
  if (found !== undefined) return found;
  const names = pilots.map((pilot) => pilot.pod);
  const near = nearestName(pod, names);
  throw userError(
    "object-missing",
    `there is no istiod "${pod}"${near === undefined ? "" : `; did you mean ${near}?`}`,
    {
      hint: `running control planes: ${names.join(", ")}`,
    },
  );
}

async function readScopes(pilot: Pilot, flags: LogFlags, context: CliContext): Promise<readonly Scope[]> {
  return JSON.parse(await ask(pilot, { method: "GET", path: "/scopej/" }, flags, context)) as readonly Scope[];
}

interface LevelChange {
  /** Undefined means all scopes. */
  readonly scope: string | undefined;
  readonly level: string;
}

function parseLevels(text: string | undefined): readonly LevelChange[] {
  return (text ?? "")
    .split(",")
    .filter((part) => part !== "")
    .map((part) => {
      const [, scope, level = ""] = /^(?:([^:=]+)[:=])?([^:=]*)$/.exec(part) ?? [];
      if (levels.includes(level)) return { scope: scope === "all" ? undefined : scope, level };
      const near = nearestName(level, logLevels);
      throw userError(
        "argument-invalid",
        `--level: "${part}" is not a known level${near === undefined ? "" : `; did you mean ${near}?`}`,
        { hint: `levels are ${logLevels.join(", ")}` },
      );
    });
}

/** One change for each scope. Only the control plane knows which scopes exist. */
function ofScopes(
  { scope, level }: LevelChange,
  scopes: readonly Scope[],
): readonly { readonly scope: string; readonly level: string }[] {
  const known = scopes.map(({ name }) => name);
  if (scope === undefined) return known.map((name) => ({ scope: name, level }));
  if (known.includes(scope)) return [{ scope, level }];
  const near = nearestName(scope, known);
  throw userError(
    "argument-invalid",
    `there is no scope "${scope}"${near === undefined ? "" : `; did you mean ${near}?`}`,
    {
      hint:
        known.length === 1
          ? `this control plane has only the scope ${known.join("")}: --level ${level}`
          : `scopes are ${known.join(", ")}`,
    },
  );
}

interface AdminRequest {
  readonly method: "GET" | "PUT";
  readonly path: string;
  readonly body?: string;
}

async function ask(
  { pod, namespace }: Pilot,
  request: AdminRequest,
  flags: LogFlags,
  context: CliContext,
): Promise<string> {
  const answer = await context.requestOfPod(flags, { namespace, pod, port: flags.ctrlz_port, ...request });
  if (answer.status >= 300)
    throw transientError(
      "admin-refused",
      `${pod}.${namespace} answered ${answer.status} for ${request.method} ${request.path}: ${answer.text.trim().slice(0, 200)}`,
    );
  return answer.text;
}
