import type { KubernetesObject } from "../../api/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { json, proxyConfigDump, syncStatus, type DebugRoute, type HttpAnswer } from "../serve/index.ts";
import { ambient } from "./ambient-answer.ts";
import { bounded, isWanted, type Budget } from "./bounded-answer.ts";
import type { ConfiguredKind, InspectionSources } from "./inspection-sources.ts";
import { clients, dump, instances, sidecarScope } from "./proxy-answers.ts";
import { endpointShards, serviceForm, services } from "./registry-answers.ts";

/**
 * The control plane's state, at upstream's paths below `/debug/` and in upstream's forms. `?namespace=` filters objects
 * that have one.
 */
export function inspectionRoutes(sources: InspectionSources): Readonly<Record<string, DebugRoute>> {
  const { discovery } = sources;
  return {
    "/debug/syncz": () => json(syncStatus(discovery)),
    "/debug/config_dump": (url) => {
      const proxy = url.searchParams.get("proxyID") ?? "";
      const found = proxyConfigDump(discovery, proxy, sources.types());
      return found === undefined
        ? { status: 404, body: `proxy "${proxy}" is not connected to this control plane\n` }
        : json(found);
    },
    "/debug/adsz": (url) => bounded((budget) => clients(discovery, url, budget, { withWatches: true })),
    "/debug/connections": (url) => bounded((budget) => clients(discovery, url, budget, { withWatches: false })),
    "/debug/edsz": (url) => dump(sources, url, typeUrls.endpoint),
    "/debug/ndsz": (url) => dump(sources, url, typeUrls.nameTable),
    "/debug/ecdsz": (url) => dump(sources, url, typeUrls.extensionConfig),
    "/debug/registryz": (url) =>
      bounded((budget) => services(sources, url).map((service) => (budget.take(), serviceForm(service)))),
    "/debug/endpointz": (url) => bounded((budget) => endpointShards(sources, url, budget)),
    "/debug/endpointShardz": (url) => bounded((budget) => endpointShards(sources, url, budget)),
    "/debug/instancesz": (url) => bounded((budget) => instances(sources, url, budget)),
    "/debug/configz": (url) =>
      bounded((budget) => configured(sources, url).map(({ object }) => (budget.take(), object))),
    "/debug/resourcesz": () =>
      json(
        sources.configuration().map(({ kind: { group, versions, kind } }) => ({ group, version: versions[0], kind })),
      ),
    "/debug/authorizationz": (url) =>
      bounded((budget) => ({
        authorization_policies: byNamespace(sources, url, budget, "AuthorizationPolicy", "namespace_to_policies"),
      })),
    "/debug/telemetryz": (url) =>
      bounded((budget) => ({
        telemetries: byNamespace(sources, url, budget, "Telemetry", "namespace_to_telemetries"),
      })),
    "/debug/networkz": () => json(gateways(sources)),
    // As in upstream, the answer is null if there are none.
    "/debug/mcsz": () =>
      bounded((budget) => {
        const found = sources.multiCluster();
        budget.take(found.length);
        return found.length === 0 ? null : found;
      }),
    "/debug/ambientz": () => bounded((budget) => ambient(sources, budget)),
    "/debug/mesh": () => json(sources.meshConfig() ?? {}),
    "/debug/sidecarz": (url) => sidecarScope(sources, url),
    "/debug/krtz": () =>
      json(
        sources
          .collections()
          .map(({ name, stats }, index) => ({ uid: index + 1, name, state: { synced: true, ...stats } })),
      ),
  };
}

/** Upstream's pages about internals that Serin does not have. The value says where to look instead. */
const withoutCounterpart: Readonly<Record<string, string>> = {
  "/debug/cachez":
    "this control plane has no cache of responses to show or to clear: it encodes each resource once, when its inputs change; see /debug/krtz for the resources",
  "/debug/inject":
    "the built-in templates are code of this control plane, not text; custom templates are in the ConfigMap istio-sidecar-injector, and serin kube-inject shows the injected pod",
  "/debug/push_status":
    "this control plane does not push the whole mesh, so there is no push status: see /debug/syncz for what each proxy has, and /metrics for rejections",
  "/debug/pushcontext":
    "this control plane has no push context: see /debug/configz, /debug/registryz, /debug/endpointShardz and /debug/sidecarz for the sources of the proxies' configuration",
};

/**
 * Adds upstream's list of all paths (without the common prefix and the list itself), and an HTML page with these paths.
 */
export function withIndex(routes: Readonly<Record<string, DebugRoute>>): Readonly<Record<string, DebugRoute>> {
  const paths = Object.keys(routes)
    .filter((path) => path.startsWith("/debug/"))
    .toSorted();
  const links = [...paths, "/debug/list"].map((path) => `<li><a href="${path}">${path}</a></li>\n`);
  return {
    ...Object.fromEntries(
      Object.entries(withoutCounterpart).map(([path, words]) => [
        path,
        (): HttpAnswer => ({ status: 501, body: `${words}\n` }),
      ]),
    ),
    ...routes,
    "/debug/list": () => json(paths.map((path) => path.slice("/debug/".length))),
    "/debug": () => ({
      status: 200,
      contentType: "text/html; charset=utf-8",
      body: `<!doctype html>\n<title>istiod</title>\n<ul>\n${links.join("")}</ul>\n`,
    }),
  };
}

function configured(
  { configuration }: InspectionSources,
  url: URL,
): readonly { readonly kind: ConfiguredKind; readonly object: KubernetesObject }[] {
  return configuration().flatMap(({ kind, informer }) =>
    [...informer.list()]
      .filter(({ metadata }) => isWanted(url, metadata.namespace ?? ""))
      .map((object) => ({
        kind,
        object: { ...object, apiVersion: `${kind.group}/${kind.versions[0]}`, kind: kind.kind },
      })),
  );
}

function byNamespace(sources: InspectionSources, url: URL, budget: Budget, kind: string, list: string): unknown {
  const found = new Map<string, unknown[]>();
  for (const { kind: definition, object } of configured(sources, url)) {
    if (definition.kind !== kind) continue;
    budget.take();
    const { name = "", namespace = "", annotations } = object.metadata;
    const annotated = kind === "AuthorizationPolicy" ? { annotations: annotations ?? null } : {};
    const ofNamespace = found.get(namespace) ?? [];
    ofNamespace.push({ name, namespace, ...annotated, spec: "spec" in object ? object.spec : {} });
    found.set(namespace, ofNamespace);
  }
  return { [list]: Object.fromEntries(found), root_namespace: sources.rootNamespace() };
}

function gateways({ networkGateways }: InspectionSources): unknown {
  const all = [...networkGateways.resolved.values()].flatMap(({ all: found }) => found);
  return all.map(({ network, cluster, address, port, hbonePort }) => ({
    Network: network,
    Cluster: cluster,
    Addr: address,
    Port: port,
    HBONEPort: hbonePort,
    ServiceAccount: { Namespace: "", Name: "" },
  }));
}
