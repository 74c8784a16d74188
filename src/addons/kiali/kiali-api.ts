import { messageOf, userError, type Clock } from "../../base/index.ts";
import { namespaceKind, podKind } from "../../api/kubernetes/index.ts";
import { destinationRuleKind, istioGatewayKind, virtualServiceKind } from "../../api/istio/index.ts";
import { httpRouteKind } from "../../api/gateway/index.ts";
import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import { htmlAnswer, jsonAnswer, redirectTo, textAnswer, type QueryPrometheus, type WebAnswer, type WebRequest } from "../web/index.ts";
import { graphJson, graphTypes } from "./graph-json.ts";
import { graphPage } from "./graph-page.ts";
import type { KialiConfig } from "./kiali-config.ts";
import { meshGraph, type MeshGraph } from "./mesh-graph.ts";
import { measureTraffic } from "./traffic.ts";

export interface KialiApiOptions {
  readonly config: KialiConfig;
  readonly client: KubeClient;
  readonly query: QueryPrometheus;
  readonly clock: Clock;
  readonly version: string;
}

const defaultDurationSeconds = 60;
const maxDurationSeconds = 7 * 86_400;

/** The page and the part of Kiali's API that tells of the graph; what it does not know it says by a 404. */
export class KialiApi {
  readonly #options: KialiApiOptions;

  constructor(options: KialiApiOptions) {
    this.#options = options;
  }

  async handle({ path, params }: WebRequest): Promise<WebAnswer> {
    const { webRoot } = this.#options.config;
    if (path === "/") return redirectTo(`${webRoot}/`);
    if (!path.startsWith(webRoot)) return notFound(path);
    const own = path.slice(webRoot.length).replace(/\/+$/, "");
    try {
      switch (own) {
        case "":
        case "/console":
        case "/console/overview":
        case "/console/graph/namespaces":
          return await this.#page(params);
        case "/healthz":
          return textAnswer("");
        case "/api":
        case "/api/status":
          return jsonAnswer(await this.#status());
        case "/api/namespaces":
          return jsonAnswer(await this.#namespaces());
        case "/api/namespaces/graph":
          return jsonAnswer(await this.#graphJson(params));
        default:
          return notFound(path);
      }
    } catch (error) {
      return jsonAnswer({ error: messageOf(error), detail: "" }, isBadRequest(error) ? 400 : 500);
    }
  }

  async #page(params: URLSearchParams): Promise<WebAnswer> {
    const { webRoot } = this.#options.config;
    const durationSeconds = durationOf(params);
    const namespace = params.get("namespaces") ?? "";
    const namespaces = (await this.#list(namespaceKind)).map(({ metadata }) => metadata.name ?? "").sort();
    const shown = { webRoot, durationSeconds, namespaces, namespace: namespace === "" ? undefined : namespace };
    try {
      return htmlAnswer(graphPage(await this.#graph(durationSeconds), shown));
    } catch (error) {
      return htmlAnswer(graphPage({ edges: [], rules: [] }, { ...shown, problem: messageOf(error) }));
    }
  }

  async #graph(durationSeconds: number): Promise<MeshGraph> {
    const [traffic, virtualServices, destinationRules, gateways, httpRoutes, pods] = await Promise.all([
      measureTraffic(this.#options.query, durationSeconds),
      this.#parsed(virtualServiceKind),
      this.#parsed(destinationRuleKind),
      this.#parsed(istioGatewayKind),
      this.#parsed(httpRouteKind),
      this.#list(podKind),
    ]);
    return meshGraph(traffic, { virtualServices, destinationRules, gateways, httpRoutes, pods });
  }

  /** A kind that the cluster does not have, or that this account may not read, has no objects here. */
  async #list<Value extends KubernetesObject>(kind: KindDefinition<Value>): Promise<readonly Value[]> {
    try {
      return (await this.#options.client.list(kind)).items;
    } catch (error) {
      if (isKubeCode(error, "not-found") || isKubeCode(error, "forbidden")) return [];
      throw error;
    }
  }

  async #parsed<Value extends KubernetesObject>(kind: KindDefinition<Value>): Promise<Value[]> {
    const items = await this.#list(kind);
    return items.flatMap((item) => kind.parse?.(item).value ?? []);
  }

  async #graphJson(params: URLSearchParams): Promise<unknown> {
    const durationSeconds = durationOf(params);
    const graphType = params.get("graphType") ?? "workload";
    const known = graphTypes.find((candidate) => candidate === graphType);
    if (known === undefined) throw userError("bad-parameter", `graphType: expected one of ${graphTypes.join(", ")}, got "${graphType}"`);
    const namespaces = (params.get("namespaces") ?? "").split(",").map((name) => name.trim()).filter((name) => name !== "");
    const injectServiceNodes = params.get("injectServiceNodes") !== "false";
    return graphJson(await this.#graph(durationSeconds), { namespaces, graphType: known, durationSeconds, injectServiceNodes, nowMs: this.#options.clock.nowMs() });
  }

  async #namespaces(): Promise<unknown> {
    const { rootNamespace } = this.#options.config;
    return (await this.#list(namespaceKind)).map(({ metadata: { name = "", labels = {}, annotations = {} } }) => ({
      name,
      cluster: "Kubernetes",
      isAmbient: labels["istio.io/dataplane-mode"] === "ambient",
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
      status: { "Kiali commit hash": "serin", "Kiali container version": version, "Kiali state": "running", "Kiali version": version, "Mesh name": "Istio", "Mesh version": version },
      externalServices: [
        { name: "Kubernetes", version: kubernetes },
        { name: "Prometheus", url: config.prometheusUrl },
      ],
      warningMessages: [],
      istioEnvironment: { isMaistra: false, istioAPIEnabled: true },
    };
  }
}

function durationOf(params: URLSearchParams): number {
  const text = params.get("duration") ?? "";
  const [, count = "", unit = "s"] = /^(\d+)([smhd]?)$/.exec(text === "" ? String(defaultDurationSeconds) : text) ?? [];
  const scale = { s: 1, m: 60, h: 3600, d: 86_400 }[unit === "" ? "s" : unit] ?? 1;
  const seconds = Number(count) * scale;
  if (count === "" || seconds < 1 || seconds > maxDurationSeconds) throw userError("bad-parameter", `duration: expected a time such as 60s or 10m, up to 7d, got "${text}"`);
  return seconds;
}

function isBadRequest(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "bad-parameter";
}

function notFound(path: string): WebAnswer {
  return jsonAnswer({ error: `${path} is not known here` }, 404);
}
