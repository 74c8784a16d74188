import { setImmediate as turn } from "node:timers/promises";
import type { Clock } from "../../../../base/index.ts";
import type { HandClock } from "../../../../base/testing/index.ts";
import type { KubeClient } from "../../../../kube/index.ts";
import { standingClock } from "../../checks/testing/fake-mesh.ts";
import { PilotDebug, type PilotDebugOptions } from "../pilot-debug.ts";
import type { PilotPod } from "../pilot-pod.ts";

export const pilot: PilotPod = {
  name: "istiod-next-7c9",
  namespace: "mesh",
  revision: "next",
  address: "127.0.0.1",
  serviceAccount: "istiod-next",
  rootConfigMap: "istio-ca-root-cert",
};
export const ownName = "istiod-next.mesh.svc";

export interface Cluster {
  /** The root in the ConfigMap that data planes read. */
  published?: string;
  readonly rootConfigMap?: string;
  /** The root with which the API server verifies the injector. */
  injector?: string;
  token: string | undefined;
  tokenRequests: number;
  /** How often the engine has read the root. */
  reads: number;
  /** The API server answers only when this resolves. */
  answers: Promise<void>;
}

export const cluster = (more: Partial<Cluster>): Cluster => ({
  token: "t",
  tokenRequests: 0,
  reads: 0,
  answers: Promise.resolve(),
  ...more,
});

const parts = 20;

/**
 * Lets time pass in steps, so that time limits begin and end in order. Sockets get a turn before and after each step.
 */
export async function passing(clock: HandClock, ms: number): Promise<void> {
  await turn();
  for (let part = 0; part < parts; part += 1) {
    clock.pass(ms / parts);
    await turn();
  }
}

export function debugOf(
  cluster: Cluster,
  port: number,
  more: Partial<Omit<PilotDebugOptions, "port" | "injectors">> & { readonly clock?: Clock } = {},
): PilotDebug {
  const { rootConfigMap = "istio-ca-root-cert" } = cluster;
  const client = {
    get: async (_kind: object, name: string) => {
      cluster.reads += 1;
      await cluster.answers;
      return cluster.published === undefined || name !== rootConfigMap
        ? undefined
        : { metadata: {}, data: { "root-cert.pem": cluster.published } };
    },
    raw: async () => {
      cluster.tokenRequests += 1;
      await cluster.answers;
      const refused = { kind: "Status", status: "Failure", reason: "Forbidden", message: "you may not create tokens" };
      return await Promise.resolve(
        cluster.token === undefined
          ? { status: 403, headers: {}, text: JSON.stringify(refused) }
          : { status: 201, headers: {}, text: JSON.stringify({ status: { token: cluster.token } }) },
      );
    },
  } as unknown as KubeClient;
  const caBundle = Buffer.from(cluster.injector ?? "").toString("base64");
  const webhook = (name: string, namespace: string) => ({
    name,
    clientConfig: { service: { name, namespace }, caBundle },
  });
  const injectors = [{ metadata: { name: "injector" }, webhooks: [webhook("istiod-next", "mesh")] }];
  return new PilotDebug(client, { clock: standingClock(), ...more, port, injectors: () => injectors });
}
