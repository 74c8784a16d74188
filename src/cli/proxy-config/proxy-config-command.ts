import type { Command } from "commander";
import { userError } from "../../base/index.ts";
import { certificatesIn, compare, rootCertificates, type ConfigDump } from "../../proxy-dump/index.ts";
import type { CliContext } from "../context.ts";
import { portFlag } from "../flags.ts";
import { outputFormat, renderValue } from "../terminal/output.ts";
import { adminPortFlag } from "../proxies/proxy-admin.ts";
import { fittedTable } from "../terminal/fitted-table.ts";
import { assignmentTable, filterAssignments } from "./assignments.ts";
import { bootstrapSummary } from "./bootstrap.ts";
import { clusterTable, filterClusters, type ClusterFilter } from "./clusters.ts";
import { endpointTable, filterEndpointClusters, type EndpointFilter } from "./endpoints.ts";
import { filterListeners, listenerTable, type ListenerFilter } from "./listeners.ts";
import { logCommand } from "./proxy-log.ts";
import { readClusterStatuses, readAdminText, readDump, type DumpFlags } from "./read-admin.ts";
import { filterRoutes, routeTable, type RouteFilter } from "./routes.ts";
import { secretTable } from "./secrets.ts";
import { waypointListenerTable } from "./waypoint-listeners.ts";

type Verbose = { readonly verbose?: boolean };
type AllFlags = DumpFlags &
  ClusterFilter &
  ListenerFilter &
  RouteFilter &
  EndpointFilter &
  Verbose & { readonly withHeaders?: boolean };

const dumpFile = "the response of /config_dump";
/** Query parameters that limit Envoy's answer to the needed parts. */
const masks = {
  cluster: "?mask=dynamic_active_clusters,dynamic_warming_clusters,static_clusters",
  listener: "?mask=dynamic_listeners,static_listeners",
  route: "?mask=dynamic_route_configs,static_route_configs",
  secret: "?mask=dynamic_active_secrets,dynamic_warming_secrets",
  bootstrap: "?mask=bootstrap",
  endpoints: "?include_eds=true",
};

/**
 * `proxy-config …`: shows the answers of a proxy's admin port in istioctl's columns. Envoy's answers have the same
 * form.
 */
export function proxyConfigCommands(program: Command, context: CliContext): void {
  const parent = program
    .command("proxy-config")
    .alias("pc")
    .description(
      "show the configuration of a pod's proxy (sidecar, gateway or waypoint); pods are named [<type>/]<name>[.<namespace>]",
    );
  clusterCommand(parent, context);
  listenerCommand(parent, context);
  routeCommand(parent, context);
  endpointCommands(parent, context);
  dumpCommand(parent, {
    name: "secret",
    aliases: ["secrets", "s"],
    description: "show the certificates and trusted roots of the proxy",
  }).action(
    async (name: string | undefined, flags: DumpFlags) =>
      await show(await readDump(name, masks.secret, flags, context), flags, context, {
        table: (dump, layout) => secretTable(dump, context.clock.nowMs(), layout),
        value: (dump) => dump.part("SecretsConfigDump") ?? {},
      }),
  );
  dumpCommand(parent, {
    name: "bootstrap",
    aliases: ["b"],
    description: "show the bootstrap configuration of the proxy; -o short shows only the versions",
    output: "json",
  }).action(
    async (name: string | undefined, flags: DumpFlags) =>
      await show(await readDump(name, masks.bootstrap, flags, context), flags, context, {
        table: bootstrapSummary,
        value: (dump) => dump.part("BootstrapConfigDump") ?? {},
      }),
  );
  dumpCommand(parent, {
    name: "ecds",
    aliases: ["ec"],
    description: "show the extensions that the proxy receives by ECDS",
  }).action(
    async (name: string | undefined, flags: DumpFlags) =>
      await show(await readDump(name, masks.endpoints, flags, context), flags, context, {
        table: extensionTable,
        value: (dump) => dump.part("EcdsConfigDump") ?? {},
      }),
  );
  allCommand(parent, context);
  logCommand(parent, context);
  parent
    .command("rootca-compare <pod> <other-pod>")
    .alias("rc")
    .description("check whether two proxies trust a common root")
    .option(...adminPortFlag)
    .action(
      async (pod: string, otherPod: string, flags: DumpFlags) => await compareRoots(pod, otherPod, flags, context),
    );
}

interface DumpCommand {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly description: string;
  /** What a file that the user names must contain. */
  readonly file?: string;
  readonly output?: "short" | "json";
}

function dumpCommand(
  parent: Command,
  { name, aliases, description, file = dumpFile, output = "short" }: DumpCommand,
): Command {
  return parent
    .command(`${name} [pod]`)
    .aliases([...aliases])
    .description(description)
    .option("-o, --output <format>", "json, yaml or short", output)
    .option("-f, --file <file>", `read a file with ${file} instead of a pod's; - is standard input`)
    .option(...adminPortFlag);
}

interface Views<Value> {
  readonly table: (value: Value, layout: { readonly columns: number | undefined }) => string;
  readonly value: (value: Value) => unknown;
}

async function show<Value>(
  value: Value,
  { output }: DumpFlags,
  context: CliContext,
  views: Views<Value>,
): Promise<void> {
  const format = outputFormat(output);
  context.out(
    format === "table"
      ? views.table(value, { columns: context.columns() })
      : await renderValue(views.value(value), format),
  );
}

function clusterCommand(parent: Command, context: CliContext): void {
  dumpCommand(parent, { name: "cluster", aliases: ["clusters", "c"], description: "show the clusters of the proxy" })
    .option("--fqdn <text>", "show only clusters whose host name contains this text")
    .option("--direction <direction>", "show only inbound or outbound clusters")
    .option("--subset <text>", "show only clusters whose subset contains this text")
    .option("--port <port>", "show only clusters of this port", portFlag)
    .action(async (name: string | undefined, flags: DumpFlags & ClusterFilter) => {
      const clusters = (await readDump(name, masks.cluster, flags, context)).clusters();
      await show(filterClusters(requireSome(clusters, "clusters", context), flags), flags, context, {
        table: clusterTable,
        value: (found) => found,
      });
    });
}

function listenerCommand(parent: Command, context: CliContext): void {
  verboseFlags(
    dumpCommand(parent, {
      name: "listener",
      aliases: ["listeners", "l"],
      description: "show the listeners of the proxy, with their filter chain matches and destinations",
    }),
  )
    .option("--address <address>", "show only listeners on this address")
    .option("--port <port>", "show only listeners on this port", portFlag)
    .option("--type <type>", "show only HTTP, TCP or HTTP+TCP listeners")
    .option("--waypoint", "show the filter chains of a waypoint, with the matches that lead to each")
    .action(
      async (
        name: string | undefined,
        flags: DumpFlags & ListenerFilter & Verbose & { readonly waypoint?: boolean },
      ) => {
        const listeners = requireSome(
          (await readDump(name, masks.listener, flags, context)).listeners(),
          "listeners",
          context,
        );
        if (flags.waypoint === true) context.out(waypointListenerTable(listeners, { columns: context.columns() }));
        else
          await show(filterListeners(listeners, flags), flags, context, {
            table: (found, layout) => listenerTable(found, { ...flags, ...layout }),
            value: (found) => found,
          });
      },
    );
}

function routeCommand(parent: Command, context: CliContext): void {
  verboseFlags(
    dumpCommand(parent, {
      name: "route",
      aliases: ["routes", "r"],
      description: "show the routes of the proxy, with their matches and clusters",
    }),
  )
    .option("--name <name>", "show only the route configuration of this name")
    .action(async (name: string | undefined, flags: DumpFlags & RouteFilter & Verbose) => {
      const routes = requireSome((await readDump(name, masks.route, flags, context)).routes(), "routes", context);
      await show(filterRoutes(routes, flags), flags, context, {
        table: (found, layout) => routeTable(found, { ...flags, ...layout }),
        value: (found) => found,
      });
    });
}

function verboseFlags(command: Command): Command {
  return command
    .option("--verbose", "show the matches too (default)")
    .option("--no-verbose", "show one line for each listener or route configuration");
}

function endpointFlags(command: Command): Command {
  return command
    .option("--address <address>", "show only endpoints at this address")
    .option("--port <port>", "show only endpoints on this port", portFlag)
    .option("--cluster <name>", "show only the endpoints of this cluster")
    .option("--status <status>", "show only endpoints with this health status: healthy, unhealthy, …");
}

function endpointCommands(parent: Command, context: CliContext): void {
  endpointFlags(
    dumpCommand(parent, {
      name: "endpoint",
      aliases: ["endpoints", "ep"],
      description: "show the endpoints of the proxy's clusters, and their health",
      file: "the response of /clusters?format=json",
    }),
  ).action(async (name: string | undefined, flags: DumpFlags & EndpointFilter) => {
    const statuses = await readClusterStatuses(name, flags, context);
    await show(statuses, flags, context, {
      table: (found, layout) => endpointTable(found, flags, layout),
      value: (found) => filterEndpointClusters(found, flags),
    });
  });
  endpointFlags(
    dumpCommand(parent, {
      name: "eds",
      aliases: [],
      description: "show the endpoints that the control plane sent, with their localities",
    }),
  ).action(async (name: string | undefined, flags: DumpFlags & EndpointFilter) => {
    const assignments = (await readDump(name, masks.endpoints, flags, context)).endpoints();
    await show(filterAssignments(assignments, flags), flags, context, {
      table: assignmentTable,
      value: (found) => found,
    });
  });
}

function allCommand(parent: Command, context: CliContext): void {
  endpointFlags(
    verboseFlags(
      dumpCommand(parent, {
        name: "all",
        aliases: ["a"],
        description: "show the whole configuration of the proxy: as tables, or with -o json as one config dump",
      }),
    ),
  )
    .option("--with-headers", "print a title line before each table")
    .option("--fqdn <text>", "show only clusters whose host name contains this text")
    .option("--direction <direction>", "show only inbound or outbound clusters")
    .option("--subset <text>", "show only clusters whose subset contains this text")
    .option("--type <type>", "show only HTTP, TCP or HTTP+TCP listeners")
    .option("--name <name>", "show only the route configuration of this name")
    .action(async (name: string | undefined, flags: AllFlags) => {
      const format = outputFormat(flags.output);
      if (format === "table")
        return context.out(allTables(await readDump(name, masks.endpoints, flags, context), flags, context));
      const text = await readAdminText(name, `/config_dump${masks.endpoints}`, flags, context);
      // Print the proxy's JSON unchanged, so that `--file` can read it again.
      context.out(format === "json" ? `${text.trimEnd()}\n` : await renderValue(JSON.parse(text), format));
    });
}

function allTables(dump: ConfigDump, flags: AllFlags, context: CliContext): string {
  const layout = { columns: context.columns(), named: true };
  const parts: readonly (readonly [string, string])[] = [
    ["BOOTSTRAP", bootstrapSummary(dump)],
    ["CLUSTER", clusterTable(filterClusters(dump.clusters(), flags), layout)],
    ["LISTENER", listenerTable(filterListeners(dump.listeners(), flags), { ...flags, ...layout })],
    ["ROUTE", routeTable(filterRoutes(dump.routes(), flags), { ...flags, ...layout })],
    ["SECRET", secretTable(dump, context.clock.nowMs(), layout)],
    ["ENDPOINTS", assignmentTable(filterAssignments(dump.endpoints(), flags), layout)],
  ];
  return parts
    .map(([title, table]) => `${flags.withHeaders === true ? `------ ${title} INFO ------\n\n` : ""}${table}`)
    .join("\n");
}

function requireSome<Value>(
  list: readonly Value[],
  noun: string,
  { programName }: Pick<CliContext, "programName">,
): readonly Value[] {
  if (list.length === 0)
    throw userError("dump-empty", `the proxy has no ${noun}`, {
      hint: `the proxy has received no configuration from a control plane yet: ${programName} proxy-status`,
    });
  return list;
}

function extensionTable(dump: ConfigDump, { columns }: { readonly columns: number | undefined }): string {
  const rows = dump
    .extensions()
    .map(({ name = "", typedConfig = {} }) => [name, (typedConfig["@type"] ?? "").replace("type.googleapis.com/", "")]);
  return fittedTable(
    ["ECDS NAME", "TYPE"],
    rows.toSorted(([a = "", b = ""], [c = "", d = ""]) => compare(b, d) || compare(a, c)),
    { columns, gap: 5 },
  );
}

async function compareRoots(firstPod: string, secondPod: string, flags: DumpFlags, context: CliContext): Promise<void> {
  const [first, second] = await Promise.all(
    [firstPod, secondPod].map(async (name) => await rootsOf(name, flags, context)),
  );
  const shared = first?.some((root) => second?.includes(root) === true) === true;
  if (!shared) {
    throw userError(
      "difference-found",
      `${firstPod} and ${secondPod} trust no common root certificate: mutual TLS between them cannot work`,
      {
        hint: `show their certificates: ${context.programName} proxy-config secret ${firstPod}`,
      },
    );
  }
  context.out(`${firstPod} and ${secondPod} trust a common root certificate: mutual TLS between them can work\n`);
}

async function rootsOf(name: string, flags: DumpFlags, context: CliContext): Promise<readonly string[]> {
  const pem = rootCertificates(await readDump(name, masks.secret, flags, context));
  if (pem === undefined)
    throw userError("dump-empty", `the proxy of ${name} has no root certificate yet`, {
      hint: `the proxy receives it with its first configuration: ${context.programName} proxy-status`,
    });
  return certificatesIn(pem).map(({ fingerprint256 }) => fingerprint256);
}
