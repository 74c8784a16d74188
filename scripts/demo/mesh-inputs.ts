// The objects and settings that every mesh of the demo, the proofs and chaos starts with.
import type { UntypedObject } from "../../src/api/index.ts";

/** The addresses of LoadBalancer Services in the lab. */
export const loadBalancerAddresses: readonly UntypedObject[] = [
  {
    apiVersion: "metallb.io/v1beta1",
    kind: "IPAddressPool",
    metadata: { name: "example", namespace: "metallb-system" },
    spec: { addresses: ["172.18.255.200-172.18.255.250"] },
  },
  {
    apiVersion: "metallb.io/v1beta1",
    kind: "L2Advertisement",
    metadata: { name: "empty", namespace: "metallb-system" },
  },
];

/**
 * Returns the input of `serin install` for a revision, without its own node agent and without the classic gateway.
 * `workers` is the number of workers of each gateway, waypoint, sidecar and ztunnel. If absent, each has its default
 * number.
 */
export function revisionSpec(revision: string, tag: string, workers?: number): Record<string, unknown> {
  return {
    ...(workers === undefined ? {} : { values: workerValues(workers) }),
    profile: "ambient",
    revision,
    tag,
    components: { cni: { enabled: false }, ingressGateways: [{ name: "istio-ingressgateway", enabled: false }] },
  };
}

function workerValues(workers: number): Record<string, unknown> {
  return {
    meshConfig: { defaultConfig: { concurrency: workers } },
    ztunnel: { env: { ZTUNNEL_WORKER_THREADS: String(workers) } },
  };
}
