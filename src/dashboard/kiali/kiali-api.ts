import { istioLabels } from "../../api/istio/index.ts";
import { namespaceKind } from "../../api/kubernetes/index.ts";
import { messageOf, userError, type Clock, withoutEnd } from "../../base/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import type { Identity, OtherAnswer } from "../server/index.ts";
import { isVisible, type TrafficEdge, type VisibleNamespaces } from "../views/index.ts";
import { graphJson, graphTypes } from "./graph-json.ts";
import type { KialiConfig } from "./kiali-config.ts";

export interface KialiApiOptions {
  readonly config: KialiConfig;
  /** The client of the server's own account. It lists the namespaces. */
  readonly client: KubeClient;
  readonly traffic: (windowSeconds: number) => Promise<readonly TrafficEdge[]>;
  readonly clock: Clock;
  readonly version: string;
}

const defaultDurationSeconds = 60;
const maxDurationSeconds = 7 * 86_400;

/** The part of Kiali's API about the graph, below its web root. */
export class KialiApi {
  readonly #options: KialiApiOptions;

  constructor(options: KialiApiOptions) {
    this.#options = options;
  }

  /** Answers a request to Kiali's API. Undefined if the path is unknown. */
  async answer(path: string, params: URLSearchParams, identity: Identity): Promise<OtherAnswer | undefined> {
    try {
      switch (withoutEnd(path, "/")) {
        case "/api":
        case "/api/status":
          return { status: 200, body: await this.#status() };
        case "/api/namespaces":
          return { status: 200, body: await this.#namespaces(identity) };
        case "/api/namespaces/graph":
          return { status: 200, body: await this.#graph(params, identity) };
        default:
          return undefined;
      }
    } catch (error) {
      return { status: isKubeCode(error, "bad-request") ? 400 : 500, body: { error: messageOf(error), detail: "" } };
    }
  }

  async #graph(params: URLSearchParams, identity: Identity): Promise<unknown> {
    const durationSeconds = durationOf(params);
    const graphType = params.get("graphType") ?? "workload";
    const known = graphTypes.find((candidate) => candidate === graphType);
    if (known === undefined)
      throw userError("bad-request", `graphType: expected one of ${graphTypes.join(", ")}, got "${graphType}"`);
    const namespaces = (params.get("namespaces") ?? "")
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== "");
    const injectServiceNodes = params.get("injectServiceNodes") !== "false";
    const visible = await identity.namespaces();
    const edges = (await this.#options.traffic(durationSeconds))
      .filter(({ source, destination, service }) =>
        [source.namespace, destination.namespace, service.namespace].some((name) => isVisible(visible, name)),
      )
      .map((edge) => withoutHidden(edge, visible));
    return graphJson(edges, {
      namespaces,
      graphType: known,
      durationSeconds,
      injectServiceNodes,
      nowMs: this.#options.clock.nowMs(),
    });
  }

  async #namespaces(identity: Identity): Promise<unknown> {
    const { rootNamespace } = this.#options.config;
    const visible = await identity.namespaces();
    const { items } = await this.#options.client.list(namespaceKind);
    return items
      .filter(({ metadata }) => isVisible(visible, metadata.name ?? ""))
      .map(({ metadata: { name = "", labels = {}, annotations = {} } }) => ({
        name,
        cluster: "Kubernetes",
        isAmbient: labels[istioLabels.dataplaneMode] === "ambient",
        isControlPlane: name === rootNamespace,
        labels,
        annotations,
      }));
  }

  async #status(): Promise<unknown> {
    const { config, version, client } = this.#options;
    const kubernetes = await client.raw("GET", "/version").then(
      ({ text }) => (JSON.parse(text) as { gitVersion?: string }).gitVersion ?? "",
      () => "",
    );
    return {
      status: {
        "Kiali commit hash": "serin",
        "Kiali container version": version,
        "Kiali state": "running",
        "Kiali version": version,
        "Mesh name": "Istio",
        "Mesh version": version,
      },
      externalServices: [
        { name: "Kubernetes", version: kubernetes },
        { name: "Prometheus", url: config.prometheusUrl },
      ],
      warningMessages: [],
      istioEnvironment: { isMaistra: false, istioAPIEnabled: true },
    };
  }
}

const unknownEnd = { namespace: "unknown", workload: "unknown", app: "unknown", version: "unknown" } as const;
const unknownService = { namespace: "unknown", name: "unknown", host: "unknown" } as const;

/** Replaces workloads in namespaces that the reader may not see with `unknown`, as on the page. */
function withoutHidden(edge: TrafficEdge, visible: VisibleNamespaces): TrafficEdge {
  const isShown = ({ namespace }: { readonly namespace: string }): boolean =>
    namespace === "unknown" || isVisible(visible, namespace);
  const { source, destination, service } = edge;
  return {
    ...edge,
    source: isShown(source) ? source : { ...source, ...unknownEnd },
    destination: isShown(destination) ? destination : { ...destination, ...unknownEnd },
    service: isShown(service) ? service : { ...service, ...unknownService },
  };
}

function durationOf(params: URLSearchParams): number {
  const text = params.get("duration") ?? "";
  const [, count = "", unit = "s"] = /^(\d+)([smhd]?)$/.exec(text === "" ? String(defaultDurationSeconds) : text) ?? [];
  const scale = { s: 1, m: 60, h: 3600, d: 86_400 }[unit === "" ? "s" : unit] ?? 1;
  const seconds = Number(count) * scale;
  if (count === "" || seconds < 1 || seconds > maxDurationSeconds)
    throw userError("bad-request", `duration: expected a time such as 60s or 10m, up to 7d, got "${text}"`);
  return seconds;
}
