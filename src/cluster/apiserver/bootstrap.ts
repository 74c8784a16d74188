import type { UntypedObject } from "../../api/index.ts";
import { defaultClusterRoleBindings, defaultClusterRoles, serverUser } from "../auth/index.ts";
import type { ServerParts } from "./context.ts";
import { ApiError } from "./status.ts";
import type { Writer, WriteIntent } from "./writer.ts";

const systemNamespaces = ["kube-system", "kube-public", "kube-node-lease", "default"];

export interface AdvertisedAddress {
  readonly address: string;
  readonly port: number;
}

/** Creates those objects that each cluster has and that are missing. */
export async function createInitialObjects(
  parts: ServerParts,
  writer: Writer,
  advertised: AdvertisedAddress,
): Promise<void> {
  await Promise.all(
    systemNamespaces.map((name) => ensure(parts, writer, { apiVersion: "v1", kind: "Namespace", metadata: { name } })),
  );
  const roles = [...defaultClusterRoles(), ...defaultClusterRoleBindings()];
  await Promise.all(roles.map((object) => ensure(parts, writer, object)));
  await ensure(parts, writer, kubernetesService(parts, advertised.port));
  await ensureEndpoints(parts, writer, advertised);
}

function intentFor(parts: ServerParts, object: UntypedObject, namespace: string): WriteIntent {
  const apiVersion = object.apiVersion ?? "v1";
  const [group = "", version = ""] = apiVersion.includes("/") ? apiVersion.split("/") : ["", apiVersion];
  const type = parts.registry.resourceOfKind(group, version, object.kind ?? "");
  if (type === undefined)
    throw new ApiError(500, "InternalError", `the schema has no kind ${object.kind ?? ""} in ${apiVersion}`);
  const options = { kind: "CreateOptions", apiVersion: "meta.k8s.io/v1" } as const;
  return {
    user: serverUser,
    type,
    namespace,
    subresource: "",
    manager: "kube-apiserver",
    dryRun: false,
    options,
    warnings: [],
  };
}

async function ensure(parts: ServerParts, writer: Writer, object: UntypedObject): Promise<void> {
  const { name = "", namespace = "" } = object.metadata;
  const intent = intentFor(parts, object, namespace);
  if (parts.store.latest(intent.type.storageKey, namespace, name) !== undefined) return;
  await writer.create(intent, object);
}

function kubernetesService(parts: ServerParts, targetPort: number): UntypedObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "kubernetes", namespace: "default", labels: { component: "apiserver", provider: "kubernetes" } },
    spec: {
      type: "ClusterIP",
      clusterIP: parts.services.address(1),
      ports: [{ name: "https", port: 443, protocol: "TCP", targetPort }],
      sessionAffinity: "None",
    },
  };
}

/** Points the Service `kubernetes` to the current address of this server. */
async function ensureEndpoints(
  parts: ServerParts,
  writer: Writer,
  { address, port }: AdvertisedAddress,
): Promise<void> {
  const slice: UntypedObject = {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "kubernetes", namespace: "default", labels: { "kubernetes.io/service-name": "kubernetes" } },
    addressType: "IPv4",
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
    ports: [{ name: "https", port, protocol: "TCP" }],
  };
  const endpoints: UntypedObject = {
    apiVersion: "v1",
    kind: "Endpoints",
    metadata: {
      name: "kubernetes",
      namespace: "default",
      labels: { "endpointslice.kubernetes.io/skip-mirror": "true" },
    },
    subsets: [{ addresses: [{ ip: address }], ports: [{ name: "https", port, protocol: "TCP" }] }],
  };
  for (const object of [slice, endpoints]) {
    const intent = intentFor(parts, object, "default");
    if (parts.store.latest(intent.type.storageKey, "default", "kubernetes") === undefined)
      await writer.create(intent, object);
    else
      await writer.update(
        intent,
        "kubernetes",
        (current) => ({ ...current, ...object, metadata: current.metadata }),
        true,
      );
  }
}
