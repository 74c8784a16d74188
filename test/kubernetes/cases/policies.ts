import { podKind } from "../../../src/api/kubernetes/index.ts";
import { eventually } from "../../support/eventually.ts";
import { busyboxImage } from "../base-images.ts";
import type { Bench, Case } from "../bench.ts";
import { ambient, deploymentObject, namespaceObject, serviceObject } from "../objects.ts";
import { shop } from "./bookinfo.ts";
import { askFromOutside } from "./wire.ts";

const guarded = "guarded";
const secured = "secured";
const securedSidecars = "secured-sidecars";

function strict(namespace: string): object {
  return {
    apiVersion: "security.istio.io/v1",
    kind: "PeerAuthentication",
    metadata: { name: "default", namespace },
    spec: { mtls: { mode: "STRICT" } },
  };
}

export async function applyText({ cluster }: Bench, objects: readonly object[]): Promise<void> {
  const list = { apiVersion: "v1", kind: "List", items: objects };
  await cluster.ok(["kubectl", "apply", "-f", "-"], { input: JSON.stringify(list) });
}

export const strictCase: Case = {
  name: "strict",
  title: "under STRICT pods of the mesh are served, and a pod outside of it is not",
  after: ["wire"],
  async run(bench) {
    await askFromOutside(bench);
    await applyText(bench, [strict(shop)]);
    await eventually("a pod outside of the mesh is refused", async () => {
      const answer = await askFromOutside(bench).catch(() => undefined);
      return answer === undefined;
    });
    await bench.load.more(100);
    return "a pod outside is refused";
  },
};

/** One pod for each kind of probe. A single failed probe makes the case fail. */
export const probesCase: Case = {
  name: "probes",
  title: "probes of each kind pass under STRICT with failureThreshold 1, from the pod's start on",
  after: ["install"],
  async run(bench) {
    const { cluster } = bench;
    const server = "mkdir -p /tmp/www && echo ok > /tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www";
    const actions = {
      http: { httpGet: { path: "/", port: 8080 } },
      tcp: { tcpSocket: { port: 8080 } },
      exec: { exec: { command: ["true"] } },
    };
    const probe = { failureThreshold: 1, periodSeconds: 1, timeoutSeconds: 5, initialDelaySeconds: 2 };
    await applyText(bench, [namespaceObject(guarded, ambient), strict(guarded)]);
    await applyText(
      bench,
      Object.entries(actions).map(([name, action]) =>
        deploymentObject({
          name,
          namespace: guarded,
          image: busyboxImage,
          replicas: 4,
          command: ["sh", "-c", server],
          container: {
            startupProbe: { ...action, ...probe },
            livenessProbe: { ...action, ...probe },
            readinessProbe: { ...action, ...probe },
          },
        }),
      ),
    );
    await cluster.available(guarded);
    await new Promise((resolve) => setTimeout(resolve, 8_000));
    const { items } = await cluster.api.client.list(podKind, { namespace: guarded });
    const restarts = items.filter(({ status }) =>
      status?.containerStatuses?.some(({ restartCount }) => restartCount > 0),
    );
    const events = await cluster.kubectl(
      "get",
      "events",
      "-n",
      guarded,
      "--field-selector=reason=Unhealthy",
      "--no-headers",
    );
    const failures = events.split("\n").filter((line) => line.includes("probe failed"));
    await cluster.kubectl("delete", "namespace", guarded, "--wait=false");
    if (restarts.length > 0 || failures.length > 0)
      throw new Error(
        `${restarts.length} pods were restarted; ${failures.length} probes failed:\n${failures.slice(0, 5).join("\n")}`,
      );
    return `${items.length} pods, no probe failed, none restarted`;
  },
};

const restricted = { "pod-security.kubernetes.io/enforce": "restricted" } as const;

/** An application that the level restricted admits. */
function restrictedWeb(namespace: string): object[] {
  const container = {
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      runAsNonRoot: true,
      runAsUser: 1000,
      seccompProfile: { type: "RuntimeDefault" },
    },
  };
  const command = ["httpd", "-f", "-p", "8080", "-h", "/etc"];
  return [
    deploymentObject({ name: "web", namespace, image: busyboxImage, command, port: 8080, container }),
    serviceObject("web", namespace, 80, { targetPort: 8080 }),
  ];
}

export const podSecurityCase: Case = {
  name: "podsecurity",
  title: "applications, a sidecar, a waypoint and a gateway run in namespaces that enforce restricted",
  after: ["install"],
  async run(bench) {
    const { cluster } = bench;
    const listener = { name: "http", port: 80, protocol: "HTTP" };
    await applyText(bench, [
      namespaceObject(secured, { ...ambient, ...restricted }),
      ...restrictedWeb(secured),
      {
        apiVersion: "gateway.networking.k8s.io/v1",
        kind: "Gateway",
        metadata: { name: "door", namespace: secured },
        spec: { gatewayClassName: "istio", listeners: [listener] },
      },
      namespaceObject(securedSidecars, { "istio-injection": "enabled", ...restricted }),
      ...restrictedWeb(securedSidecars),
    ]);
    await cluster.serin("waypoint", "apply", "-n", secured, "--enroll-namespace");
    await eventually("the gateway has its Deployment", async () => {
      const { output } = await cluster.run(["kubectl", "get", "deploy", "-n", secured, "-o", "name"]);
      return output.trim().split("\n").length === 3;
    });
    for (const namespace of [secured, securedSidecars])
      await cluster.available(namespace, 90_000).catch(async (error: unknown) => {
        const events = await cluster.kubectl("get", "events", "-n", namespace, "--no-headers");
        const refused = events.split("\n").filter((line) => line.includes("violates PodSecurity"));
        throw new Error(`${String(error)}\n${refused.slice(0, 3).join("\n")}`);
      });
    const names = "jsonpath={.items[*].spec['containers','initContainers'][*].name}";
    const found = await cluster.kubectl("get", "pods", "-n", securedSidecars, "-o", names);
    if (!found.includes("istio-proxy")) throw new Error(`no sidecar was injected: ${found}`);
    await cluster.kubectl("delete", "namespace", secured, securedSidecars, "--wait=false");
    return "all four are available";
  },
};
