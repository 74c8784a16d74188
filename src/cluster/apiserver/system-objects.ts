// The objects that every cluster has: the system namespaces, the default roles and priority classes, and the Service
// `kubernetes`, through which pods reach the API server.
import { messageOf } from "../../base/index.ts";
import { groupVersionOf, serviceNameLabel, type UntypedObject } from "../../api/index.ts";
import { defaultClusterRoleBindings, defaultClusterRoles } from "../auth/index.ts";
import { systemPriorityClasses } from "../schema/system-priority-classes.ts";
import type { ServerParts } from "./context.ts";
import { updatedDefault } from "./default-role-upkeep.ts";
import { ApiError } from "./status.ts";
import { serverIntent } from "./write.ts";
import type { Writer, WriteIntent } from "./writer.ts";

interface AdvertisedAddress {
  readonly address: string;
  readonly port: number;
}

const systemNamespaces = ["kube-system", "kube-public", "kube-node-lease", "default"];
/** The Service, its EndpointSlice and its Endpoints share the name and the namespace. */
const own = { name: "kubernetes", namespace: "default" } as const;
const collections = ["/services", "discovery.k8s.io/endpointslices", "/endpoints"] as const;
const retryMs = 1000;

/**
 * Creates the objects that every cluster has, and restores the namespaces and the Service when somebody has deleted
 * them. `kubectl delete all --all` deletes the Service, without which no pod reaches the API server.
 *
 * kube-apiserver checks the Service every ten seconds and the namespaces every minute. Both servers restore roles and
 * priority classes only when they start.
 */
export class SystemObjects implements Disposable {
  readonly #parts: ServerParts;
  readonly #writer: Writer;
  readonly #advertised: AdvertisedAddress;
  readonly #subscriptions: Disposable[] = [];
  #isRestoring = false;

  constructor(parts: ServerParts, writer: Writer, advertised: AdvertisedAddress) {
    this.#parts = parts;
    this.#writer = writer;
    this.#advertised = advertised;
  }

  /**
   * Creates or corrects all objects, so that the Service points to the present address of this server. If a webhook or
   * a policy refuses an object, the call resolves all the same, and the server tries again later. A user can remove the
   * webhook only through this server.
   */
  async start(): Promise<void> {
    const [parts, writer] = [this.#parts, this.#writer];
    const roles = [...defaultClusterRoles(), ...defaultClusterRoleBindings()];
    const makeAll = async (): Promise<void> => {
      await this.#restore();
      await Promise.all(roles.map((object) => ensureRole(parts, writer, object)));
      await Promise.all(
        [...systemPriorityClasses].map(([name, fields]) =>
          ensureObject(parts, writer, {
            apiVersion: "scheduling.k8s.io/v1",
            kind: "PriorityClass",
            metadata: { name },
            ...fields,
          }),
        ),
      );
    };
    if (!(await this.#succeeds(makeAll))) void this.#repeat(makeAll);
    for (const key of ["/namespaces", ...collections])
      this.#subscriptions.push(
        parts.store.collection(key).subscribe((events) => {
          if (events.some(({ type }) => type === "DELETED") && !this.#isWhole()) void this.#restoreSoon();
        }),
      );
  }

  [Symbol.dispose](): void {
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
  }

  async #succeeds(make: () => Promise<void>): Promise<boolean> {
    try {
      await make();
      return true;
    } catch (error) {
      this.#parts.log.warn("a system object cannot be restored; trying again", { error: messageOf(error) });
      return false;
    }
  }

  async #repeat(make: () => Promise<void>): Promise<void> {
    const { clock, stopping } = this.#parts;
    do await clock.sleep(retryMs, stopping).catch(() => undefined);
    while (!stopping.aborted && !(await this.#succeeds(make)));
  }

  async #restoreSoon(): Promise<void> {
    if (this.#isRestoring) return;
    this.#isRestoring = true;
    const { clock, stopping } = this.#parts;
    try {
      while (!this.#isWhole() && !stopping.aborted) {
        if (!(await this.#succeeds(() => this.#restore()))) await clock.sleep(retryMs, stopping).catch(() => undefined);
      }
    } finally {
      this.#isRestoring = false;
    }
  }

  #isWhole(): boolean {
    const { store } = this.#parts;
    return (
      systemNamespaces.every((name) => store.latest("/namespaces", "", name) !== undefined) &&
      collections.every((key) => store.latest(key, own.namespace, own.name) !== undefined)
    );
  }

  async #restore(): Promise<void> {
    const [parts, writer] = [this.#parts, this.#writer];
    const { address, port } = this.#advertised;
    await Promise.all(
      systemNamespaces.map((name) =>
        ensureObject(parts, writer, { apiVersion: "v1", kind: "Namespace", metadata: { name } }),
      ),
    );
    await ensureObject(parts, writer, service(parts.services.address(1), port));
    await putObject(parts, writer, endpointSlice(address, port));
    await putObject(parts, writer, endpoints(address, port));
  }
}

function service(clusterIP: string, targetPort: number): UntypedObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { ...own, labels: { component: "apiserver", provider: "kubernetes" } },
    spec: {
      type: "ClusterIP",
      clusterIP,
      ports: [{ name: "https", port: 443, protocol: "TCP", targetPort }],
      sessionAffinity: "None",
    },
  };
}

function endpointSlice(address: string, port: number): UntypedObject {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { ...own, labels: { [serviceNameLabel]: own.name } },
    addressType: "IPv4",
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
    ports: [{ name: "https", port, protocol: "TCP" }],
  };
}

function endpoints(address: string, port: number): UntypedObject {
  return {
    apiVersion: "v1",
    kind: "Endpoints",
    metadata: { ...own, labels: { "endpointslice.kubernetes.io/skip-mirror": "true" } },
    subsets: [{ addresses: [{ ip: address }], ports: [{ name: "https", port, protocol: "TCP" }] }],
  };
}

async function ensureObject(parts: ServerParts, writer: Writer, object: UntypedObject): Promise<void> {
  const { name = "", namespace = "" } = object.metadata;
  const intent = intentFor(parts, object, namespace);
  if (parts.store.latest(intent.type.storageKey, namespace, name) !== undefined) return;
  await writer.create(intent, object);
}

async function ensureRole(parts: ServerParts, writer: Writer, object: UntypedObject): Promise<void> {
  await ensureObject(parts, writer, object);
  const { name = "" } = object.metadata;
  const intent = intentFor(parts, object, "");
  const stored = parts.store.latest(intent.type.storageKey, "", name)?.object;
  if (stored === undefined || updatedDefault(stored, object) === undefined) return;
  await writer.update(intent, name, (current) => updatedDefault(current, object) ?? current);
}

/**
 * Creates an object that belongs to the server, or replaces the content of the existing one. The metadata of an
 * existing object stay unchanged.
 */
async function putObject(parts: ServerParts, writer: Writer, object: UntypedObject): Promise<void> {
  const { name = "", namespace = "" } = object.metadata;
  const intent = intentFor(parts, object, namespace);
  if (parts.store.latest(intent.type.storageKey, namespace, name) === undefined) await writer.create(intent, object);
  else await writer.update(intent, name, (current) => ({ ...current, ...object, metadata: current.metadata }));
}

function intentFor(parts: ServerParts, object: UntypedObject, namespace: string): WriteIntent {
  const apiVersion = object.apiVersion ?? "v1";
  const { group, version } = groupVersionOf(apiVersion);
  const type = parts.registry.resourceOfKind(group, version, object.kind ?? "");
  if (type === undefined)
    throw new ApiError(500, "InternalError", `the schema has no kind ${object.kind ?? ""} in ${apiVersion}`);
  return { ...serverIntent(type, namespace), options: { kind: "CreateOptions", apiVersion: "meta.k8s.io/v1" } };
}
