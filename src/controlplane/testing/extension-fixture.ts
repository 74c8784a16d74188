import { create, fromBinary, toBinary, toJson, type JsonObject } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import type { KubernetesObject } from "../../api/index.ts";
import { createLogger } from "../../base/index.ts";
import { DeltaDiscoveryRequestSchema } from "../../wire/discovery/index.ts";
import { localClusterName, typeUrls } from "../../wire/xds/index.ts";
import { envoyTypes } from "../envoy-types-file.ts";
import type { ServedMesh } from "../served-mesh.ts";
import type { ResourceView } from "../serve/resource-views/resource-view.ts";
import type { EncodedResource } from "../translate/index.ts";
import { createServedFixture } from "./served-fixture.ts";

export interface TestProxy {
  readonly type?: "sidecar" | "router" | "waypoint";
  /** The `namespace/name` of an existing pod. */
  readonly pod: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly address?: string;
  readonly version?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Whether the proxy's identity is proven. True if absent. */
  readonly verified?: boolean;
  /** Whether the proxy is an Envoy. Otherwise, it is Serin's own. */
  readonly envoy?: boolean;
}

export interface ProxyResources {
  readonly view: (typeUrl: string) => ResourceView;
  readonly get: (typeUrl: string, name: string) => EncodedResource | undefined;
  /** The resources by name, as JSON. */
  readonly show: (typeUrl: string) => Readonly<Record<string, JsonObject>>;
}

/**
 * A whole mesh with its extensions, filled with objects. Each proxy is represented by the resources that its streams
 * may get.
 */
export function createExtensionFixture() {
  const logged: string[] = [];
  const log = createLogger({ scope: "test", level: "warn", write: (line) => void logged.push(line) });
  const { mesh, metrics, change } = createServedFixture({
    log,
    refused: (object, issues) =>
      logged.push(
        `refused ${object.metadata.name ?? ""}: ${issues.map(({ path, message }) => `${path}: ${message}`).join("; ")}`,
      ),
  });
  return {
    logged,
    metrics,
    inputs: mesh.inputs,
    apply: (...objects: readonly KubernetesObject[]) => change(objects),
    remove: (...objects: readonly KubernetesObject[]) => change([], objects),
    connect: (proxy: TestProxy): ProxyResources => connect(mesh, proxy),
  };
}

function connect(
  mesh: ServedMesh,
  {
    type = "sidecar",
    pod,
    labels = {},
    address = "10.0.0.1",
    version = "1.31.0",
    metadata = {},
    envoy = true,
    verified = true,
  }: TestProxy,
): ProxyResources {
  const [namespace = "", name = ""] = pod.split("/");
  const node = {
    id: `${type}~${address}~${name}.${namespace}~${namespace}.svc.cluster.local`,
    userAgentName: envoy ? "envoy" : "serin",
    metadata: { ISTIO_VERSION: version, NAMESPACE: namespace, LABELS: { ...labels }, ...metadata },
  };
  const client = mesh.discovery.connect("delta", { write: () => true }, () => verified);
  const subscribe = (typeUrl: string, name: string): void =>
    client.receive(
      toBinary(
        DeltaDiscoveryRequestSchema,
        create(DeltaDiscoveryRequestSchema, { node, typeUrl, resourceNamesSubscribe: [name] }),
      ),
    );
  for (const typeUrl of [typeUrls.cluster, typeUrls.listener, typeUrls.route, typeUrls.extensionConfig])
    subscribe(typeUrl, "*");
  subscribe(typeUrls.endpoint, localClusterName);
  const stream = [...mesh.discovery.streams].at(-1);
  const view = (typeUrl: string): ResourceView => {
    const found = stream?.subscriptions.get(typeUrl)?.view;
    if (found === undefined) throw new Error(`the proxy did not ask for ${typeUrl}`);
    return found;
  };
  return {
    view,
    get: (typeUrl, wanted) => view(typeUrl).get(wanted),
    show: (typeUrl) =>
      Object.fromEntries([...view(typeUrl).all()].map((resource) => [resource.name, showResource(resource)])),
  };
}

export function showResource({ any }: EncodedResource): JsonObject {
  const { typeUrl, value } = fromBinary(AnySchema, any);
  const desc = envoyTypes().mustHave(typeUrl.slice(typeUrl.lastIndexOf("/") + 1));
  return toJson(desc, fromBinary(desc, value), {
    registry: envoyTypes().registry,
    useProtoFieldName: true,
  }) as JsonObject;
}
