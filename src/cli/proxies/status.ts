import type { Command } from "commander";
import { userError } from "../../base/index.ts";
import { shortTypeOf, type ConnectedProxy } from "../../api/serin/index.ts";
import { paint, type Colour } from "../terminal/colour.ts";
import type { CliContext } from "../context.ts";
import { timeoutFlag, withinTimeout, type TimeoutFlags } from "../deadline.ts";
import { revisionFlag } from "../flags.ts";
import { outputFormat, renderValue } from "../terminal/output.ts";
import {
  askEach,
  endWithFaults,
  endWithoutPilots,
  listProxies,
  reachPilots,
  type Pilot,
} from "../control-planes/pilots.ts";
import { adminPortFlag, type AdminFlags } from "./proxy-admin.ts";
import { compareTypes, syncStateOf } from "./sync-types.ts";
import { fittedTable } from "../terminal/fitted-table.ts";

interface StatusFlags extends AdminFlags, TimeoutFlags {
  readonly output?: string;
  readonly revision?: string;
  readonly verbosity?: string;
  readonly file?: string;
}

interface Connected extends ConnectedProxy {
  readonly pilot: Pilot;
}

export function statusCommands(program: Command, context: CliContext): void {
  timeoutFlag(revisionFlag(program.command("proxy-status [pod]").alias("ps")))
    .description(
      "list every connected proxy with its control plane and the xDS types that it has acknowledged (! rejected, * not acknowledged yet); with a pod, compare the configuration of its proxy with the control plane's",
    )
    .option(
      "-o, --output <format>",
      "json, yaml or table; json and yaml report SYNCED, STALE or ERROR for each xDS type",
      "table",
    )
    .option("-v, --verbosity <level>", "1 shows a column for each xDS type", "0")
    .option("--file <file>", "read a saved response of /config_dump instead of the pod's")
    .option(...adminPortFlag)
    .action(async (pod: string | undefined, flags: StatusFlags) => {
      if (pod === undefined) return await proxyStatus(flags, context);
      const { proxyDiff } = await import("./proxy-diff.ts");
      await withinTimeout(proxyDiff(pod, flags, context), flags, context);
    });
}

async function proxyStatus(flags: StatusFlags, context: CliContext): Promise<void> {
  const format = outputFormat(flags.output, ["json", "yaml", "table"]);
  if (!/^\d$/.test(flags.verbosity ?? "0"))
    throw userError("argument-invalid", `--verbosity must be 0 or 1, got "${flags.verbosity ?? ""}"`);
  const { client, pilots: all } = await reachPilots(flags, context);
  if (all.length === 0) return await endWithoutPilots(client, context);
  const { answers, faults } = await askEach(all, async (pilot) => await listProxies(client, pilot), flags, context);
  const pilots = answers.map(({ pilot }) => pilot);
  const proxies = answers
    .flatMap(({ pilot, answer }) => answer.map((proxy): Connected => ({ ...proxy, pilot })))
    .filter(({ namespace }) => flags.namespace === undefined || namespace === flags.namespace)
    .toSorted((a, b) => a.id.localeCompare(b.id));
  if (proxies.length === 0) context.err(nobodyConnected(pilots, flags.namespace));
  if (format !== "table") {
    for (const pilot of pilots)
      context.out(
        await renderValue(
          discoveryResponse(
            pilot,
            proxies.filter((proxy) => proxy.pilot === pilot),
            context,
          ),
          format,
        ),
      );
  } else if (flags.verbosity === "0")
    context.out(
      fittedTable(
        ["NAME", "CLUSTER", "ISTIOD", "VERSION", "SUBSCRIBED TYPES"],
        proxies.map((proxy) => [...start(proxy), proxy.pilot.pod, proxy.version, subscription(proxy)]),
        { columns: context.columns(), gap: 5 },
      ),
    );
  else context.out(verboseTable(proxies, context));
  endWithFaults(faults, context);
}

/**
 * The text if no proxy is connected. It says how long proxies take to connect, because an istiod that has just started
 * looks like a mesh without proxies.
 */
function nobodyConnected(pilots: readonly Pilot[], namespace: string | undefined): string {
  const who = namespace === undefined ? "No proxy" : `No proxy of namespace ${namespace}`;
  return `${who} is connected to ${pilots.map(({ pod }) => pod).join(", ")}. Proxies connect within a few seconds after an istiod starts; run the command again.\n`;
}

function start({ id, clusterId = "" }: Connected): readonly string[] {
  return [id, clusterId === "" ? ownCluster : clusterId];
}

/** The name of the cluster if none is configured. */
const ownCluster = "Kubernetes";

/**
 * For example `4 (CDS,LDS,EDS,RDS)`. A type has a `!` if its last push was rejected, and a `*` if it is not
 * acknowledged yet.
 */
function subscription(proxy: Connected): string {
  const marks = { ERROR: "!", STALE: "*", SYNCED: "", NOT_SENT: "" };
  const names = statesOf(proxy).map(([name, state]) => `${name}${marks[state]}`);
  return names.length === 0 ? "0" : `${names.length} (${names.join(",")})`;
}

function statesOf({ types }: Connected): (readonly [string, ReturnType<typeof syncStateOf>])[] {
  return Object.entries(types)
    .map(([typeUrl, state]) => [shortTypeOf(typeUrl), syncStateOf(state)] as const)
    .toSorted(([a], [b]) => compareTypes(a, b));
}

const stateColours: Readonly<Record<string, Colour>> = { SYNCED: "green", STALE: "yellow", ERROR: "red" };

function verboseTable(proxies: readonly Connected[], context: CliContext): string {
  const states = new Map(proxies.map((proxy) => [proxy, new Map(statesOf(proxy))]));
  const types = [
    ...new Set(["CDS", "LDS", "EDS", "RDS", "ECDS", ...[...states.values()].flatMap((map) => [...map.keys()])]),
  ].toSorted(compareTypes);
  const rows = proxies.map((proxy) => [
    ...start(proxy),
    ...types.map((type) => (states.get(proxy)?.get(type) ?? "IGNORED").replace("_", " ")),
    proxy.pilot.pod,
    proxy.version,
  ]);
  const style = (cell: string): string => {
    const colour = stateColours[cell];
    return colour === undefined ? cell : paint(context, colour, cell);
  };
  const layout = { columns: context.columns(), gap: 5, style };
  return fittedTable(["NAME", "CLUSTER", ...types, "ISTIOD", "VERSION"], rows, layout);
}

const clientConfig = "type.googleapis.com/envoy.service.status.v3.ClientConfig";

/** Reports the proxies in the form in which istiod does over xDS. */
function discoveryResponse(pilot: Pilot, proxies: readonly Connected[], { version }: CliContext): unknown {
  return {
    versionInfo: proxies[0]?.version ?? version,
    resources: proxies.map((proxy) => ({
      "@type": clientConfig,
      node: {
        id: proxy.id,
        metadata: { CLUSTER_ID: start(proxy)[1], ISTIO_VERSION: proxy.version, NAMESPACE: proxy.namespace },
      },
      genericXdsConfigs: Object.entries(proxy.types).map(([typeUrl, state]) => ({
        typeUrl,
        configStatus: syncStateOf(state),
        ...(state.reason === null ? {} : { errorState: { details: state.reason } }),
      })),
    })),
    typeUrl: clientConfig,
    controlPlane: {
      identifier: JSON.stringify({ Component: "istiod", ID: pilot.pod, Info: { revision: pilot.revision } }),
    },
  };
}
