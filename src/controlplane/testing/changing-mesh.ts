import type { KubernetesObject } from "../../api/index.ts";
import { config, namespace, node, pod, service, slice } from "./model-fixture.ts";

const http = { number: 80, name: "http", protocol: "HTTP" };
export const hash = { "pod-template-hash": "a1" };

export function sidecarPod(name: string, address: string, on: string): KubernetesObject {
  const made = pod(`shop/${name}`, address, {
    labels: { app: "web", "service.istio.io/workload-name": "web", ...hash },
    node: on,
    redirected: false,
  }) as KubernetesObject & { spec: { containers: object[] } };
  const env = [{ name: "ISTIO_META_ENABLE_SELF_DISCOVERY", value: "true" }];
  made.spec.containers.push({ name: "istio-proxy", args: ["proxy", "sidecar"], env });
  return made;
}

const local = (host: string, createdAt: string): KubernetesObject =>
  config(
    "ServiceEntry",
    "shop/local",
    { hosts: [host], ports: [http], resolution: "STATIC", workloadSelector: { labels: { role: "local" } } },
    { creationTimestamp: createdAt },
  );
const machine = (name: string, address: string, zone: string): KubernetesObject =>
  config(
    "WorkloadEntry",
    `shop/${name}`,
    { address, locality: `r1/${zone}`, labels: { role: "local", ...hash } },
    { labels: { "service.istio.io/workload-name": "web" } },
  );
const balanced = (loadBalancer: object, exportTo?: readonly string[]): KubernetesObject =>
  config("DestinationRule", "shop/zones", {
    host: "web.shop.svc.cluster.local",
    trafficPolicy: { loadBalancer },
    ...(exportTo === undefined ? {} : { exportTo }),
  });
const sidecarObject = (hosts: readonly string[]): KubernetesObject =>
  config("Sidecar", "shop/own", { workloadSelector: { labels: { app: "web" } }, egress: [{ hosts }] });
export const webPort = { name: "http", port: 80, targetPort: 8080 };
export const endpoints = (...addresses: readonly string[]): KubernetesObject =>
  slice(
    "shop/web",
    { name: "http", port: 8080 },
    addresses.map((address, index) => ({ address, pod: `web-${index + 1}`, node: `node-${index + 1}` })),
  );

/** Objects of a small mesh in several versions. Each line has the versions of one object. */
export const objects: readonly (readonly KubernetesObject[])[] = [
  [sidecarPod("web-1", "10.0.0.1", "node-1"), sidecarPod("web-1", "10.0.0.1", "node-2")],
  [sidecarPod("web-2", "10.0.0.2", "node-2")],
  [local("local-0.example.org", "2026-01-01T00:00:00Z"), local("local-1.example.org", "2026-01-02T00:00:00Z")],
  [machine("vm-1", "10.0.0.1", "a"), machine("vm-1", "10.0.0.1", "b"), machine("vm-1", "10.0.0.9", "a")],
  [machine("vm-2", "10.0.0.2", "b")],
  [
    balanced({ zoneAwareLbSetting: { enabled: true } }),
    balanced({ simple: "RANDOM" }),
    balanced({ simple: "RANDOM" }, ["shop", "north"]),
  ],
  [sidecarObject(["./*"]), sidecarObject(["shop/web.shop.svc.cluster.local"])],
  ["10.96.0.5", "10.96.0.7"].map((address) => service("shop/web", address, { app: "web" }, [webPort])),
  [service("shop/other", "10.96.0.6", { app: "other" }, [webPort])],
  [endpoints("10.0.0.1"), endpoints("10.0.0.1", "10.0.0.2"), endpoints()],
  [node("node-1", "z1"), node("node-1", "z2")],
  [node("node-2", "z2")],
];
export const always = ["istio-system", "shop", "north"].map((name) => namespace(name));

/** A change of the mesh: an object, by its line, and its version. A version that does not exist removes the object. */
export interface ObjectChange {
  readonly object: number;
  readonly version: number;
}

/** The objects that exist. The pod of the proxy always does, because a new stream waits for it. */
export class PresentObjects {
  readonly #present = new Map<number, KubernetesObject>();

  all(): readonly KubernetesObject[] {
    return [...always, ...this.#present.values()];
  }

  /** Makes all changes at once. Of several changes of an object, only the last one is made. */
  change(
    changes: readonly ObjectChange[],
    apply: (present: readonly KubernetesObject[], gone: readonly KubernetesObject[]) => void,
  ): void {
    const before = new Map(this.#present);
    for (const { object, version } of changes) {
      const wanted = object === 0 ? objects[0]?.[Math.abs(version) % 2] : objects[object]?.[version];
      if (wanted === undefined) this.#present.delete(object);
      else this.#present.set(object, wanted);
    }
    const concerned = [...new Set(changes.map(({ object }) => object))];
    apply(
      concerned.flatMap((object) => this.#present.get(object) ?? []),
      concerned.flatMap((object) => (this.#present.has(object) ? [] : (before.get(object) ?? []))),
    );
  }
}
