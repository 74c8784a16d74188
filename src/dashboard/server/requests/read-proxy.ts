import { podKind, type Pod } from "../../../api/kubernetes/index.ts";
import { proxySections, seenText, type ProxyAnswer, type ProxySection } from "../../../api/dashboard/index.ts";
import { messageOf, SerinError, transientError, type Clock } from "../../../base/index.ts";
import { requestOverStream } from "../../../kube/index.ts";
import {
  addressesOf,
  addressText,
  certificateSection,
  chainMatchText,
  chainsOf,
  compareClusterNames,
  ConfigDump,
  destinationText,
  domainsText,
  jsonNames,
  listenerTypeOf,
  managedBy,
  matchText,
  parseClusterName,
  parseZtunnelDump,
  policySection,
  portOf,
  secretRows,
  serviceSection,
  workloadSection,
  type DumpSection,
  type ZtunnelDump,
} from "../../../proxy-dump/index.ts";
import type { Identity } from "../access/identity.ts";
import { refusal } from "../../problem.ts";
import { ownOf } from "./kube-requests.ts";
import type { RequestHandler } from "./request-handlers.ts";

const adminPort = 15_000;
const proxyContainer = "istio-proxy";
const timeoutMs = 20_000;
/** The maximum size of a dump, for a mesh of some thousands of services. Longer ones are refused. */
const maxDumpBytes = 64 << 20;
/** The maximum number of rows. A proxy of a large mesh has tens of thousands of endpoints, which nobody reads. */
const maxRows = 5_000;
/** The maximum total length of all details, in characters. Rows beyond it have none. */
const maxDetailsLength = 4 << 20;

interface Row {
  readonly cells: readonly string[];
  readonly detail: unknown;
}

interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
}

/**
 * The configuration that a proxy uses, read from its admin port through a port-forward with the user's own credentials.
 */
export function readProxy({ clock }: { readonly clock: Clock }): RequestHandler<"GET /api/proxy"> {
  return async (fields, identity, signal) => {
    const [namespace, name] = [fields.requiredText("namespace"), fields.requiredText("pod")];
    const section = fields.oneOf("section", proxySections);
    const pod = await ownOf(identity).client.get(podKind, name, namespace);
    if (pod === undefined)
      throw refusal("not-found", `there is no pod ${name} in namespace ${namespace}`, "it may have been replaced");
    const isZtunnel = pod.metadata.labels?.["app"] === "ztunnel";
    checkPod(pod, isZtunnel);
    const dump = await askAdmin(
      identity,
      { namespace, pod: name, path: `/config_dump${isZtunnel ? "" : "?include_eds=true"}` },
      signal,
    );
    return await answerOf(tableIn(dump, { namespace, name, isZtunnel, section, nowMs: clock.nowMs() }));
  };
}

/** Reads the table of a dump. Checks its form, because anybody who may start a pod decides what that port answers. */
function tableIn(
  dump: unknown,
  {
    namespace,
    name,
    isZtunnel,
    section,
    nowMs,
  }: {
    readonly namespace: string;
    readonly name: string;
    readonly isZtunnel: boolean;
    readonly section: ProxySection;
    readonly nowMs: number;
  },
): Table {
  try {
    return isZtunnel
      ? ztunnelTable(parseZtunnelDump(dump, `the answer of ${name}`), section, nowMs)
      : proxyTable(new ConfigDump(jsonNames(dump), `the answer of ${name}`), section, nowMs);
  } catch (cause) {
    if (cause instanceof SerinError) throw cause;
    throw transientError(
      "unavailable",
      `the answer of the proxy of ${name} is not the configuration of a ${isZtunnel ? "ztunnel" : "proxy"}`,
      { cause, hint: `kubectl -n ${namespace} port-forward ${name} ${adminPort}, and look at /config_dump` },
    );
  }
}

function checkPod({ metadata, spec, status }: Pod, isZtunnel: boolean): void {
  const { name = "", namespace = "" } = metadata;
  const hasProxy = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].some(
    (container) => container.name === proxyContainer,
  );
  if (!hasProxy)
    throw refusal(
      "not-found",
      `pod ${name} has no proxy`,
      isZtunnel ? undefined : "in ambient its traffic goes through its node's ztunnel",
    );
  if (status?.phase !== "Running")
    throw refusal(
      "unavailable",
      `pod ${name} is ${status?.phase ?? "Pending"}: its proxy cannot be asked`,
      `kubectl -n ${namespace} describe pod ${name}`,
    );
}

async function askAdmin(
  identity: Identity,
  { namespace, pod, path }: { readonly namespace: string; readonly pod: string; readonly path: string },
  outer: AbortSignal,
): Promise<unknown> {
  const signal = AbortSignal.any([outer, AbortSignal.timeout(timeoutMs)]);
  let answer: { readonly status: number; readonly text: string };
  try {
    const stream = await ownOf(identity).connectToPod({ namespace, pod, port: adminPort, signal });
    answer = await requestOverStream(stream, { method: "GET", path, maxAnswerBytes: maxDumpBytes, signal });
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "forbidden")
      throw refusal(
        "forbidden",
        `you may not forward ports of pods in namespace ${namespace}`,
        "you need the right to create pods/portforward there",
      );
    throw transientError("unavailable", `the proxy of ${pod} does not answer: ${messageOf(cause)}`, {
      cause,
      hint: `kubectl -n ${namespace} logs ${pod} -c ${proxyContainer}`,
    });
  }
  if (answer.status !== 200) throw transientError("unavailable", `the proxy of ${pod} answered ${answer.status}`);
  try {
    return JSON.parse(answer.text);
  } catch (cause) {
    throw transientError("unavailable", `the proxy of ${pod} sent an answer that is not JSON`, { cause });
  }
}

export function proxyTable(dump: ConfigDump, section: ProxySection, nowMs: number): Table {
  switch (section) {
    case "clusters":
      return clusterTable(dump);
    case "listeners":
      return listenerTable(dump);
    case "routes":
      return routeTable(dump);
    case "endpoints":
      return endpointTable(dump);
    case "secrets":
      return secretTable(dump, nowMs);
    case "bootstrap":
      return bootstrapTable(dump);
    case "workloads":
    case "services":
    case "policies":
      throw refusal("not-found", `a sidecar, gateway or waypoint has no ${section}`, "a ztunnel has");
  }
}

function clusterTable(dump: ConfigDump): Table {
  return {
    columns: ["SERVICE", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"],
    rows: dump
      .clusters()
      .toSorted((a, b) => compareClusterNames(a.name, b.name))
      .map((cluster) => {
        const { host, port, subset, direction, isService } = parseClusterName(cluster.name ?? "");
        return {
          cells: [
            host,
            isService ? String(port) : "",
            subset,
            direction,
            cluster.type ?? "STATIC",
            managedBy(cluster.metadata),
          ],
          detail: cluster,
        };
      }),
  };
}

function listenerTable(dump: ConfigDump): Table {
  return {
    columns: ["ADDRESS", "PORT", "TYPE", "MATCH", "DESTINATION"],
    rows: dump
      .listeners()
      .toSorted((a, b) => portOf(a) - portOf(b))
      .flatMap((listener) =>
        chainsOf(listener).map((chain) => ({
          cells: [
            addressesOf(listener).join(","),
            String(portOf(listener)),
            listenerTypeOf(listener),
            chainMatchText(chain.filterChainMatch),
            destinationText(chain),
          ],
          detail: listener,
        })),
      ),
  };
}

/** A row for each route, and for each virtual host without routes, which answers 404. */
function routeTable(dump: ConfigDump): Table {
  return {
    columns: ["NAME", "VIRTUAL HOST", "DOMAINS", "MATCH", "VIRTUAL SERVICE"],
    rows: dump.routes().flatMap(({ name = "", virtualHosts = [] }) =>
      virtualHosts.flatMap((host) => {
        const start = [name, host.name ?? "", domainsText(host.domains ?? [])];
        const routes = host.routes ?? [];
        return routes.length === 0
          ? [{ cells: [...start, "/*", "404"], detail: host }]
          : routes.map((route) => ({
              cells: [...start, matchText(route.match), managedBy(route.metadata)],
              detail: route,
            }));
      }),
    ),
  };
}

function endpointTable(dump: ConfigDump): Table {
  return {
    columns: ["CLUSTER", "ENDPOINT", "STATUS", "LOCALITY"],
    rows: dump.endpoints().flatMap(({ clusterName = "", endpoints = [] }) =>
      endpoints.flatMap(({ locality = {}, lbEndpoints = [] }) =>
        lbEndpoints.map((endpoint) => {
          const { address } = endpoint.endpoint ?? {};
          const port = address?.socketAddress?.portValue;
          return {
            cells: [
              clusterName,
              `${addressText(address)}${port === undefined ? "" : `:${port}`}`,
              endpoint.healthStatus ?? "HEALTHY",
              [locality.region, locality.zone, locality.subZone]
                .filter((part) => part !== undefined && part !== "")
                .join("/"),
            ],
            detail: endpoint,
          };
        }),
      ),
    ),
  };
}

function secretTable(dump: ConfigDump, nowMs: number): Table {
  const { header, rows } = secretRows(dump, nowMs);
  return { columns: header, rows: rows.map((cells) => ({ cells, detail: namedCells(header, cells) })) };
}

function bootstrapTable(dump: ConfigDump): Table {
  const { bootstrap = {} } = (dump.part("BootstrapConfigDump") ?? {}) as {
    readonly bootstrap?: Readonly<Record<string, unknown>>;
  };
  return {
    columns: ["FIELD"],
    rows: Object.entries(bootstrap).map(([field, detail]) => ({ cells: [field], detail: { [field]: detail } })),
  };
}

export function ztunnelTable(dump: ZtunnelDump, section: ProxySection, nowMs: number): Table {
  switch (section) {
    case "workloads":
      return tableOf(workloadSection(dump, { nowMs }));
    case "services":
      return tableOf(serviceSection(dump, { nowMs }));
    case "policies":
      return tableOf(policySection(dump, { nowMs }));
    case "secrets":
      return tableOf(certificateSection(dump, { nowMs }));
    default:
      throw refusal("not-found", `a ztunnel has no ${section}`, "it has workloads, services, policies and secrets");
  }
}

/** Makes the table of a section. Rows are sorted, but objects are not, so each row finds its object by name. */
function tableOf({ header, rows, raw }: DumpSection): Table {
  const objects = Array.isArray(raw) ? (raw as readonly Readonly<Record<string, unknown>>[]) : [];
  const byName = new Map(objects.map((object) => [`${String(object["namespace"])}/${String(object["name"])}`, object]));
  return {
    columns: header,
    rows: rows.map((cells) => ({
      cells,
      detail: byName.get(`${cells[0] ?? ""}/${cells[1] ?? ""}`) ?? namedCells(header, cells),
    })),
  };
}

function namedCells(header: readonly string[], cells: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(header.map((column, index) => [column, cells[index] ?? ""]));
}

async function answerOf({ columns, rows }: Table): Promise<ProxyAnswer> {
  const { stringify } = await import("yaml");
  const shown = rows.slice(0, maxRows);
  const texts = new Map<unknown, string>();
  let length = 0;
  const details = shown.map(({ detail }) => {
    const known = texts.get(detail);
    if (known !== undefined) return known;
    if (length > maxDetailsLength) return "";
    const text = seenText(stringify(withoutKeys(detail), { lineWidth: 0, aliasDuplicateObjects: false }));
    length += text.length;
    texts.set(detail, text);
    return text;
  });
  return {
    columns,
    rows: shown.map(({ cells }) => cells.map(seenText)),
    details,
    truncated: rows.length > maxRows || length > maxDetailsLength,
  };
}

const secretFields: ReadonlySet<string> = new Set(["privateKey", "private_key", "password", "inlinePassword"]);

/** Removes private keys. Proxies leave them out of dumps, but a faulty proxy might not. */
function withoutKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutKeys);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, secretFields.has(name) ? "[redacted]" : withoutKeys(inner)]),
  );
}
