import type { Command } from "commander";
import { formatIssuesOf, type KindDefinition } from "../../api/index.ts";
import {
  checkDefaults,
  checkKind,
  checkTypes,
  explainCheck,
  parseCheck,
  type CheckSpec,
  type CheckType,
} from "../../api/serin/index.ts";
import { jsonText, nearestName, SerinError, toSerinError, userError } from "../../base/index.ts";
import { daemonSetKind, deploymentKind, podKind, serviceKind, statefulSetKind } from "../../api/kubernetes/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import { CommandEnd } from "../command-end.ts";
import type { CheckedBackend, CliContext, ConnectionFlags } from "../context.ts";
import { sourceName } from "../user-file.ts";
import { connectionFlags } from "../flags.ts";
import { parseOneObject } from "./rollout-objects.ts";

interface ExplainFlags extends ConnectionFlags {
  readonly filename?: string;
  readonly namespace?: string;
}

/** `serin check`: shows checks, and tries them outside a rollout. */
export function checkCommands(program: Command, context: CliContext): void {
  const check = program.command("check").description("explain, run or list the checks that judge rollouts");
  flags(
    check
      .command("explain [check]")
      .description("explain a check in words: a built-in type, a Check of the cluster, or a Check of a file"),
  ).action(async (subject: string | undefined, options: ExplainFlags) => {
    const type = checkTypes.find((known) => known === subject);
    const isIncomplete = options.filename === undefined && type !== undefined && defaultOf(type) === undefined;
    const lines = isIncomplete ? explainIncomplete(type) : explainCheck(await specOf(subject, options, context));
    context.out(`${lines.join("\n")}\n`);
  });
  flags(
    check
      .command("run [check]")
      .description(
        "run a check now, outside any rollout; the exit code is 0 for a pass, 1 for a failure, 4 for no result yet",
      ),
  )
    .option(
      "--canary <service>",
      "the Service of the canary: SERVICE, NAMESPACE/SERVICE in another namespace, or workload:NAME for a Deployment (default: the whole mesh)",
    )
    .option("--stable <service>", "the backend to compare the canary with, in the same form")
    .option("--within <seconds>", "how long to wait for a result", "30")
    .option("--json", "print the verdict as JSON")
    .action(async (subject: string | undefined, options: RunFlags) => await runCheck(subject, options, context));
  check
    .command("types")
    .alias("list")
    .description("list the built-in checks")
    .action(() => {
      for (const type of checkTypes) {
        const spec = defaultOf(type) ?? { ...checkDefaults, type };
        context.out(`${type.padEnd(22)} ${explainCheck(spec)[0] ?? ""}\n`);
      }
    });
}

interface RunFlags extends ExplainFlags {
  readonly canary?: string;
  readonly stable?: string;
  readonly within: string;
  readonly json?: boolean;
}

const exitCodes = { pass: 0, fail: 1, wait: 4, error: 4 } as const;

async function runCheck(subject: string | undefined, options: RunFlags, context: CliContext): Promise<void> {
  const within = Number(options.within);
  if (!(within > 0 && within <= maxWithinSeconds))
    throw userError(
      "argument-invalid",
      `--within must be a number of seconds from 1 to ${maxWithinSeconds}, got "${options.within}"`,
    );
  const spec = await specOf(subject, options, context);
  const home = options.namespace ?? (await context.defaultNamespace(options));
  if (context.runCheck === undefined) throw userError("check-unavailable", "checks cannot be run here");
  const canary = options.canary === undefined ? undefined : backendOf(options.canary, home);
  const stable = options.stable === undefined ? undefined : backendOf(options.stable, home);
  if (canary !== undefined || stable !== undefined) {
    const client = await context.connect(options);
    if (canary !== undefined) await checkBackend(client, "--canary", canary);
    if (stable !== undefined) await checkBackend(client, "--stable", stable);
  }
  const { statistic: _, ...status } = await context.runCheck(options, {
    spec,
    ...(canary === undefined ? {} : { canary }),
    ...(stable === undefined ? {} : { stable }),
    withinMs: within * 1000,
  });
  context.out(options.json === true ? jsonText(status) : `${status.verdict}: ${status.evidence}\n`);
  const code = exitCodes[status.verdict];
  if (code !== 0) throw new CommandEnd("problem-found", code);
}

const maxWithinSeconds = 86_400;

/** Parses a backend: `reviews`, `shop/reviews`, `workload:reviews-v2` or `workload:shop/reviews-v2`. */
function backendOf(text: string, home: string): CheckedBackend {
  const kind = text.startsWith("workload:") ? "workload" : "service";
  const [first = "", second] = text.slice(kind === "workload" ? "workload:".length : 0).split("/");
  return { namespace: second === undefined ? home : first, [kind]: second ?? first };
}

const workloadKinds: readonly KindDefinition[] = [deploymentKind, statefulSetKind, daemonSetKind];

/**
 * Throws if a backend does not exist, because it would never produce a sample. Accepts a backend that the user may not
 * read.
 */
async function checkBackend(
  client: KubeClient,
  flag: string,
  { namespace, service, workload = "" }: CheckedBackend,
): Promise<void> {
  try {
    if (service !== undefined) {
      if ((await client.get(serviceKind, service, namespace)) !== undefined) return;
    } else {
      for (const kind of workloadKinds) if ((await client.get(kind, workload, namespace)) !== undefined) return;
      // The names of pods of other controllers, such as Argo Rollouts', begin with the name of their workload.
      const { items } = await client.list(podKind, { namespace });
      if (items.some(({ metadata }) => metadata.name?.startsWith(`${workload}-`))) return;
    }
  } catch (error) {
    if (isKubeCode(error, "forbidden")) return;
    throw error;
  }
  throw userError(
    "not-found",
    service === undefined
      ? `${flag}: there is no workload "${workload}" in namespace ${namespace}`
      : `${flag}: there is no Service "${service}" in namespace ${namespace}`,
    {
      hint: `${flag} takes SERVICE, NAMESPACE/SERVICE or workload:NAME. kubectl get services,deployments -A lists them`,
    },
  );
}

function flags(command: Command): Command {
  return connectionFlags(
    command
      .option("-f, --filename <file>", "a Check as YAML; - is standard input")
      .option(
        "-n, --namespace <namespace>",
        "the namespace of a Check of the cluster (default: the namespace of the kubeconfig's context)",
      ),
  );
}

/** A check of the type with all defaults. Undefined if the type has fields without a default. */
function defaultOf(type: string): CheckSpec | undefined {
  return parseCheck({ metadata: { name: "check" }, spec: { type } }).value?.spec;
}

/** Explains a type that has fields without a default, so that its name alone makes no check. */
function explainIncomplete(type: CheckType): readonly string[] {
  return [...explainCheck({ ...checkDefaults, type }), `Needs the field ${type} of a Check: ${furtherFields}.`];
}

const furtherFields = "write the Check into a file, and name it by -f (docs/checks.md has examples)";

async function specOf(subject: string | undefined, options: ExplainFlags, context: CliContext): Promise<CheckSpec> {
  if (options.filename !== undefined)
    return parsed(
      sourceName(options.filename),
      parseOneObject(options.filename, await context.readFile(options.filename)),
    );
  if (subject === undefined)
    throw userError("argument-missing", "a check needs a type, a name or a file", {
      hint: `the types are ${checkTypes.join(", ")}`,
    });
  if (checkTypes.some((type) => type === subject)) {
    const builtIn = defaultOf(subject);
    if (builtIn !== undefined) return builtIn;
    throw userError("argument-invalid", `a check of type ${subject} needs the field ${subject} beside its type`, {
      hint: furtherFields,
    });
  }
  const { namespace, found } = await lookedUp(subject, options, context);
  if (found === undefined)
    throw userError(
      "not-found",
      `neither a built-in check nor a Check in namespace ${namespace} has the name "${subject}"`,
      { hint: builtInHint(subject) },
    );
  return parsed(`Check ${namespace}/${subject}`, found);
}

/**
 * Reads the Check from the cluster. If the cluster does not answer, the name may be that of a Check, or a built-in
 * check with a spelling mistake. The error then mentions both, and keeps the kind and code of its cause.
 */
async function lookedUp(
  subject: string,
  options: ExplainFlags,
  context: CliContext,
): Promise<{ readonly namespace: string; readonly found: unknown }> {
  try {
    const client = await context.connect(options);
    const namespace = options.namespace ?? (await context.defaultNamespace(options));
    return { namespace, found: await client.get(checkKind, subject, namespace) };
  } catch (error) {
    const { kind, code, message, hint, reason, retryAfterMs } = toSerinError(error);
    const hints = [builtInHint(subject), hint].filter((text) => text !== undefined);
    throw new SerinError(
      kind,
      code,
      `no built-in check has the name "${subject}", and a Check of the cluster cannot be looked up: ${message}`,
      {
        hint: hints.join("; "),
        ...(reason === undefined ? {} : { reason }),
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      },
    );
  }
}

function builtInHint(subject: string): string {
  const near = nearestName(subject, checkTypes);
  return `${near === undefined ? "" : `did you mean ${near}? `}built-in checks: ${checkTypes.join(", ")}`;
}

function parsed(origin: string, raw: unknown): CheckSpec {
  const { value, errors } = parseCheck(raw);
  if (value === undefined) throw userError("rollout-invalid", formatIssuesOf(origin, errors));
  return value.spec;
}
