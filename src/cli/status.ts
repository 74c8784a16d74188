import type { Command } from "commander";
import type { ConnectedProxy } from "../api/serin/index.ts";
import type { CliContext, ConnectionFlags } from "./context.ts";
import { askPilot, listPilots, listProxies } from "./pilots.ts";
import { renderTable } from "./table.ts";

interface StatusFlags extends ConnectionFlags {
  readonly output?: string;
  readonly remote?: boolean;
  readonly short?: boolean;
}

export function versionCommand(program: Command, context: CliContext): void {
  program
    .command("version")
    .description("the versions of the command line, of control planes and of data planes")
    .option("--remote", "ask the cluster (the default when there is one)")
    .option("-s, --short", "only numbers")
    .option("-o, --output <format>", "json")
    .option("--kubeconfig <path>", "kubeconfig file")
    .option("--context <name>", "context of the kubeconfig")
    .action(async (flags: StatusFlags) => await version(flags, context));

}

export function statusCommands(program: Command, context: CliContext): void {
  program
    .command("proxy-status")
    .alias("ps")
    .description("every connected proxy, its control plane, and what it has acknowledged")
    .option("-o, --output <format>", "json")
    .option("--kubeconfig <path>", "kubeconfig file")
    .option("--context <name>", "context of the kubeconfig")
    .action(async (flags: StatusFlags) => await proxyStatus(flags, context));
}

async function version(flags: StatusFlags, context: CliContext): Promise<void> {
  const planes = await remoteVersions(flags, context);
  if (flags.output === "json") {
    context.out(`${JSON.stringify({ clientVersion: { version: context.version }, ...planes }, undefined, 2)}\n`);
    return;
  }
  context.out(`client version: ${context.version}\n`);
  if (planes === undefined) return;
  for (const [revision, found] of Object.entries(planes.meshVersion)) context.out(`control plane version: ${found} (revision ${revision})\n`);
  const counts = new Map<string, number>();
  for (const proxy of planes.dataPlaneVersion) counts.set(proxy.version, (counts.get(proxy.version) ?? 0) + 1);
  const texts = [...counts].map(([number, count]) => `${number} (${count} ${count === 1 ? "proxy" : "proxies"})`);
  context.out(`data plane version: ${texts.length === 0 ? "none" : texts.join(", ")}\n`);
}

interface RemoteVersions {
  readonly meshVersion: Readonly<Record<string, string>>;
  readonly dataPlaneVersion: readonly { readonly id: string; readonly version: string }[];
}

/** Undefined when there is no cluster to ask, which is no error unless `--remote` was said. */
async function remoteVersions(flags: StatusFlags, context: CliContext): Promise<RemoteVersions | undefined> {
  try {
    const client = await context.connect(flags);
    const meshVersion: Record<string, string> = {};
    const dataPlaneVersion: { id: string; version: string }[] = [];
    for (const pilot of await listPilots(client)) {
      meshVersion[pilot.revision] = (await askPilot(client, pilot, 15_014, "/version")).trim();
      for (const proxy of await listProxies(client, pilot)) dataPlaneVersion.push({ id: proxy.id, version: proxy.version });
    }
    return { meshVersion, dataPlaneVersion };
  } catch (error) {
    if (flags.remote === true) throw error;
    return undefined;
  }
}

async function proxyStatus(flags: StatusFlags, context: CliContext): Promise<void> {
  const client = await context.connect(flags);
  const pilots = await listPilots(client);
  if (pilots.length === 0) {
    context.err("No istiod runs in this cluster; install one by: serin install --set profile=ambient\n");
    return;
  }
  const found = await Promise.all(pilots.map(async (pilot) => (await listProxies(client, pilot)).map((proxy) => ({ pilot: pilot.pod, ...proxy }))));
  const proxies = found.flat().toSorted((a, b) => a.id.localeCompare(b.id));
  if (flags.output === "json") {
    context.out(`${JSON.stringify(proxies, undefined, 2)}\n`);
    return;
  }
  const rows = proxies.map((proxy) => [proxy.id, "Kubernetes", proxy.pilot, proxy.version, ...subscription(proxy)]);
  context.out(renderTable(["NAME", "CLUSTER", "ISTIOD", "VERSION", "SUBSCRIBED TYPES"], rows));
}

const shortNames: Readonly<Record<string, string>> = {
  "envoy.config.cluster.v3.Cluster": "CDS",
  "envoy.config.listener.v3.Listener": "LDS",
  "envoy.config.endpoint.v3.ClusterLoadAssignment": "EDS",
  "envoy.config.route.v3.RouteConfiguration": "RDS",
  "envoy.extensions.transport_sockets.tls.v3.Secret": "SDS",
  "envoy.config.core.v3.TypedExtensionConfig": "ECDS",
  "istio.workload.Address": "WDS",
  "istio.security.Authorization": "WADS",
  "istio.networking.nds.v1.NameTable": "NDS",
};

/** `4 (CDS,LDS,EDS,RDS)`, with `!` behind a type whose last push was rejected and `*` behind one that is not acknowledged yet. */
function subscription(proxy: ConnectedProxy): string[] {
  const names = Object.entries(proxy.types).map(([typeUrl, state]) => {
    const type = typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
    const mark = state.reason !== null ? "!" : state.sent === state.acked ? "" : "*";
    return `${shortNames[type] ?? type}${mark}`;
  });
  return [`${names.length} (${names.toSorted().join(",")})`];
}
