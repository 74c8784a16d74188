import type { Command } from "commander";
import { logLevels, transientError, userError } from "../../base/index.ts";
import { podKind, type Pod } from "../../api/kubernetes/index.ts";
import type { CliContext } from "../context.ts";
import { istioNamespaceOf, type CommonFlags } from "../flags.ts";
import { outputFormat, renderValue } from "../terminal/output.ts";
import { findPods, isRunning } from "./pods.ts";
import { adminPortFlag, parseAdminJson } from "./proxy-admin.ts";
import { fittedTable } from "../terminal/fitted-table.ts";
import {
  certificateSection,
  connectionSection,
  parseZtunnelDump,
  policySection,
  serviceSection,
  workloadSection,
  type DumpFilter,
  type DumpSection,
  type ZtunnelDump,
} from "../../proxy-dump/index.ts";

interface ZtunnelFlags extends CommonFlags {
  readonly namespace: string;
  readonly node?: string;
  readonly file?: string;
  readonly workloadNamespace?: string;
  readonly serviceNamespace?: string;
  readonly policyNamespace?: string;
  readonly workloadNode?: string;
  readonly address?: string;
  readonly direction?: string;
  readonly raw?: boolean;
  readonly withHeaders?: boolean;
  readonly reset?: boolean;
  readonly proxyAdminPort: number;
  readonly output: string;
  readonly level?: string;
}

type Section = (dump: ZtunnelDump, filter: DumpFilter) => DumpSection;

type Flag = readonly [flags: string, text: string];
const workloadNamespace: Flag = ["--workload-namespace <namespace>", "show only entries of this namespace"];

const sections: readonly {
  readonly verb: string;
  readonly aliases: readonly string[];
  readonly text: string;
  readonly tableOf: Section;
  readonly flags: readonly Flag[];
}[] = [
  {
    verb: "workload",
    aliases: ["workloads", "w"],
    text: "show the workloads that the ztunnel knows; with the name of a workload's pod, show only this pod",
    tableOf: workloadSection,
    flags: [
      workloadNamespace,
      ["--workload-node <node>", "show only workloads on this node"],
      ["--address <address>", "show only the workload with this address"],
    ],
  },
  {
    verb: "service",
    aliases: ["services", "s", "svc"],
    text: "show the services that the ztunnel knows, with their healthy endpoints",
    tableOf: serviceSection,
    flags: [workloadNamespace, ["--service-namespace <namespace>", "show only services of this namespace"]],
  },
  {
    verb: "policy",
    aliases: ["policies", "p", "pol"],
    text: "show the authorization policies that the ztunnel enforces",
    tableOf: policySection,
    flags: [workloadNamespace, ["--policy-namespace <namespace>", "show only policies of this namespace"]],
  },
  {
    verb: "certificate",
    aliases: ["certificates", "certs", "cert"],
    text: "show the certificates that the ztunnel holds for its pods",
    tableOf: certificateSection,
    flags: [workloadNamespace],
  },
  {
    verb: "connections",
    aliases: ["cons"],
    text: "show the open connections of the ztunnel; with the name of a workload's pod, show only its connections",
    tableOf: connectionSection,
    flags: [
      workloadNamespace,
      ["--direction <direction>", "show only inbound or outbound connections"],
      ["--raw", "show addresses instead of names"],
    ],
  },
];

/** `ztunnel-config …`: shows the answers of a ztunnel's admin port in istioctl's columns. */
export function ztunnelConfigCommands(program: Command, context: CliContext): void {
  const parent = program
    .command("ztunnel-config")
    .alias("zc")
    .description(
      "show the configuration of a ztunnel: the named one, that of the named pod's node, or that of --node; else of the first ztunnel that runs",
    );
  for (const { verb, aliases, text, tableOf, flags: own } of sections) {
    const command = withDumpFlags(
      parent
        .command(`${verb} [pod]`)
        .aliases([...aliases])
        .description(text),
    );
    for (const [flag, meaning] of own) command.option(flag, meaning);
    command.action(async (pod: string | undefined, flags: ZtunnelFlags) => {
      const { dump, workload } = await readDump(pod, flags, context);
      const section = tableOf(dump, {
        ...filterOf(flags, context),
        ...(workload === undefined ? {} : { pod: workload }),
      });
      await print(flags, context, section.raw, () =>
        fittedTable(section.header, section.rows, { columns: context.columns() }),
      );
    });
  }
  withDumpFlags(parent.command("all [pod]").description("show all of these tables"))
    .option(...workloadNamespace)
    .option("--with-headers", "print a title line before each table")
    .action(async (pod: string | undefined, flags: ZtunnelFlags) => {
      const { dump } = await readDump(pod, flags, context);
      const title = (verb: string): string =>
        flags.withHeaders === true ? `------ ${verb.toUpperCase()} INFO ------\n\n` : "";
      const tables = (): string[] =>
        sections
          .map(({ verb, tableOf }) => ({ verb, ...tableOf(dump, filterOf(flags, context)) }))
          .map(
            ({ verb, header, rows }) => `${title(verb)}${fittedTable(header, rows, { columns: context.columns() })}`,
          );
      await print(flags, context, dump, () => tables().join("\n"));
    });
  withTarget(
    parent
      .command("log [pod]")
      .alias("o")
      .description("show the log level of one ztunnel or of all; --level changes it until the ztunnel restarts"),
  )
    .option("--level <level>", logLevels.join(", "))
    .option("-r, --reset", "reset the level to info")
    .action(async (pod: string | undefined, flags: ZtunnelFlags) => await log(pod, flags, context));
}

function withTarget(command: Command): Command {
  return command
    .option("-n, --namespace <namespace>", "the namespace of the ztunnels", "istio-system")
    .option("--node <node>", "the ztunnel of this node")
    .option(...adminPortFlag);
}

function withDumpFlags(command: Command): Command {
  return withTarget(command)
    .option("-o, --output <format>", "short, json or yaml", "short")
    .option("-f, --file <file>", "read a saved response of /config_dump instead of a pod's; - is standard input");
}

function filterOf(flags: ZtunnelFlags, { clock }: CliContext): DumpFilter {
  const { address, workloadNode: node, direction, raw } = flags;
  const namespace = flags.workloadNamespace ?? flags.serviceNamespace ?? flags.policyNamespace;
  if (direction !== undefined && direction !== "inbound" && direction !== "outbound")
    throw userError("argument-invalid", `--direction ${direction} is unknown: expected inbound or outbound`);
  return {
    nowMs: clock.nowMs(),
    ...(namespace === undefined ? {} : { namespace }),
    ...(address === undefined ? {} : { address }),
    ...(node === undefined ? {} : { node }),
    ...(direction === undefined ? {} : { direction }),
    ...(raw === undefined ? {} : { raw }),
  };
}

async function print(
  { output }: ZtunnelFlags,
  context: CliContext,
  value: unknown,
  table: () => string,
): Promise<void> {
  const format = outputFormat(output);
  context.out(format === "table" ? table() : await renderValue(value, format));
}

interface ReadDump {
  readonly dump: ZtunnelDump;
  /** Set if the user named a pod that is not a ztunnel. */
  readonly workload?: { readonly name: string; readonly namespace: string };
}

async function readDump(pod: string | undefined, flags: ZtunnelFlags, context: CliContext): Promise<ReadDump> {
  outputFormat(flags.output);
  filterOf(flags, context);
  const given = [pod, flags.node, flags.file].filter((part) => part !== undefined);
  if (given.length > 1)
    throw userError("arguments-conflict", "a pod, --node and --file exclude each other: pass one of them");
  if (flags.file !== undefined) {
    const text = await context.readFile(flags.file);
    return { dump: parseZtunnelDump(parseAdminJson(text, flags.file), flags.file) };
  }
  const [target] = await targets(pod, flags, context);
  if (target === undefined) throw noZtunnel(flags.namespace, flags.node);
  const where = "the ztunnel's answer";
  const dump = parseZtunnelDump(parseAdminJson(await ask(target, "GET", "/config_dump", flags, context), where), where);
  return target.workload === undefined ? { dump } : { dump, workload: target.workload };
}

async function log(pod: string | undefined, flags: ZtunnelFlags, context: CliContext): Promise<void> {
  if (flags.reset === true && flags.level !== undefined)
    throw userError("arguments-conflict", "--level cannot be combined with --reset");
  const level = flags.reset === true ? "info" : flags.level === "warning" ? "warn" : flags.level;
  if (level !== undefined && !logLevels.some((known) => known === level))
    throw userError("argument-invalid", `--level ${level} is unknown: expected one of ${logLevels.join(", ")}`);
  const found = await targets(pod, flags, context);
  if (found.length === 0) throw noZtunnel(flags.namespace, flags.node);
  const [other] = found.flatMap(({ workload }) => workload ?? []);
  if (other !== undefined)
    throw userError("argument-invalid", `pod ${other.name}.${other.namespace} is not a ztunnel`, {
      hint: `kubectl get pods -A -l ${ztunnelLabel}`,
    });
  for (const target of found) {
    const answer = await ask(
      target,
      "POST",
      level === undefined ? "/logging" : `/logging?level=${level}`,
      flags,
      context,
    );
    context.out(`${target.pod}.${target.namespace}:\n${answer.trim()}\n`);
  }
}

interface Target {
  readonly namespace: string;
  readonly pod: string;
  /** The pod whose traffic this ztunnel carries. Set if the user named this pod instead of the ztunnel. */
  readonly workload?: { readonly name: string; readonly namespace: string };
}

const ztunnelLabel = "app=ztunnel";

/**
 * The ztunnel that the text names, or the one on the node of the pod that it names. Without a text, the ztunnel on
 * `--node`, else all running ztunnels, sorted by name.
 */
async function targets(named: string | undefined, flags: ZtunnelFlags, context: CliContext): Promise<Target[]> {
  const { namespace, node } = flags;
  if (named === undefined || /^(ds|daemonset)\//.test(named))
    return await ztunnels({ namespace, node }, flags, context);
  const [pod] = await findPods(await context.connect(flags), named, flags, context);
  if (pod === undefined) return [];
  const workload = { name: pod.metadata.name ?? "", namespace: pod.metadata.namespace ?? namespace };
  if (isZtunnel(pod)) return [{ pod: workload.name, namespace: workload.namespace }];
  const where = { namespace: istioNamespaceOf(flags), node: nodeOf(pod) };
  const [ztunnel] = await ztunnels(where, flags, context);
  if (ztunnel === undefined) throw noZtunnel(where.namespace, where.node);
  return [{ ...ztunnel, workload }];
}

async function ztunnels(
  { namespace, node }: { readonly namespace: string; readonly node: string | undefined },
  flags: ZtunnelFlags,
  context: CliContext,
): Promise<Target[]> {
  const client = await context.connect(flags);
  const { items } = await client.list(podKind, { namespace, labelSelector: ztunnelLabel });
  return items
    .filter((item) => isRunning(item) && (node === undefined || item.spec?.nodeName === node))
    .map(({ metadata }) => ({ pod: metadata.name ?? "", namespace: metadata.namespace ?? namespace }))
    .toSorted((a, b) => (a.pod < b.pod ? -1 : 1));
}

/** Whether a pod is a ztunnel. As in istioctl, the label `app` decides, and the name of a pod without this label. */
function isZtunnel({ metadata: { name = "", labels = {} } }: Pod): boolean {
  return labels["app"] === undefined ? name.startsWith("ztunnel") : labels["app"] === "ztunnel";
}

function nodeOf({ metadata: { name = "", namespace = "" }, spec }: Pod): string {
  if (spec?.nodeName !== undefined) return spec.nodeName;
  throw userError("pod-not-running", `pod ${name}.${namespace} is not scheduled to a node`, {
    hint: `kubectl -n ${namespace} describe pod ${name}`,
  });
}

function noZtunnel(namespace: string, node: string | undefined): Error {
  return userError(
    "no-ztunnel",
    `no ztunnel runs in the namespace ${namespace}${node === undefined ? "" : ` on the node ${node}`}`,
    {
      hint: "kubectl get pods -A -l app=ztunnel; use -n for another namespace",
    },
  );
}

async function ask(
  { namespace, pod }: Target,
  method: string,
  path: string,
  flags: ZtunnelFlags,
  context: CliContext,
): Promise<string> {
  const { status, text } = await context.requestOfPod(flags, {
    namespace,
    pod,
    port: flags.proxyAdminPort,
    method,
    path,
  });
  if (status !== 200)
    throw transientError(
      "ztunnel-refused",
      `${pod}.${namespace} answered ${status} for ${method} ${path}: ${text.trim().slice(0, 200)}`,
    );
  return text;
}
