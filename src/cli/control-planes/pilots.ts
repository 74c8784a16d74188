import { istioLabels } from "../../api/istio/index.ts";
import { describeError, messageOf, nearestName, transientError, userError, type SerinError } from "../../base/index.ts";
import { engineId, podOfProxyId, type ConnectedProxy } from "../../api/serin/index.ts";
import { controlPlaneNamespaces } from "../../api/mesh-namespaces/index.ts";
import {
  deploymentKind,
  mutatingWebhookConfigurationKind,
  podKind,
  type Deployment,
  type Pod,
} from "../../api/kubernetes/index.ts";
import { isKubeCode, undefinedIfForbidden, type KubeClient } from "../../kube/index.ts";
import { CommandEnd } from "../command-end.ts";
import type { CliContext, ConnectionFlags } from "../context.ts";
import { withinTimeout, type TimeoutFlags } from "../deadline.ts";

/** The label by which pilots are listed. Users may set it on their own pods, so the namespace must match too. */
const pilotSelector = "app=istiod";

export interface Pilot {
  readonly pod: string;
  readonly namespace: string;
  readonly revision: string;
}

/** The namespaces with control planes. Only istio-system for a user who may not list webhooks. */
export async function namespacesOfControlPlanes(client: KubeClient): Promise<ReadonlySet<string>> {
  const webhooks = await undefinedIfForbidden(client.list(mutatingWebhookConfigurationKind));
  return controlPlaneNamespaces(webhooks?.items ?? []);
}

export async function listControlPlanes(client: KubeClient): Promise<readonly Deployment[]> {
  const namespaces = await namespacesOfControlPlanes(client);
  const { items } = await client.list(deploymentKind, { labelSelector: pilotSelector });
  return items.filter(({ metadata }) => namespaces.has(metadata.namespace ?? ""));
}

export async function listPilots(client: KubeClient): Promise<Pilot[]> {
  const namespaces = await namespacesOfControlPlanes(client);
  return (await podsOfPilots(client, namespaces))
    .filter((pod) => isRunning(pod) && namespaces.has(pod.metadata.namespace ?? ""))
    .map(({ metadata }) => ({
      pod: metadata.name ?? "",
      namespace: metadata.namespace ?? "",
      revision: metadata.labels?.[istioLabels.revision] ?? "default",
    }));
}

/**
 * The pods with the pilots' label. A user who may not list the pods of all namespaces may still list those of the
 * control planes' namespaces.
 */
async function podsOfPilots(client: KubeClient, namespaces: ReadonlySet<string>): Promise<readonly Pod[]> {
  const listIn = async (where: { readonly namespace?: string }): Promise<readonly Pod[]> =>
    (await client.list(podKind, { ...where, labelSelector: pilotSelector })).items;
  const all = await undefinedIfForbidden(listIn({}));
  if (all !== undefined) return all;
  return (await Promise.all([...namespaces].map(async (namespace) => await listIn({ namespace })))).flat();
}

/** The revision that a tag points to. Undefined if the tag does not exist, or if the user may not see it. */
async function revisionOfTag(client: KubeClient, tag: string): Promise<string | undefined> {
  const labelSelector = `${istioLabels.tag}=${tag}`;
  const found = await undefinedIfForbidden(client.list(mutatingWebhookConfigurationKind, { labelSelector }));
  return found?.items[0]?.metadata.labels?.[istioLabels.revision];
}

/**
 * The pilots of a revision or of a tag, or all pilots if the revision is undefined or empty. Throws a user error if the
 * revision has none.
 */
export async function listPilotsOf(client: KubeClient, revision: string | undefined): Promise<readonly Pilot[]> {
  const pilots = await listPilots(client);
  if (revision === undefined || revision === "") return pilots;
  const ofRevision = (name: string | undefined): Pilot[] => pilots.filter((pilot) => pilot.revision === name);
  const own = ofRevision(revision);
  if (own.length > 0) return own;
  const tagged = ofRevision(await revisionOfTag(client, revision));
  if (tagged.length > 0) return tagged;
  const known = [...new Set(pilots.map((pilot) => pilot.revision))].toSorted();
  const near = nearestName(revision, known);
  throw userError(
    "revision-unknown",
    `no control plane of revision "${revision}" runs${near === undefined ? "" : `; did you mean "${near}"?`}`,
    {
      hint:
        known.length === 0 ? "no control plane runs in this cluster at all" : `running revisions: ${known.join(", ")}`,
    },
  );
}

function isRunning(pod: Pod): boolean {
  return pod.status?.phase === "Running" && pod.metadata.deletionTimestamp === undefined;
}

/** Sends a GET to a pilot's port through the API server. Undefined if the path does not exist. */
export async function tryPilot(
  client: KubeClient,
  pilot: Pilot,
  port: number,
  path: string,
): Promise<string | undefined> {
  const answer = await client
    .raw("GET", `/api/v1/namespaces/${pilot.namespace}/pods/${pilot.pod}:${port}/proxy${path}`, { accept: "*/*" })
    .catch((cause: unknown) => {
      if (isKubeCode(cause, "forbidden")) throw cause;
      throw transientError("pilot-unreachable", `${pilot.pod} does not answer on port ${port}: ${messageOf(cause)}`, {
        cause,
      });
    });
  if (answer.status === 404) return undefined;
  if (answer.status === 403) {
    throw userError("forbidden", `you may not reach ${pilot.pod} through the API server: ${refusalOf(answer.text)}`, {
      hint: `you need "get" on pods/proxy in namespace ${pilot.namespace}: kubectl auth can-i get pods/proxy -n ${pilot.namespace}`,
    });
  }
  if (answer.status !== 200)
    throw transientError(
      "pilot-unreachable",
      `${pilot.pod} answered ${answer.status} for ${path}: ${answer.text.slice(0, 200)}`,
    );
  return answer.text;
}

function refusalOf(text: string): string {
  try {
    return (JSON.parse(text) as { readonly message?: string }).message ?? text;
  } catch {
    return text.slice(0, 200);
  }
}

export async function askPilot(client: KubeClient, pilot: Pilot, port: number, path: string): Promise<string> {
  const text = await tryPilot(client, pilot, port, path);
  if (text === undefined) throw transientError("pilot-unreachable", `${pilot.pod} answered 404 for ${path}`);
  return text;
}

interface ReachFlags extends ConnectionFlags, TimeoutFlags {
  readonly revision?: string;
}

/** Returns a client, and the pilots of the flags' revision, or all pilots. Fails after the time in the flags. */
export async function reachPilots(
  flags: ReachFlags,
  context: CliContext,
): Promise<{ readonly client: KubeClient; readonly pilots: readonly Pilot[] }> {
  const reach = async (): Promise<{ readonly client: KubeClient; readonly pilots: readonly Pilot[] }> => {
    const client = await context.connect(flags);
    return { client, pilots: await listPilotsOf(client, flags.revision) };
  };
  return await withinTimeout(reach(), flags, context);
}

interface Answers<Result> {
  readonly answers: readonly { readonly pilot: Pilot; readonly answer: Result }[];
  readonly faults: readonly Error[];
}

/**
 * Returns the answers that arrive within the time in the flags. A pilot that hangs or has just ended must not hide the
 * others. Throws the first pilot's error if no pilot answers, or if the user lacks the permission for the request.
 */
export async function askEach<Result>(
  pilots: readonly Pilot[],
  ask: (pilot: Pilot) => Promise<Result>,
  { timeout }: TimeoutFlags,
  { clock }: Pick<CliContext, "clock">,
): Promise<Answers<Result>> {
  const settled = await Promise.allSettled(
    pilots.map(async (pilot) => {
      const late = Promise.withResolvers<never>();
      using _timer = clock.after(timeout, () =>
        late.reject(
          transientError("timeout", `${pilot.pod} did not answer within ${timeout / 1000} s`, {
            hint: `kubectl -n ${pilot.namespace} get pod ${pilot.pod} shows whether it is ready`,
          }),
        ),
      );
      return { pilot, answer: await Promise.race([ask(pilot), late.promise]) };
    }),
  );
  const answers = settled.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const faults = settled.flatMap((result) => (result.status === "rejected" ? [result.reason as Error] : []));
  const [fault] = faults;
  const refusal = faults.find((error) => isKubeCode(error, "forbidden"));
  if (refusal !== undefined || (fault !== undefined && answers.length === 0)) throw refusal ?? fault;
  return { answers, faults };
}

/** Reports the pilots that did not answer, and ends the command with 1, because the printed answers are incomplete. */
export function endWithFaults(faults: readonly Error[], { err }: Pick<CliContext, "err">): void {
  if (faults.length === 0) return;
  for (const fault of faults) err(`! ${describeError(fault)}\n`);
  throw new CommandEnd("pilot-unreachable", incompleteExitCode);
}

const incompleteExitCode = 1;

/** Ends the command with 1, because there is no control plane to ask. */
export async function endWithoutPilots(
  client: KubeClient,
  { err, programName }: Pick<CliContext, "err" | "programName">,
): Promise<never> {
  const { reason, remedy } = await withoutPilots(client, programName);
  err(`${reason.replace(/^./, (first) => first.toUpperCase())}; ${remedy}\n`);
  throw new CommandEnd("not-installed", incompleteExitCode);
}

export async function noPilots(client: KubeClient, programName: string): Promise<SerinError> {
  const { reason, remedy } = await withoutPilots(client, programName);
  return userError("not-installed", reason, { hint: remedy });
}

/** Says why no pilot runs: the cluster has no mesh, or its control planes have no running pod. */
export async function withoutPilots(
  client: KubeClient,
  programName: string,
): Promise<{ readonly reason: string; readonly remedy: string; readonly isInstalled: boolean }> {
  const planes = (await undefinedIfForbidden(listControlPlanes(client))) ?? [];
  if (planes.length === 0)
    return {
      reason: "no istiod runs in this cluster",
      remedy: `install one: ${programName} install --set profile=ambient`,
      isInstalled: false,
    };
  const names = planes.map(
    ({ metadata, spec }) =>
      `Deployment ${metadata.namespace ?? ""}/${metadata.name ?? ""}, which asks for ${spec?.replicas ?? 1}`,
  );
  const namespace = planes[0]?.metadata.namespace ?? "";
  return {
    reason: `no istiod runs in this cluster: no pod of ${names.join("; ")}`,
    remedy: `see kubectl -n ${namespace} get deployments,pods -l ${pilotSelector}`,
    isInstalled: true,
  };
}

/** The proxies that a pilot serves. With `gone`, also those that disconnected recently, if the pilot reports them. */
export async function listProxies(
  client: KubeClient,
  pilot: Pilot,
  { gone = false }: { readonly gone?: boolean } = {},
): Promise<readonly ConnectedProxy[]> {
  const own = await tryPilot(client, pilot, 8080, `/debug/serin/proxies${gone ? "?gone=true" : ""}`);
  if (own !== undefined) return JSON.parse(own) as readonly ConnectedProxy[];
  // Upstream's istiod only has this report. It contains less, and lists the rollout engine as a proxy while the engine
  // connects to read it.
  const status = JSON.parse(await askPilot(client, pilot, 8080, "/debug/syncz")) as readonly UpstreamStatus[];
  const engine = engineId(pilot.namespace);
  return status.filter(({ proxy }) => proxy !== engine).map((proxy) => fromUpstream(proxy, pilot.revision));
}

type UpstreamStatus = Readonly<Record<string, string | undefined>>;

const upstreamTypes: Readonly<Record<string, string>> = {
  cluster: "envoy.config.cluster.v3.Cluster",
  listener: "envoy.config.listener.v3.Listener",
  endpoint: "envoy.config.endpoint.v3.ClusterLoadAssignment",
  route: "envoy.config.route.v3.RouteConfiguration",
  extension_config: "envoy.config.core.v3.TypedExtensionConfig",
};

function fromUpstream(status: UpstreamStatus, revision: string): ConnectedProxy {
  const id = status["proxy"] ?? "";
  const types = Object.entries(upstreamTypes).flatMap(([word, type]) => {
    const sent = status[`${word}_sent`] ?? "";
    return sent === ""
      ? []
      : [
          [
            `type.googleapis.com/${type}`,
            { sent, acked: status[`${word}_acked`] ?? "", nacked: "", reason: null },
          ] as const,
        ];
  });
  return {
    id,
    type: status["proxy_type"] ?? "",
    namespace: podOfProxyId(id).namespace,
    node: "",
    version: status["istio_version"] ?? "",
    revision,
    clusterId: status["cluster_id"] ?? "",
    connectedAt: "",
    types: Object.fromEntries(types),
  };
}
