// Generates a mesh with a given number of services in memory, and makes changes in it.
import { keyOf, type KubernetesObject } from "../../src/api/index.ts";
import { createFeeds } from "../../src/controlplane/ingest/feeds.ts";
import type { ServedMesh } from "../../src/controlplane/served-mesh.ts";
import { config, namespace, node, pod, service, slice } from "../../src/controlplane/testing/model-fixture.ts";

export interface MeshSize {
  readonly services: number;
  readonly podsPerService: number;
  readonly namespaces: number;
  /** Every service whose number is a multiple of this has a VirtualService and a DestinationRule. */
  readonly routedEvery: number;
  /** Whether its namespaces and pods are in the ambient mesh. */
  readonly ambient: boolean;
}

const nodes = 10;
const zones = 3;
/** The second port that every tenth service has. */
const databasePort = 5432;

/** Generates objects in the form in which an API server returns them, and adds them to a mesh. */
export class GeneratedMesh {
  readonly size: MeshSize;
  readonly #take: (object: KubernetesObject) => void;
  readonly #mesh: ServedMesh;

  constructor(mesh: ServedMesh, size: MeshSize) {
    this.size = size;
    this.#mesh = mesh;
    const feeds = createFeeds(mesh.inputs, "default");
    this.#take = (object) => feeds.find(({ kind }) => kind.kind === object.kind)?.take(keyOf(object), object);
  }

  /** Adds all objects in one batch. */
  fill(): void {
    const { services, podsPerService, namespaces, routedEvery, ambient } = this.size;
    this.#apply(() => {
      this.#take(namespace("istio-system"));
      for (let index = 0; index < namespaces; index += 1)
        this.#take(
          namespace(
            this.#namespaceOf(index),
            ambient ? { "istio.io/dataplane-mode": "ambient" } : { "istio-injection": "enabled" },
          ),
        );
      for (let index = 0; index < nodes; index += 1) this.#take(node(`node-${index}`, `zone-${index % zones}`));
      for (let index = 0; index < services; index += 1) {
        this.#take(this.#service(index, nameOf(index)));
        for (let replica = 0; replica < podsPerService; replica += 1) this.#take(this.#pod(index, replica));
        this.#take(this.#slice(index, podsPerService));
        if (index % routedEvery !== 3 % routedEvery) continue;
        this.#take(this.#destinationRule(index));
        this.#take(this.#virtualService(index, 90));
      }
    });
  }

  /** Removes the last endpoint of service 3, or adds it again. */
  changeEndpoint(gone: boolean): void {
    this.#apply(() => this.#take(this.#slice(3, this.size.podsPerService - Number(gone))));
  }

  changeWeight(weight: number): void {
    this.#apply(() => this.#take(this.#virtualService(3, weight)));
  }

  changePod(label: string): void {
    this.#apply(() => this.#take(this.#pod(3, 1, { "service.istio.io/canonical-name": label })));
  }

  addService(name: string): void {
    this.#apply(() => this.#take(this.#service(3, name)));
  }

  /** Returns the node id and metadata of a pod's proxy. */
  proxyOf(index: number): { readonly id: string; readonly metadata: Record<string, string | Record<string, string>> } {
    const serviceIndex = index % this.size.services;
    const replica = Math.floor(index / this.size.services) % this.size.podsPerService;
    const [namespaceName = "", name = ""] = podKey(this.#namespaceOf(serviceIndex), serviceIndex, replica).split("/");
    return {
      id: `sidecar~${addressOf(serviceIndex * this.size.podsPerService + replica)}~${name}.${namespaceName}~${namespaceName}.svc.cluster.local`,
      metadata: {
        NAMESPACE: namespaceName,
        CLUSTER_ID: "Kubernetes",
        LABELS: labelsOf(serviceIndex, replica),
        NODE_NAME: nodeOf(serviceIndex, replica),
        ISTIO_VERSION: "1.31.0",
      },
    };
  }

  #apply(change: () => void): void {
    this.#mesh.graph.batch(change);
    this.#mesh.discovery.flush();
  }

  #namespaceOf(index: number): string {
    return `app-${String(index % this.size.namespaces).padStart(2, "0")}`;
  }

  #hostOf(index: number): string {
    return `${nameOf(index)}.${this.#namespaceOf(index)}.svc.cluster.local`;
  }

  #service(index: number, name: string): KubernetesObject {
    const ports = [
      { name: "http", port: 80, targetPort: 8080 },
      ...(index % 10 === 5 ? [{ name: "tcp-db", port: databasePort, targetPort: 8080 }] : []),
    ];
    return service(
      `${this.#namespaceOf(index)}/${name}`,
      `10.${64 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`,
      { app: name },
      ports,
    );
  }

  #pod(index: number, replica: number, labels: Record<string, string> = {}): KubernetesObject {
    return pod(
      podKey(this.#namespaceOf(index), index, replica),
      addressOf(index * this.size.podsPerService + replica),
      {
        labels: { ...labelsOf(index, replica), ...labels },
        node: nodeOf(index, replica),
        account: nameOf(index),
        redirected: this.size.ambient,
      },
    );
  }

  #slice(index: number, replicas: number): KubernetesObject {
    const endpoints = Array.from({ length: replicas }, (_, replica) => {
      const key = podKey("", index, replica);
      return {
        address: addressOf(index * this.size.podsPerService + replica),
        pod: key.slice(1),
        node: nodeOf(index, replica),
      };
    });
    return slice(`${this.#namespaceOf(index)}/${nameOf(index)}`, { name: "http", port: 8080 }, endpoints);
  }

  #destinationRule(index: number): KubernetesObject {
    const subsets = ["v1", "v2"].map((name) => ({ name, labels: { version: name } }));
    return config("DestinationRule", `${this.#namespaceOf(index)}/${nameOf(index)}`, {
      host: this.#hostOf(index),
      trafficPolicy: {
        loadBalancer: { simple: "LEAST_REQUEST" },
        connectionPool: { http: { http2MaxRequests: 1000 } },
      },
      subsets,
    });
  }

  #virtualService(index: number, weight: number): KubernetesObject {
    const host = this.#hostOf(index);
    const to = (subset: string, share: number): object => ({ destination: { host, subset }, weight: share });
    return config("VirtualService", `${this.#namespaceOf(index)}/${nameOf(index)}`, {
      hosts: [host],
      http: [
        {
          name: "primary",
          timeout: "5s",
          retries: { attempts: 2, perTryTimeout: "2s" },
          route: [to("v1", weight), to("v2", 100 - weight)],
        },
      ],
    });
  }
}

function nameOf(index: number): string {
  return `svc-${String(index).padStart(5, "0")}`;
}

function podKey(namespaceName: string, index: number, replica: number): string {
  return `${namespaceName}/${nameOf(index)}-5d8f-${String(replica).padStart(3, "0")}`;
}

function addressOf(index: number): string {
  return `10.${128 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
}

function nodeOf(index: number, replica: number): string {
  return `node-${(index + replica) % nodes}`;
}

function labelsOf(index: number, replica: number): Record<string, string> {
  return {
    app: nameOf(index),
    version: replica % 2 === 0 ? "v1" : "v2",
    "security.istio.io/tlsMode": "istio",
    "pod-template-hash": "5d8f",
    "service.istio.io/canonical-name": nameOf(index),
    "service.istio.io/canonical-revision": "v1",
  };
}
