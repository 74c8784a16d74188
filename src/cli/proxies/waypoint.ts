import type { Command } from "commander";
import { istioLabels } from "../../api/istio/index.ts";
import { messageOf, transientError, userError } from "../../base/index.ts";
import { gatewayKind, storedGateway, type Gateway } from "../../api/gateway/index.ts";
import { namespaceKind, podKind, type Namespace } from "../../api/kubernetes/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import { findPodObstacle, refusedPods, type RefusedWorkload } from "../../kube/obstacles/index.ts";
import type { CliContext } from "../context.ts";
import { durationOption, namespaceOf, revisionFlag, type CommonFlags } from "../flags.ts";
import { outputFormat, renderValue } from "../terminal/output.ts";
import { fittedTable } from "../terminal/fitted-table.ts";
import { renderTable } from "../terminal/table.ts";

interface WaypointFlags extends CommonFlags {
  readonly name: string;
  readonly for?: string;
  readonly revision?: string;
  readonly enrollNamespace?: boolean;
  readonly overwrite?: boolean;
  readonly wait?: boolean;
  readonly waypointTimeout: number;
  readonly all?: boolean;
  readonly allNamespaces?: boolean;
  readonly dryRun?: boolean;
  readonly output?: string;
}

const waypointClass = "istio-waypoint";
const trafficTypes = ["all", "none", "service", "workload"];
const defaultName = "waypoint";
const fieldManager = "istioctl";
const pollMs = 250;
const tellAfterMs = 1_000;

export function waypointCommands(program: Command, context: CliContext): void {
  const parent = program
    .command("waypoint")
    .description("manage waypoints, the L7 proxies of ambient namespaces, services and pods");
  madeFlags(parent.command("generate").description("print the Gateway of a waypoint as YAML")).action(
    async (flags: WaypointFlags) => {
      checkWaypoint(flags);
      context.out(await renderValue(waypointGateway(flags.namespace, flags), "yaml"));
    },
  );
  waitFlags(
    madeFlags(parent.command("apply").description("create or change a waypoint")),
    "wait until the waypoint is ready",
  )
    .option("--enroll-namespace", "label the namespace, so that its workloads use the waypoint")
    .option("--overwrite", "enroll the namespace even if it uses another waypoint")
    .option("--dry-run", "print the changes, and write nothing")
    .action(async (flags: WaypointFlags) => await apply(flags, context));
  revisionFlag(
    nameFlag(
      parent
        .command("delete [names...]")
        .description("delete waypoints by name, all waypoints of a namespace, or the waypoints of a revision"),
    ),
  )
    .option("--all", "delete every waypoint of the namespace")
    .option("--dry-run", "print the objects that would be removed, and remove nothing")
    .action(async (names: readonly string[], flags: WaypointFlags) => await remove(names, flags, context));
  nameFlag(parent.command("list").description("list the waypoints, with their Programmed condition"))
    .option("-A, --all-namespaces", "list the waypoints of all namespaces")
    .option("-o, --output <format>", "json, yaml or table", "table")
    .action(async (flags: WaypointFlags) => await list(flags, context));
  waitFlags(
    nameFlag(parent.command("status").description("show the conditions of the waypoints")),
    "wait until the waypoints are programmed (default)",
  )
    .option("--no-wait", "do not wait")
    .option("-A, --all-namespaces", "list the waypoints of all namespaces")
    .action(async (flags: WaypointFlags) => await status(flags, context));
}

function nameFlag(command: Command): Command {
  return command.option("--name <name>", "the waypoint's name", defaultName);
}

function madeFlags(command: Command): Command {
  return revisionFlag(nameFlag(command)).option(
    "--for <type>",
    `the traffic that the waypoint handles: ${trafficTypes.join(", ")} (default: the control plane decides)`,
  );
}

function waitFlags(command: Command, text: string): Command {
  return command
    .option("-w, --wait", text)
    .addOption(durationOption("--waypoint-timeout <time>", "how long to wait", "90s"));
}

/** Throws for flags that no waypoint can have, before the kubeconfig and the cluster are read. */
function checkWaypoint({ name, for: type }: WaypointFlags): void {
  if (name === "none")
    throw userError("argument-invalid", "invalid name provided for waypoint, 'none' is a reserved value");
  if (type !== undefined && !trafficTypes.includes(type))
    throw userError("argument-invalid", `--for must be one of ${trafficTypes.join(", ")}, got "${type}"`);
}

/** The Gateway of a waypoint with these flags, which {@link checkWaypoint} has checked. */
function waypointGateway(namespace: string | undefined, flags: WaypointFlags): Gateway {
  const name = flags.name === "" ? defaultName : flags.name;
  const labels = {
    ...(flags.revision === undefined ? {} : { [istioLabels.revision]: flags.revision }),
    ...(flags.for === undefined ? {} : { [istioLabels.waypointFor]: flags.for }),
  };
  const gateway = {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "Gateway",
    metadata: {
      ...(Object.keys(labels).length === 0 ? {} : { labels }),
      name,
      ...(namespace === undefined ? {} : { namespace }),
    },
    spec: { gatewayClassName: waypointClass, listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }] },
  };
  // The object lacks fields that the type requires and the server fills in.
  return gateway as unknown as Gateway;
}

async function apply(flags: WaypointFlags, context: CliContext): Promise<void> {
  checkWaypoint(flags);
  const namespace = await namespaceOf(flags, context);
  const wanted = waypointGateway(namespace, flags);
  const client = await context.connect(flags);
  const { metadata } = await readNamespace(client, namespace);
  if (flags.enrollNamespace === true) {
    if (flags.overwrite !== true && (metadata.labels?.[istioLabels.useWaypoint] ?? "") !== "") {
      context.out(
        `⚠️ Warning: namespace (${namespace}) already has an enrolled Waypoint. Consider adding the \`--overwrite\` flag to your apply command.\n`,
      );
      return;
    }
    if (metadata.labels?.[istioLabels.dataplaneMode] !== "ambient") {
      context.out(
        `⚠️ Warning: namespace is not enrolled in ambient. Consider running\t\`kubectl label namespace ${namespace} istio.io/dataplane-mode=ambient\`\n`,
      );
    }
  }
  const name = wanted.metadata.name ?? "";
  const dryRun = flags.dryRun === true;
  const suffix = dryRun ? " (dry run)" : "";
  await client.apply(gatewayKind, wanted, { fieldManager, dryRun }).catch((cause: unknown) => {
    if (!isKubeCode(cause, "not-found")) throw cause;
    throw missingDefinitions(cause);
  });
  context.out(`✅ waypoint ${namespace}/${name} applied${suffix}\n`);
  if (flags.wait === true && !dryRun) {
    await waitUntilProgrammed(client, namespace, name, flags.waypointTimeout, context);
    context.out(`✅ waypoint ${namespace}/${name} is ready!\n`);
  }
  if (flags.enrollNamespace !== true) return;
  await client.patchMerge(
    namespaceKind,
    namespace,
    undefined,
    { metadata: { labels: { [istioLabels.useWaypoint]: name } } },
    { fieldManager, dryRun },
  );
  context.out(`✅ namespace ${namespace} labeled with "${istioLabels.useWaypoint}: ${name}"${suffix}\n`);
}

function missingDefinitions(cause: unknown): Error {
  return userError(
    "definitions-missing",
    "missing Kubernetes Gateway CRDs need to be installed before applying a waypoint",
    { cause, hint: "serin gateway-api install" },
  );
}

async function readNamespace(client: KubeClient, name: string): Promise<Namespace> {
  const found = await client.get(namespaceKind, name);
  if (found === undefined)
    throw userError("object-missing", `namespace: ${name} not found`, { hint: `kubectl create namespace ${name}` });
  return found;
}

async function waitUntilProgrammed(
  client: KubeClient,
  namespace: string,
  name: string,
  timeoutMs: number,
  { clock, signal, waiting }: CliContext,
): Promise<Gateway> {
  const beganMs = clock.nowMs();
  const subject = `waypoint ${namespace}/${name}`;
  for (;;) {
    const stored = await client.get(gatewayKind, name, namespace);
    const found = stored === undefined ? undefined : storedGateway(stored);
    if (found !== undefined && isProgrammed(found)) {
      waiting(subject, undefined);
      return found;
    }
    const conditions =
      found?.status?.conditions
        ?.map(({ type, status: state, message }) => `${type} is ${state}${message === "" ? "" : ` (${message})`}`)
        .join("; ") ?? "";
    const waitedMs = clock.nowMs() - beganMs;
    if (waitedMs >= tellAfterMs) waiting(subject, conditions === "" ? "no control plane has accepted it" : conditions);
    if (waitedMs >= timeoutMs) {
      const labelSelector = `gateway.networking.k8s.io/gateway-name=${name}`;
      const pods = await client.list(podKind, { namespace, labelSelector }).catch(() => ({ items: [] }));
      const workload: RefusedWorkload = { kind: "Deployment", namespace, name };
      const obstacle =
        (await findPodObstacle(client, pods.items).catch(() => undefined)) ??
        (await refusedPods(client, workload).catch(() => undefined));
      const why = [conditions, obstacle?.text ?? ""].filter((text) => text !== "").join("; ");
      throw transientError(
        "not-ready",
        `timed out while waiting for waypoint\t${namespace}/${name}${why === "" ? "" : `: ${why}`}`,
        {
          hint: `kubectl -n ${namespace} describe gateway ${name}; kubectl -n ${namespace} get pods -l gateway.networking.k8s.io/gateway-name=${name}`,
        },
      );
    }
    await clock.sleep(pollMs, signal);
  }
}

function isProgrammed({ status: state }: Gateway): boolean {
  return (
    state?.conditions?.some((condition) => condition.type === "Programmed" && condition.status === "True") === true
  );
}

/** The waypoints, sorted by namespace and name. Empty if the Gateway API is not installed. */
async function waypointsIn(
  client: KubeClient,
  namespace: string | undefined,
  labelSelector?: string,
): Promise<Gateway[]> {
  const options = {
    ...(namespace === undefined ? {} : { namespace }),
    ...(labelSelector === undefined ? {} : { labelSelector }),
  };
  const { items } = await client.list(gatewayKind, options).catch((cause: unknown) => {
    if (isKubeCode(cause, "not-found")) throw missingDefinitions(cause);
    throw cause;
  });
  const key = ({ metadata }: Gateway): string => `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
  return items
    .map(storedGateway)
    .filter(({ spec }) => spec.gatewayClassName === waypointClass)
    .toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}

async function remove(names: readonly string[], flags: WaypointFlags, context: CliContext): Promise<void> {
  const isMany = flags.all === true || flags.revision !== undefined;
  if (isMany && names.length > 0)
    throw userError("arguments-conflict", "cannot specify waypoint names when deleting all waypoints");
  if (!isMany && names.length === 0)
    throw userError(
      "argument-missing",
      "must specify a waypoint name or delete all using --all or delete specific revision using --revision",
      { hint: `${context.programName} waypoint list shows the waypoints of a namespace` },
    );
  const client = await context.connect(flags);
  const namespace = await namespaceOf(flags, context);
  const found = await waypointsIn(
    client,
    namespace,
    flags.revision === undefined ? undefined : `${istioLabels.revision}=${flags.revision}`,
  );
  const known = new Set(found.map(({ metadata }) => metadata.name ?? ""));
  for (const name of isMany ? known : names) {
    if (!known.has(name)) {
      context.out(`waypoint ${namespace}/${name} not found\n`);
      continue;
    }
    if (flags.dryRun !== true) await client.delete(gatewayKind, name, namespace);
    context.out(`waypoint ${namespace}/${name} deleted${flags.dryRun === true ? " (dry run)" : ""}\n`);
  }
}

async function list(flags: WaypointFlags, context: CliContext): Promise<void> {
  const format = outputFormat(flags.output, ["json", "yaml", "table"]);
  const everywhere = flags.allNamespaces === true;
  const found = await waypointsIn(
    await context.connect(flags),
    everywhere ? undefined : await namespaceOf(flags, context),
  );
  const waypoints = found.map(({ metadata: { namespace = "", name = "", labels = {} }, status: state }) => ({
    namespace,
    name,
    revision: labels[istioLabels.revision] ?? "default",
    trafficType: labels[istioLabels.waypointFor] ?? "none",
    programmed: state?.conditions?.find(({ type }) => type === "Programmed")?.status ?? "False",
  }));
  if (format !== "table") return context.out(await renderValue(waypoints, format));
  if (waypoints.length === 0) return context.out("No waypoints found.\n");
  const rows = waypoints.map(({ namespace, name, revision, trafficType, programmed }) => [
    ...(everywhere ? [namespace] : []),
    name,
    revision,
    trafficType,
    programmed,
  ]);
  context.out(
    renderTable([...(everywhere ? ["NAMESPACE"] : []), "NAME", "REVISION", "TRAFFIC TYPE", "PROGRAMMED"], rows, 5),
  );
}

async function status(flags: WaypointFlags, context: CliContext): Promise<void> {
  const everywhere = flags.allNamespaces === true;
  const client = await context.connect(flags);
  const found = await waypointsIn(client, everywhere ? undefined : await namespaceOf(flags, context));
  if (found.length === 0) return context.out("No waypoints found.\n");
  // Wait for all waypoints at the same time: one that stays unready must not hide the others or use up their time.
  const waits = await Promise.all(
    found.map(async (gateway) => {
      const { namespace = "", name = "" } = gateway.metadata;
      if (flags.wait === false) return { gateway };
      try {
        return { gateway: await waitUntilProgrammed(client, namespace, name, flags.waypointTimeout, context) };
      } catch (error) {
        const current = await client.get(gatewayKind, name, namespace).catch(() => undefined);
        return { gateway: current === undefined ? gateway : storedGateway(current), failure: { error } };
      }
    }),
  );
  const rows: string[][] = [];
  for (const { gateway } of waits) {
    const { namespace = "", name = "" } = gateway.metadata;
    const conditions = gateway.status?.conditions ?? [];
    const shown = conditions.find(({ type }) => type === "Programmed") ?? conditions.at(-1);
    rows.push([
      ...(everywhere ? [namespace] : []),
      name,
      shown?.status ?? "",
      shown?.type ?? "",
      shown?.reason ?? "",
      shown?.message ?? "",
    ]);
  }
  context.out(
    fittedTable([...(everywhere ? ["NAMESPACE"] : []), "NAME", "STATUS", "TYPE", "REASON", "MESSAGE"], rows, {
      columns: context.columns(),
      gap: 5,
    }),
  );
  const [first, ...others] = waits.flatMap(({ failure }) => failure ?? []);
  for (const { error } of others) context.err(`! ${messageOf(error)}\n`);
  if (first !== undefined) throw first.error;
}
