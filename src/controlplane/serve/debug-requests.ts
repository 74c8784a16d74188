import { create, fromJson, toBinary, type JsonValue } from "@bufbuild/protobuf";
import { anyPack, AnySchema, type Any } from "@bufbuild/protobuf/wkt";
import { userError } from "../../base/index.ts";
import { DeltaDiscoveryResponseSchema, DiscoveryResponseSchema } from "../../wire/discovery/index.ts";
import type { EnvoyTypes } from "../../wire/envoy-types/index.ts";
import { debugType } from "../../wire/xds/index.ts";
import type { DebugRequest } from "./debug-connection.ts";
import type { DebugAnswerer, DiscoveryServer } from "./discovery-server.ts";
import type { HttpAnswer } from "./http-endpoints.ts";
import { proxyConfigDump } from "./proxy-config-dump.ts";
import type { ProxyIdentity } from "./proxy-identity.ts";

/** Answers a path below `/debug/`, over HTTP or xDS. */
export type DebugRoute = (url: URL) => HttpAnswer | Promise<HttpAnswer>;

export interface DebugRequestsOptions {
  readonly routes: () => Readonly<Record<string, DebugRoute>>;
  readonly types: () => EnvoyTypes;
  /**
   * Whether this is the control plane's own namespace, whose callers may see everything. Other callers may see only the
   * proxies of their own namespace.
   */
  readonly isSystem: (namespace: string) => boolean;
  /** The answering control plane, in istioctl's form. */
  readonly instance: { readonly id: string; readonly version: string; readonly revision: string };
}

const syncType = `${debugType}/syncz`;
const dumpType = `${debugType}/config_dump`;
/** Paths of `istio.io/debug` that callers of other namespaces may request. */
const openToAll: ReadonlySet<string> = new Set(["config_dump"]);
/**
 * Whether a caller of this namespace may request a path below `/debug/`. Callers of the control plane's namespace may
 * request all paths, other callers only those about their own proxies.
 */
export function mayAskDebug(namespace: string, url: URL, isSystem: (namespace: string) => boolean): boolean {
  if (isSystem(namespace)) return true;
  const proxy = url.searchParams.get("proxyID") ?? "";
  return openToAll.has(url.pathname.slice("/debug/".length)) && proxy.endsWith(`.${namespace}`);
}

/** This is the text of Go's server, for which `istioctl` searches. */
const notFound = "404 page not found\n";

interface Answer {
  readonly resources: readonly { readonly name: string; readonly any: Any }[];
  readonly controlPlane: string | undefined;
}

/**
 * Answers `istio.io/debug` over a discovery stream, as `istioctl proxy-status` and `istioctl x internal-debug` ask.
 * Callers must have proven who they are.
 */
export class DebugRequests implements DebugAnswerer {
  readonly #options: DebugRequestsOptions;

  constructor(options: DebugRequestsOptions) {
    this.#options = options;
  }

  async answer(server: DiscoveryServer, proxy: ProxyIdentity, request: DebugRequest): Promise<Buffer> {
    if (!proxy.verified)
      throw userError(
        "unauthenticated",
        `${proxy.id} asks for ${request.typeUrl} without credentials that identify it`,
        {
          hint: "use the port with TLS and a service account token",
        },
      );
    const { resources, controlPlane } = await this.#resourcesOf(server, proxy, request);
    const header = {
      typeUrl: request.typeUrl,
      nonce: request.nonce,
      ...(controlPlane === undefined ? {} : { controlPlane: { identifier: controlPlane } }),
    };
    if (request.protocol === "delta")
      return Buffer.from(
        toBinary(
          DeltaDiscoveryResponseSchema,
          create(DeltaDiscoveryResponseSchema, {
            ...header,
            resources: resources.map(({ name, any }) => ({ name, resource: any })),
          }),
        ),
      );
    return Buffer.from(
      toBinary(
        DiscoveryResponseSchema,
        create(DiscoveryResponseSchema, { ...header, resources: resources.map(({ any }) => any) }),
      ),
    );
  }

  async #resourcesOf(server: DiscoveryServer, proxy: ProxyIdentity, { typeUrl, names }: DebugRequest): Promise<Answer> {
    const isVisible = (namespace: string): boolean =>
      namespace === proxy.namespace || this.#options.isSystem(proxy.namespace);
    const [name = ""] = names;
    switch (typeUrl) {
      case syncType:
        return { resources: this.#clientConfigs(server, isVisible), controlPlane: this.#identifier() };
      case dumpType:
        return { resources: names.length === 1 ? this.#dump(server, name, isVisible) : [], controlPlane: undefined };
      case debugType: {
        if (names.length !== 1) throw userError("bad-request", "exactly one debug request is required");
        const body = await this.#ask(server, proxy, name, isVisible);
        return {
          resources: [{ name, any: create(AnySchema, { typeUrl: debugType, value: Buffer.from(body) }) }],
          controlPlane: undefined,
        };
      }
      default:
        return { resources: [], controlPlane: undefined };
    }
  }

  async #ask(
    server: DiscoveryServer,
    proxy: ProxyIdentity,
    name: string,
    isVisible: (namespace: string) => boolean,
  ): Promise<string> {
    const url = URL.parse(`/debug/${name}`, "http://localhost");
    const path = url?.pathname ?? "";
    if (!this.#options.isSystem(proxy.namespace)) {
      if (!openToAll.has(path.slice("/debug/".length)))
        throw userError("not-allowed", `the debug info ${name} is not available for an identity of ${proxy.namespace}`);
      const namespace = namespaceOf(server, url?.searchParams.get("proxyID") ?? "");
      if (namespace === undefined || !isVisible(namespace)) return notFound;
    }
    const routes = this.#options.routes();
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
    return url === null || route === undefined ? notFound : (await route(url)).body;
  }

  #identifier(): string {
    const { id, version, revision } = this.#options.instance;
    return JSON.stringify({
      Component: "istiod",
      ID: id,
      Info: { version, revision, golang_version: "", status: "Clean", tag: version },
    });
  }

  /** The version of each type that each connected proxy was sent, and whether it has acknowledged that version. */
  #clientConfigs(server: DiscoveryServer, isVisible: (namespace: string) => boolean): Answer["resources"] {
    const types = this.#options.types();
    const desc = types.mustHave("envoy.service.status.v3.ClientConfig");
    return [...server.streams]
      .filter(({ proxy }) => isVisible(proxy.namespace))
      .map(({ proxy, subscriptions }) => {
        const id = `${proxy.type}~${proxy.address}~${proxy.id}~${proxy.domain}`;
        const config = {
          node: {
            id,
            metadata: { CLUSTER_ID: proxy.clusterId, NAMESPACE: proxy.namespace, ISTIO_VERSION: proxy.version },
          },
          genericXdsConfigs: [...subscriptions.values()]
            .map(({ typeUrl, sent, acknowledged, rejection }) => ({
              typeUrl,
              configStatus:
                rejection !== undefined
                  ? "ERROR"
                  : sent === ""
                    ? "NOT_SENT"
                    : acknowledged === sent
                      ? "SYNCED"
                      : "STALE",
              ...(rejection === undefined ? {} : { errorState: { details: rejection.reason } }),
            }))
            .toSorted((left, right) => (left.typeUrl < right.typeUrl ? -1 : 1)),
        };
        return {
          name: id,
          any: anyPack(desc, fromJson(desc, config as unknown as JsonValue, { registry: types.registry })),
        };
      });
  }

  /**
   * The parts of the proxy's dump, one resource each. Empty if the proxy is not connected here, or if the caller may
   * not see it.
   */
  #dump(server: DiscoveryServer, proxyId: string, isVisible: (namespace: string) => boolean): Answer["resources"] {
    const namespace = namespaceOf(server, proxyId);
    if (namespace === undefined || !isVisible(namespace)) return [];
    const types = this.#options.types();
    const dump = proxyConfigDump(server, proxyId, types) as
      | { readonly configs: readonly ({ readonly "@type": string } & Record<string, JsonValue>)[] }
      | undefined;
    return (dump?.configs ?? []).map(({ "@type": typeUrl, ...fields }) => {
      const desc = types.mustHave(typeUrl.slice(typeUrl.lastIndexOf("/") + 1));
      return { name: "", any: anyPack(desc, fromJson(desc, fields, { registry: types.registry })) };
    });
  }
}

function namespaceOf(server: DiscoveryServer, proxyId: string): string | undefined {
  return [...server.streams].find(({ proxy }) => proxy.id === proxyId)?.proxy.namespace;
}
