import { istioLabels } from "../../api/istio/index.ts";
import { isInsideAddress, messageOf, stringOf, type Clock } from "../../base/index.ts";
import { controlPlaneNamespaces } from "../../api/mesh-namespaces/index.ts";
import type { SourceState } from "../../api/dashboard/index.ts";
import type { Pod, WebhookConfiguration } from "../../api/kubernetes/index.ts";
import { engineId, podOfProxyId, type ConnectedProxy, type RootsReport } from "../../api/serin/index.ts";
import { noPilots, type PilotReports } from "../views/index.ts";
import type { AskPod, PodAddress } from "./pod-http.ts";

const askIntervalMs = 2000;
const rootsIntervalMs = 15_000;
const timeoutMs = 2500;
const debugPort = 8080;
/** How often to check whether anybody follows a view with proxies. If nobody does, no control plane is asked. */
const idleCheckMs = 250;

export interface PilotWatcherOptions {
  readonly ask: AskPod;
  readonly clock: Clock;
  readonly pods: () => readonly Pod[];
  readonly injectors: () => readonly WebhookConfiguration[];
  readonly isWanted: () => boolean;
  readonly onChange: () => void;
}

interface Pilot {
  readonly address: PodAddress;
  readonly revision: string;
  proxies: readonly ConnectedProxy[];
  answer: string;
  root: string;
  rootAtMs: number;
  asOfMs: number | undefined;
  problem: string | undefined;
}

export class PilotWatcher {
  readonly #options: PilotWatcherOptions;
  readonly #pilots = new Map<string, Pilot>();
  #reports: PilotReports = noPilots;
  #asked = false;

  constructor(options: PilotWatcherOptions) {
    this.#options = options;
  }

  get reports(): PilotReports {
    return this.#reports;
  }

  /** One for each control plane pod. */
  sources(): SourceState[] {
    if (!this.#asked) return [];
    if (this.#pilots.size === 0)
      return [
        {
          name: "pilots",
          ok: false,
          problem:
            "no control plane runs in this cluster (to install one: serin install), or you may not read its pods",
        },
      ];
    return [...this.#pilots.values()].map(({ address, asOfMs, problem }) => ({
      name: `pilot ${address.pod}`,
      ok: problem === undefined,
      ...(asOfMs === undefined ? {} : { asOfMs }),
      ...(problem === undefined ? {} : { problem }),
    }));
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, isWanted } = this.#options;
    while (!signal.aborted) {
      if (!isWanted()) {
        await clock.sleep(idleCheckMs, signal).catch(() => undefined);
        continue;
      }
      await this.#round(signal);
      await clock.sleep(askIntervalMs, signal).catch(() => undefined);
    }
  }

  async #round(signal: AbortSignal): Promise<void> {
    const before = this.#state();
    this.#findPilots();
    const answers = [...this.#pilots.values()].map(({ answer }) => answer);
    await Promise.all([...this.#pilots.values()].map(async (pilot) => await this.#ask(pilot, signal)));
    const isNew =
      !this.#asked ||
      before !== this.#state() ||
      [...this.#pilots.values()].some(({ answer }, index) => answer !== answers[index]);
    this.#asked = true;
    if (!isNew || signal.aborted) return;
    const all = [...this.#pilots.values()];
    this.#reports = {
      proxies: all.flatMap(({ proxies }) => proxies),
      roots: new Map(all.filter(({ root }) => root !== "").map(({ revision, root }) => [revision, root])),
      answered: all.filter(({ problem }) => problem === undefined).length,
      silent: all.flatMap(({ address: { pod }, revision, problem }) =>
        problem === undefined ? [] : [{ pod, revision, problem }],
      ),
    };
    this.#options.onChange();
  }

  /** A text that changes if the set of pilots or one of their answers changes. */
  #state(): string {
    return JSON.stringify(
      [...this.#pilots.values()].map(({ address: { pod }, answer, root, problem }) => [
        pod,
        answer.length,
        root,
        problem,
      ]),
    );
  }

  #findPilots(): void {
    const found = new Set<string>();
    const namespaces = controlPlaneNamespaces(this.#options.injectors());
    for (const { metadata, status } of this.#options.pods()) {
      if (
        metadata.labels?.["app"] !== "istiod" ||
        !namespaces.has(metadata.namespace ?? "") ||
        status?.phase !== "Running" ||
        metadata.deletionTimestamp !== undefined ||
        isInsideAddress(status.podIP ?? "")
      )
        continue;
      const key = metadata.uid ?? metadata.name ?? "";
      found.add(key);
      if (this.#pilots.has(key)) continue;
      const address = {
        namespace: metadata.namespace ?? "",
        pod: metadata.name ?? "",
        ip: status.podIP ?? "",
        port: debugPort,
      };
      this.#pilots.set(key, {
        address,
        revision: metadata.labels[istioLabels.revision] ?? "default",
        proxies: [],
        answer: "",
        root: "",
        rootAtMs: -rootsIntervalMs,
        asOfMs: undefined,
        problem: undefined,
      });
    }
    for (const key of this.#pilots.keys()) if (!found.has(key)) this.#pilots.delete(key);
  }

  async #ask(pilot: Pilot, signal: AbortSignal): Promise<void> {
    const { ask, clock } = this.#options;
    const timeout = AbortSignal.timeout(timeoutMs);
    const within = AbortSignal.any([signal, timeout]);
    try {
      let answer = await ask(pilot.address, "/debug/serin/proxies", within);
      const isOwn = answer.status !== 404;
      if (!isOwn) answer = await ask(pilot.address, "/debug/syncz", within);
      if (answer.status === 401 || answer.status === 403)
        throw new Error(
          `it lists its proxies only to clients in its own pod (status ${answer.status}): serin dashboard --local shows them to a user who may forward its ports`,
        );
      if (answer.status !== 200) throw new Error(`it answers ${answer.status}`);
      const { text } = answer;
      if (text !== pilot.answer) pilot.proxies = isOwn ? connectedProxies(text) : syncedProxies(text, pilot);
      pilot.answer = text;
      pilot.asOfMs = clock.nowMs();
      pilot.problem = undefined;
      if (isOwn && clock.steadyMs() - pilot.rootAtMs > rootsIntervalMs) await this.#askRoot(pilot, within);
    } catch (error) {
      const reason = timeout.aborted ? `no answer within ${timeoutMs / 1000} s` : messageOf(error);
      pilot.problem = `it does not list its proxies: ${reason}`;
    }
  }

  async #askRoot(pilot: Pilot, signal: AbortSignal): Promise<void> {
    const { status, text } = await this.#options.ask(pilot.address, "/debug/serin/roots", signal);
    pilot.rootAtMs = this.#options.clock.steadyMs();
    if (status === 200) pilot.root = stringOf((JSON.parse(text) as RootsReport | null)?.signing);
  }
}

/**
 * Parses an answer and checks its form: views rely on the form, and a control plane of another release may answer
 * anything.
 */
function listIn(text: string): readonly Readonly<Record<string, unknown>>[] {
  const answer = JSON.parse(text) as unknown;
  if (answer === null) return [];
  if (!Array.isArray(answer)) throw new Error("its answer is not a list of proxies");
  return (answer as readonly unknown[]).filter(
    (element): element is Readonly<Record<string, unknown>> => typeof element === "object" && element !== null,
  );
}

function connectedProxies(text: string): ConnectedProxy[] {
  return listIn(text).map((proxy) => {
    const states = Object.entries(
      (proxy["types"] ?? {}) as Readonly<Record<string, Readonly<Record<string, unknown>> | null>>,
    );
    const types = Object.fromEntries(
      states.map(([url, state]) => [
        url,
        {
          sent: stringOf(state?.["sent"]),
          acked: stringOf(state?.["acked"]),
          nacked: stringOf(state?.["nacked"]),
          reason: typeof state?.["reason"] === "string" ? state["reason"] : null,
        },
      ]),
    );
    const [id, type, namespace, node] = ["id", "type", "namespace", "node"].map((name) => stringOf(proxy[name])) as [
      string,
      string,
      string,
      string,
    ];
    return {
      id,
      type,
      namespace,
      node,
      version: stringOf(proxy["version"]),
      revision: stringOf(proxy["revision"]),
      connectedAt: stringOf(proxy["connectedAt"]),
      types,
    };
  });
}

/**
 * Reads the answer of Istio's control planes. Its `<type>_sent` and `<type>_acked` are nonces. It gives no reason for a
 * rejection, and lists the rollout engine as a proxy while the engine connects to read it.
 */
function syncedProxies(text: string, { address, revision }: Pick<Pilot, "address" | "revision">): ConnectedProxy[] {
  const engine = engineId(address.namespace);
  const proxies = listIn(text).filter(({ proxy }) => proxy !== engine);
  return proxies.map((proxy) => {
    const id = stringOf(proxy["proxy"]);
    const words = Object.keys(proxy).flatMap((key) => (key.endsWith("_sent") ? [key.slice(0, -"_sent".length)] : []));
    const types = Object.fromEntries(
      words.map((word) => [
        upstreamTypes[word] ?? word,
        { sent: stringOf(proxy[`${word}_sent`]), acked: stringOf(proxy[`${word}_acked`]), nacked: "", reason: null },
      ]),
    );
    return {
      id,
      type: stringOf(proxy["proxy_type"]),
      namespace: podOfProxyId(id).namespace,
      node: "",
      version: stringOf(proxy["istio_version"]),
      revision,
      connectedAt: "",
      types,
    };
  });
}

const upstreamTypes: Readonly<Record<string, string>> = {
  cluster: "Cluster",
  listener: "Listener",
  endpoint: "ClusterLoadAssignment",
  route: "RouteConfiguration",
  extension_config: "TypedExtensionConfig",
};
