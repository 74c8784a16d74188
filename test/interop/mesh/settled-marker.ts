// Tells a comparison when both control planes have read the objects that were applied before the marker.
import { fromBinary } from "@bufbuild/protobuf";
import type { UntypedObject } from "../../../src/api/index.ts";
import { DiscoveryTestClient } from "../../../src/controlplane/serve/testing/discovery-client.ts";
import { ClusterLoadAssignmentSchema, type LbEndpoint } from "../../../src/wire/envoy/index.ts";
import { typeUrls } from "../../../src/wire/xds/index.ts";
import { nodeId, nodeMetadata, type MeshNode } from "./nodes.ts";
import type { ObjectStore } from "./object-store.ts";

const namespace = "settled";
const markerHost = "settled.interop";
const cluster = `outbound|80||${markerHost}`;
const asker: MeshNode = {
  role: "sidecar",
  namespace,
  pod: "asker-1",
  account: "asker",
  address: "10.244.1.250",
  labels: { app: "asker" },
};
/** How long to wait for the marker. Some configurations exclude its namespace, so it never comes. */
const patienceMs = 10_000;

/** Whether a resource exists because of the marker, so that its differences do not count. */
export function isOfMarker(resource: string): boolean {
  return resource.includes(markerHost) || resource.includes(`/${namespace}/`);
}

/**
 * A ServiceEntry that is changed last. A control plane that sends its newest address has very likely read the earlier
 * objects too. This is not certain, because each kind has a watch of its own.
 */
export class SettledMarker {
  readonly #objects: ObjectStore;
  readonly #watches: readonly AddressWatch[];
  #count = 0;

  private constructor(objects: ObjectStore, watches: readonly AddressWatch[]) {
    this.#objects = objects;
    this.#watches = watches;
  }

  /** `ports` are those at which the control planes serve discovery without TLS. */
  static async create(objects: ObjectStore, ports: readonly number[], version: string): Promise<SettledMarker> {
    await objects.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
    return new SettledMarker(
      objects,
      ports.map((port) => new AddressWatch(port, version)),
    );
  }

  /** Changes the marker. Resolves when all control planes serve the change, or after {@link patienceMs}. */
  async passed(): Promise<void> {
    this.#count += 1;
    const address = `198.18.${this.#count >> 8}.${this.#count & 255}`;
    const object: UntypedObject & { readonly spec: object } = {
      apiVersion: "networking.istio.io/v1",
      kind: "ServiceEntry",
      metadata: { name: "settled", namespace },
      spec: {
        hosts: [markerHost],
        exportTo: ["."],
        location: "MESH_EXTERNAL",
        resolution: "STATIC",
        ports: [{ number: 80, name: "http", protocol: "HTTP" }],
        endpoints: [{ address }],
      },
    };
    await this.#objects.create(object);
    await Promise.all(this.#watches.map(async (watch) => await watch.until(address, patienceMs)));
  }

  close(): void {
    for (const watch of this.#watches) watch.close();
  }
}

class AddressWatch {
  readonly #client: DiscoveryTestClient<"delta">;
  #addresses: readonly string[] = [];
  #onChange: (() => void) | undefined;

  constructor(port: number, version: string) {
    this.#client = new DiscoveryTestClient("delta", `127.0.0.1:${port}`, nodeId(asker), {
      metadata: nodeMetadata(asker, version) as Record<string, string>,
      userAgentName: "envoy",
    });
    this.#client.send({ typeUrl: typeUrls.endpoint, resourceNamesSubscribe: [cluster] });
    void this.#listen().catch(() => undefined);
  }

  async until(address: string, timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!this.#addresses.includes(address)) {
      const leftMs = deadline - Date.now();
      if (leftMs <= 0) return;
      const timer = setTimeout(() => this.#onChange?.(), leftMs);
      await new Promise<void>((resolve) => (this.#onChange = resolve));
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#client.close();
  }

  async #listen(): Promise<void> {
    for (;;) {
      const response = await this.#client.next();
      this.#client.send({ typeUrl: response.typeUrl, responseNonce: response.nonce });
      for (const { resource } of response.resources) {
        if (resource === undefined) continue;
        const { endpoints } = fromBinary(ClusterLoadAssignmentSchema, resource.value);
        this.#addresses = endpoints.flatMap(({ lbEndpoints }) =>
          lbEndpoints.map(({ hostIdentifier }) => addressIn(hostIdentifier)),
        );
      }
      this.#onChange?.();
    }
  }
}

function addressIn(identifier: LbEndpoint["hostIdentifier"]): string {
  const address = identifier.case === "endpoint" ? identifier.value.address?.address : undefined;
  return address?.case === "socketAddress" ? address.value.address : "";
}
