import { podKind } from "../../../src/api/kubernetes/index.ts";
import { eventually } from "../../support/eventually.ts";
import { busyboxImage } from "../base-images.ts";
import type { Bench, Case } from "../bench.ts";
import { ambient, deploymentObject, namespaceObject, samplesImage, serviceObject } from "../objects.ts";
import { shop } from "./bookinfo.ts";
import { askFromOutside } from "./wire.ts";

const guarded = "guarded";
const guardedSidecars = "guarded-sidecars";
const secured = "secured";
const securedSidecars = "secured-sidecars";

export function strict(namespace: string): object {
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
  title: "with STRICT mutual TLS, servers accept pods of the mesh and refuse a pod outside of it",
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

const webServer = [
  "sh",
  "-c",
  "mkdir -p /tmp/www && echo ok > /tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www",
];
/** A program that answers each call with SERVING, as gRPC's health service does. */
const healthServer = `require("node:http2").createServer().on("stream", (stream) => {
  stream.resume().on("end", () => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(Buffer.from([0, 0, 0, 0, 2, 8, 1]));
  });
}).listen(8080)`;
const web = { image: busyboxImage, command: webServer };
const probed = [
  { name: "http", ...web, action: { httpGet: { path: "/", port: 8080 } } },
  { name: "named", ...web, action: { httpGet: { path: "/", port: "web" } } },
  { name: "tcp", ...web, action: { tcpSocket: { port: 8080 } } },
  { name: "exec", ...web, action: { exec: { command: ["true"] } } },
  {
    name: "grpc",
    image: samplesImage,
    command: ["/usr/local/bin/node", "-e", healthServer],
    action: { grpc: { port: 8080 } },
    // Node.js takes longer to start than a shell.
    initialDelaySeconds: 15,
  },
] as const;

/** A Deployment of two pods for one kind of probe. A pod fails at its first failed probe. */
function probedDeployment(
  { name, image, command, action, ...more }: (typeof probed)[number],
  namespace: string,
): object {
  const probe = { ...action, failureThreshold: 1, periodSeconds: 1, timeoutSeconds: 5, initialDelaySeconds: 2 };
  return deploymentObject({
    name,
    namespace,
    image,
    command,
    replicas: 2,
    container: {
      ports: [{ name: "web", containerPort: 8080 }],
      startupProbe: { ...probe, ...more },
      livenessProbe: probe,
      readinessProbe: probe,
    },
  });
}

/** One failed probe makes the case fail. */
export const probesCase: Case = {
  name: "probes",
  title:
    "probes of each kind pass under STRICT, in ambient and with sidecars, with failureThreshold 1 from the start on",
  after: ["install"],
  async run(bench) {
    const { cluster } = bench;
    const namespaces = [guarded, guardedSidecars];
    await applyText(bench, [
      namespaceObject(guarded, ambient),
      namespaceObject(guardedSidecars, { "istio-injection": "enabled" }),
      ...namespaces.map(strict),
    ]);
    await applyText(
      bench,
      namespaces.flatMap((namespace) => probed.map((one) => probedDeployment(one, namespace))),
    );
    for (const namespace of namespaces) await cluster.available(namespace);
    await new Promise((resolve) => setTimeout(resolve, 8_000));
    const faults = await Promise.all(namespaces.map(async (namespace) => await probeFaults(bench, namespace)));
    await cluster.kubectl("delete", "namespace", ...namespaces, "--wait=false");
    if (faults.flat().length > 0) throw new Error(faults.flat().slice(0, 6).join("\n"));
    return `${namespaces.length * probed.length * 2} pods, no probe failed, none restarted`;
  },
};

async function probeFaults({ cluster }: Bench, namespace: string): Promise<string[]> {
  const { items } = await cluster.api.client.list(podKind, { namespace });
  const restarted = items.filter(({ status }) =>
    status?.containerStatuses?.some(({ restartCount }) => restartCount > 0),
  );
  // A sidecar's own startup probe fails until the sidecar is ready.
  const selector = "--field-selector=reason=Unhealthy,involvedObject.fieldPath=spec.containers{main}";
  const events = await cluster.kubectl("get", "events", "-n", namespace, selector, "--no-headers");
  return [
    ...restarted.map(({ metadata }) => `${namespace}/${metadata.name ?? ""} was restarted`),
    ...events.split("\n").filter((line) => line.includes("probe failed")),
  ];
}

export const restricted = { "pod-security.kubernetes.io/enforce": "restricted" } as const;

export const restrictedContainer = {
  securityContext: {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    runAsNonRoot: true,
    runAsUser: 1000,
    seccompProfile: { type: "RuntimeDefault" },
  },
} as const;

export function restrictedWeb(namespace: string): object[] {
  const command = ["httpd", "-f", "-p", "8080", "-h", "/etc"];
  return [
    deploymentObject({
      name: "web",
      namespace,
      image: busyboxImage,
      command,
      port: 8080,
      container: restrictedContainer,
    }),
    serviceObject("web", namespace, 80, { targetPort: 8080 }),
  ];
}

export const podSecurityCase: Case = {
  name: "podsecurity",
  title: "applications, a sidecar, a waypoint and a gateway run at the Pod Security level restricted",
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
