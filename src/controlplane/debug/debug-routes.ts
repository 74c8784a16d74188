import { moduleCacheSizes, userError } from "../../base/index.ts";
import { prometheusContentType, renderPrometheus, type MetricsRegistry } from "../../telemetry/index.ts";
import type { Authenticator, IssuedCertificates } from "../ca/index.ts";
import type { ControlPlaneSettings } from "../../api/pilot-settings/index.ts";
import { envoyTypes } from "../envoy-types-file.ts";
import type { MeshIngest } from "../ingest/index.ts";
import type { MeshClusters } from "../mesh-clusters.ts";
import { meshKey } from "../model/index.ts";
import { isClusterLocal } from "../model/service/cluster-local.ts";
import {
  acknowledgements,
  connectedProxies,
  goneProxies,
  forKnownCallers,
  forLoopback,
  json,
  mayAskDebug,
  rootsReport,
  type AuthenticateRequest,
  type DebugRoute,
  type HttpRoute,
  type ProxyIdentity,
} from "../serve/index.ts";
import type { ServedMesh } from "../served-mesh.ts";
import type { ControlPlaneIdentity } from "../serving-certificate.ts";
import { inspectionRoutes, withIndex } from "./inspection-routes.ts";
import { multiClusterServices } from "./multi-cluster-answer.ts";

export type ControlPlaneState = "starting" | "ready" | "draining";

export interface DebugSources {
  readonly settings: ControlPlaneSettings;
  readonly version: string;
  readonly metrics: MetricsRegistry;
  readonly mesh: ServedMesh;
  readonly ingest: MeshIngest;
  readonly clusters: MeshClusters;
  readonly authenticator: Authenticator;
  readonly issued: IssuedCertificates;
  readonly meshConfig: () => unknown;
  readonly state: () => ControlPlaneState;
}

const answerOf: Readonly<Record<ControlPlaneState, { readonly status: number; readonly body: string }>> = {
  starting: { status: 503, body: "not synced yet\n" },
  ready: { status: 200, body: "" },
  draining: { status: 503, body: "draining\n" },
};

/**
 * The routes of a control plane's HTTP ports: readiness, upstream's `/debug/` pages, Serin's own pages, and metrics.
 */
export class DebugRoutes {
  readonly #sources: DebugSources;

  constructor(sources: DebugSources) {
    this.#sources = sources;
  }

  /** Whether callers of a namespace may see all proxies. Only those of the control plane's own namespace may. */
  isSystem(namespace: string): boolean {
    return namespace === this.#rootNamespace();
  }

  #rootNamespace(): string {
    const { mesh, settings } = this.#sources;
    return mesh.inputs.mesh.get(meshKey)?.rootNamespace ?? settings.namespace;
  }

  /** A shadow control plane signs no certificates, so it has no identity of its own. */
  all(identity?: ControlPlaneIdentity): Readonly<Record<string, DebugRoute>> {
    const { settings, mesh, clusters, issued, state } = this.#sources;
    const { discovery, graph, inputs } = mesh;
    const routes: Readonly<Record<string, DebugRoute>> = {
      "/ready": () => answerOf[state()],
      ...this.#inspectionRoutes(),
      "/debug/clusterz": () => json(clusters.states(state() !== "starting")),
      "/debug/serin/proxies": (url) =>
        json([
          ...connectedProxies(
            discovery,
            settings.revision,
            (proxy) => inputs.pods.get(`${proxy.namespace}/${proxy.name}`)?.node ?? "",
            this.#isProven,
          ),
          // Proxies that have disconnected are listed only for callers that ask for them. Other callers would believe
          // that these proxies are connected.
          ...(url.searchParams.get("gone") === "true" ? goneProxies(discovery, settings.revision, this.#isProven) : []),
        ]),
      ...(identity === undefined
        ? {}
        : { "/debug/serin/roots": () => json(rootsReport(discovery, identity, issued, settings.revision)) }),
      "/debug/serin/acknowledged": (url) => json(this.#acknowledged(url.searchParams)),
      "/debug/serin/collections": () =>
        json({
          ...Object.fromEntries(graph.collections.map((collection) => [collection.name, collection.stats])),
          memos: graph.memos,
          caches: moduleCacheSizes(),
        }),
    };
    return withIndex(routes);
  }

  /**
   * Answers `/debug/` to callers inside the pod (a port-forward), and to callers whose token proves their namespace.
   */
  guarded(identity: ControlPlaneIdentity): Readonly<Record<string, HttpRoute>> {
    const authenticate: AuthenticateRequest = async ({ headers, socket }) =>
      await this.#sources.authenticator.authenticate({
        authorization: headers.authorization,
        certificate: undefined,
        clusterId: "",
        address: socket.remoteAddress ?? "",
      });
    const mayAsk = (namespace: string, url: URL): boolean =>
      mayAskDebug(namespace, url, (caller) => this.isSystem(caller));
    return Object.fromEntries(
      Object.entries<HttpRoute>(this.all(identity)).map(([path, route]) => [
        path,
        path === "/ready" ? route : forKnownCallers(route, authenticate, mayAsk),
      ]),
    );
  }

  /**
   * Whether a proxy has proved its identity. Without TLS, its address is the only proof: only the pod with this address
   * receives the answers.
   */
  readonly #isProven = ({
    verified,
    namespace,
    name,
    peer,
  }: Pick<ProxyIdentity, "verified" | "namespace" | "name" | "peer">): boolean =>
    verified || this.#sources.mesh.inputs.pods.get(`${namespace}/${name}`)?.addresses.includes(peer) === true;

  #inspectionRoutes(): Readonly<Record<string, DebugRoute>> {
    const { mesh, ingest, meshConfig } = this.#sources;
    return inspectionRoutes({
      ...mesh.model,
      ambient: mesh.ambient,
      discovery: mesh.discovery,
      configuration: () => ingest.configuration(),
      rootNamespace: () => this.#rootNamespace(),
      isClusterLocal: (hostname) => {
        const settings = mesh.inputs.mesh.get(meshKey);
        return settings !== undefined && isClusterLocal(hostname, settings);
      },
      multiCluster: () => multiClusterServices(mesh.inputs, mesh.model.registry),
      meshConfig,
      types: envoyTypes,
    });
  }

  #acknowledged(query: URLSearchParams): unknown {
    const parameter = (name: string): string => query.get(name) ?? "";
    const missing = ["kind", "name", "resourceVersion"].filter((name) => parameter(name) === "");
    if (missing.length > 0)
      throw userError(
        "bad-request",
        `the query needs ${missing.join(", ")} of an object, such as ?group=&kind=Pod&namespace=shop&name=web-1&resourceVersion=1`,
      );
    const namespace = parameter("namespace");
    const key = namespace === "" ? parameter("name") : `${namespace}/${parameter("name")}`;
    const { processed, generation } = this.#sources.ingest.processedVersion(
      parameter("group"),
      parameter("kind"),
      key,
      parameter("resourceVersion"),
    );
    const { mesh, settings } = this.#sources;
    const proxies = processed ? acknowledgements(mesh.discovery, generation, this.#isProven) : [];
    return { revision: settings.revision, processed, proxies };
  }

  /**
   * The routes of the monitoring port. They include the `/debug/` paths of the other port, because upstream's tools
   * request them here, over a port-forward.
   */
  monitoring(identity: ControlPlaneIdentity): Readonly<Record<string, HttpRoute>> {
    const { metrics, version } = this.#sources;
    const debug = Object.entries<HttpRoute>(this.all(identity)).filter(
      ([path]) => path === "/debug" || path.startsWith("/debug/"),
    );
    return {
      ...Object.fromEntries(debug.map(([path, route]) => [path, forLoopback(route)])),
      "/metrics": () => ({ status: 200, body: renderPrometheus(metrics), contentType: prometheusContentType }),
      "/version": () => ({ status: 200, body: version }),
    };
  }
}
