// Istio's ztunnel beside Serin's, both under Serin's control plane and authority. Each serves one of two pods.
//   test/interop/mesh/in-namespace.sh node test/interop/ztunnel/ztunnel-traffic.ts <ztunnel>
// The last line is a JSON object with the result of each test. The exit code is 1 if one failed.
import assert from "node:assert/strict";
import type { UntypedObject } from "../../../src/api/index.ts";
import { messageOf } from "../../../src/base/index.ts";
import { connectTcp, listenTcp, listenTcpInNamespace, type NetworkNamespace } from "../../../src/net/index.ts";
import { clientAddress, podPair, serverAddress, serviceAddress, sniff } from "../../../src/ztunnel/testing/pod-pair.ts";
import { startTestMesh, type TestMesh } from "../mesh/test-mesh.ts";
import { ZtunnelProcess } from "./ztunnel-process.ts";
import { echo } from "../../../src/net/testing/index.ts";

const podPort = 8080;
const automaticPort = 81;
const answerMs = 5000;
const eventuallyMs = 20_000;
const lookMs = 50;
const words = "what is said in the mesh is read by nobody ";

function pod(name: string, address: string): UntypedObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: "pods",
      labels: { app: name },
      annotations: { "ambient.istio.io/redirection": "enabled" },
    },
    spec: {
      serviceAccountName: name,
      nodeName: "node-a",
      containers: [{ name: "app", image: "example/app", ports: [{ name: "tcp", containerPort: podPort }] }],
    },
    status: {
      phase: "Running",
      podIP: address,
      podIPs: [{ ip: address }],
      hostIP: "172.18.0.3",
      conditions: [{ type: "Ready", status: "True" }],
    },
  };
}

function account(name: string): UntypedObject {
  return { apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace: "pods" } };
}

function istio(kind: string, name: string, group: "networking" | "security", spec: object): UntypedObject {
  return { apiVersion: `${group}.istio.io/v1`, kind, metadata: { name, namespace: "pods" }, spec };
}

const entry = istio("ServiceEntry", "outside", "networking", {
  hosts: ["outside.example.com"],
  location: "MESH_INTERNAL",
  resolution: "STATIC",
  ports: [{ number: automaticPort, name: "tcp", protocol: "TCP", targetPort: podPort }],
  workloadSelector: { labels: { app: "server" } },
});

const objects: readonly UntypedObject[] = [
  { apiVersion: "v1", kind: "Namespace", metadata: { name: "pods", labels: { "istio.io/dataplane-mode": "ambient" } } },
  account("client"),
  account("server"),
  {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "echo", namespace: "pods" },
    spec: {
      clusterIP: serviceAddress,
      selector: { app: "server" },
      ports: [{ name: "tcp", port: 80, targetPort: podPort }],
    },
  },
  pod("client", clientAddress),
  pod("server", serverAddress),
  istio("PeerAuthentication", "strict", "security", { mtls: { mode: "STRICT" } }),
  entry,
];

const allow = (principal: string): UntypedObject =>
  istio("AuthorizationPolicy", "only", "security", {
    action: "ALLOW",
    rules: [
      {
        from: [{ source: { principals: [`cluster.local/ns/pods/sa/${principal}`] } }],
        to: [{ operation: { ports: [String(podPort)] } }],
      },
    ],
  });

class Traffic {
  readonly #mesh: TestMesh;
  readonly #token: string;
  readonly #root: string;
  readonly #program: string;

  constructor(mesh: TestMesh, program: string, token: string, root: string) {
    this.#mesh = mesh;
    this.#program = program;
    this.#token = token;
    this.#root = root;
  }

  /** Tests connections between two pods: one ztunnel serves the client's, and the other the server's. */
  async between(client: "upstream" | "serin", onDemand: boolean, body: (world: World) => Promise<void>): Promise<void> {
    const pods = podPair();
    const capture = sniff(pods.client);
    const start = (program: string | undefined, requestsCertificates: boolean) =>
      new ZtunnelProcess({
        program,
        directory: this.#mesh.directory,
        token: this.#token,
        root: this.#root,
        onDemand: requestsCertificates,
      });
    const [upstream, own] = [start(this.#program, onDemand), start(undefined, false)];
    const [near, far] = client === "upstream" ? [upstream, own] : [own, upstream];
    const app = await listenTcp(
      { fd: listenTcpInNamespace(pods.server.fd, { address: "0.0.0.0", port: podPort }) },
      (stream) => {
        echo(stream);
      },
    );
    try {
      await near.add("client-uid", { namespace: "pods", name: "client", serviceAccount: "client" }, pods.client);
      await far.add("server-uid", { namespace: "pods", name: "server", serviceAccount: "server" }, pods.server);
      await Promise.all([near.ready(), far.ready()]);
      await body({ mesh: this.#mesh, near, far, client: pods.client, capture: () => capture.bytes() });
    } finally {
      capture.stop();
      app.close();
      await Promise.all([upstream.stop(), own.stop()]);
      pods.close();
    }
  }
}

interface World {
  readonly mesh: TestMesh;
  /** The client's ztunnel. `far` is the server's. */
  readonly near: ZtunnelProcess;
  readonly far: ZtunnelProcess;
  readonly client: NetworkNamespace;
  /** All bytes on the wire so far. */
  readonly capture: () => Buffer;
}

async function echoed(namespace: NetworkNamespace, address: string, port: number): Promise<boolean> {
  const stream = await connectTcp({ address, port, namespaceFd: namespace.fd, timeoutMs: answerMs }).catch(
    () => undefined,
  );
  if (stream === undefined) return false;
  return await new Promise((resolve) => {
    let text = "";
    const done = (answer: boolean): void => {
      clearTimeout(timer);
      stream.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => done(false), answerMs);
    stream.setHandler({
      data: (chunk) => {
        text += chunk.toString();
        if (text === words) done(true);
      },
      end: () => done(false),
      drain() {},
      close: () => done(false),
    });
    stream.resume();
    stream.write(Buffer.from(words));
  });
}

async function eventually(condition: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + eventuallyMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not so: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
}

async function talksAndObeys({ mesh, near, far, client, capture }: World): Promise<void> {
  await eventually("the client reaches the service", async () => await echoed(client, serviceAddress, 80));
  assert.ok(!capture().includes(words), "what was said can be read on the wire");
  // Istio's ztunnel gets the certificates of all accounts on its node before they are needed.
  for (const [ztunnel, name] of [
    [near, "client"],
    [far, "server"],
  ] as const) {
    const held = (await ztunnel.dump()).certificates
      .filter(({ state }) => state === "Available")
      .map(({ identity }) => identity);
    assert.ok(
      held.includes(`spiffe://cluster.local/ns/pods/sa/${name}`),
      `the ztunnel of ${ztunnel.name} holds ${held.join(", ")}`,
    );
  }
  const [given = ""] = await eventualAddresses(mesh);
  await eventually(
    "the client reaches the ServiceEntry by its automatic address",
    async () => await echoed(client, given, automaticPort),
  );
  // Policies are created and deleted, and never changed, because the control plane writes their status at the same
  // time.
  for (const [principal, reaches] of [
    ["somebody", false],
    ["client", true],
  ] as const) {
    await mesh.objects.create(allow(principal));
    try {
      await eventually(
        `a policy for ${principal} ${reaches ? "lets the client in" : "keeps the client out"}`,
        async () => (await echoed(client, serviceAddress, 80)) === reaches,
      );
    } finally {
      await mesh.objects.delete(allow(principal));
    }
  }
}

async function eventualAddresses({ objects: store }: TestMesh): Promise<readonly string[]> {
  let found: readonly string[] = [];
  await eventually("the ServiceEntry's host has an address", async () => {
    const status = ((await store.get(entry)) as { status?: { addresses?: { value: string }[] } } | undefined)?.status;
    found = (status?.addresses ?? []).map(({ value }) => value).filter((value) => !value.includes(":"));
    return found.length > 0;
  });
  return found;
}

interface Rejection {
  readonly id: string;
  readonly types: Readonly<Record<string, { readonly reason: string | null }>>;
}

async function rejections({ pilot }: TestMesh): Promise<readonly string[]> {
  const proxies = (await (
    await fetch(`http://127.0.0.1:${pilot.ports.http}/debug/serin/proxies`)
  ).json()) as readonly Rejection[];
  return proxies.flatMap(({ id, types }) =>
    Object.entries(types).flatMap(([type, { reason }]) => (reason === null ? [] : [`${id} ${type}: ${reason}`])),
  );
}

async function main(): Promise<number> {
  const [program = ""] = process.argv.slice(2);
  const mesh = await startTestMesh();
  const outcome: Record<string, string> = {};
  const prove = async (title: string, body: () => Promise<void>): Promise<void> => {
    outcome[title] = await body().then(() => "ok", messageOf);
    process.stderr.write(`${title}: ${outcome[title]}\n`);
  };
  try {
    for (const object of objects) await mesh.objects.create(object);
    const token = await mesh.objects.token("istio-system", "ztunnel", "ztunnel-1");
    const root = await mesh.objects.get({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "istio-ca-root-cert", namespace: "istio-system" },
    });
    const traffic = new Traffic(
      mesh,
      program,
      token,
      (root as { data?: Record<string, string> } | undefined)?.data?.["root-cert.pem"] ?? "",
    );
    await prove(
      "upstream's client, Serin's server",
      async () => await traffic.between("upstream", false, talksAndObeys),
    );
    await prove("Serin's client, upstream's server", async () => await traffic.between("serin", false, talksAndObeys));
    await prove(
      "upstream's client asks for addresses as it needs them",
      async () =>
        await traffic.between(
          "upstream",
          true,
          async ({ client }) =>
            await eventually("the client reaches the service", async () => await echoed(client, serviceAddress, 80)),
        ),
    );
    await prove("nothing was refused", async () => assert.deepEqual(await rejections(mesh), []));
  } finally {
    mesh.stop();
  }
  process.stdout.write(`${JSON.stringify(outcome)}\n`);
  return Object.values(outcome).every((answer) => answer === "ok") ? 0 : 1;
}

// Sockets in namespaces may be open, and would keep the process alive.
process.exit(await main());
