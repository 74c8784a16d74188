// Takes a lab cluster from creation to deletion with nothing but the command line: the user's commands, and the state
// after kill -9.
import "reflect-metadata";
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { webcrypto, X509Certificate } from "node:crypto";
import { createServer } from "node:net";
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Pkcs10CertificateRequestGenerator } from "@peculiar/x509";
import {
  deploymentKind,
  horizontalPodAutoscalerKind,
  nodeKind,
  podKind,
  serviceKind,
  type Node,
  type Pod,
  type Service,
} from "../../src/api/kubernetes/index.ts";
import { createLogger, systemClock } from "../../src/base/index.ts";
import { createKubeClient, loadKubeConfig, type KubeConnection } from "../../src/kube/index.ts";
import { kubectls } from "../support/kubectls.ts";

const root = join(import.meta.dirname, "../..");
const home = mkdtempSync(join(tmpdir(), "serin-e2e-"));
const env = {
  HOME: home,
  PATH: process.env["PATH"] ?? "",
  XDG_STATE_HOME: join(home, "state"),
  KUBECONFIG: join(home, "kubeconfig"),
  // With code that other tests have compiled, programs start in half the time.
  ...(process.env["NODE_COMPILE_CACHE"] === undefined ? {} : { NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"] }),
};
const name = "e2e";
const directory = join(env.XDG_STATE_HOME, "serin/clusters", name);
const waitMs = 20_000;

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function serin(args: readonly string[], input = ""): Ran {
  const { status, stdout, stderr } = spawnSync(join(root, "bin/serin"), args, {
    encoding: "utf8",
    env,
    input,
    timeout: 90_000,
  });
  return { status, stdout, stderr };
}

function succeed(args: readonly string[], input = ""): string {
  const ran = serin(args, input);
  assert.equal(ran.status, 0, `serin ${args.join(" ")}: ${ran.stdout}${ran.stderr}`);
  return ran.stdout;
}

const config = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
name: ${name}
nodes: [{role: control-plane}, {role: worker}, {role: worker}]
`;

async function eventually<Result>(condition: string, look: () => Promise<Result | undefined>): Promise<Result> {
  const deadline = Date.now() + waitMs;
  for (;;) {
    const found = await look().catch(() => undefined);
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`not within ${waitMs} ms: ${condition}`);
    await systemClock.sleep(50);
  }
}

let client: KubeConnection;

async function connect(): Promise<void> {
  const loaded = await loadKubeConfig(env.KUBECONFIG);
  client = createKubeClient(loaded, { log: createLogger({ scope: "test", level: "error" }), clock: systemClock });
}

interface ClusterFile {
  readonly launcher: { readonly pid: number };
  readonly labInit: { readonly pid: number };
}

function clusterFile(): ClusterFile {
  return JSON.parse(readFileSync(join(directory, "cluster.json"), "utf8")) as ClusterFile;
}

function labProcesses(namespace: string): number {
  return readdirSync("/proc").filter((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      return readlinkSync(`/proc/${entry}/ns/user`) === namespace;
    } catch {
      return false;
    }
  }).length;
}

function labNamespace(): string {
  return readlinkSync(`/proc/${clusterFile().labInit.pid}/ns/user`);
}

before(() => {
  writeFileSync(
    env.KUBECONFIG,
    "apiVersion: v1\nkind: Config\ncurrent-context: mine\nclusters: []\nusers: []\ncontexts: [{name: mine, context: {}}]\n",
  );
});

after(() => {
  serin(["cluster", "delete", "--name", name]);
  rmSync(home, { recursive: true, force: true });
});

test("a cluster is created from kind's configuration, with all nodes ready under kind's names", async () => {
  const output = succeed(["cluster", "create", "--config", "-", "--autoscale"], config);
  assert.match(output, /All nodes are ready/);
  await connect();
  const { items } = await client.list(nodeKind);
  const ready = (node: Node): boolean =>
    node.status?.conditions?.find(({ type }) => type === "Ready")?.status === "True";
  assert.deepEqual(
    items.map((node) => [node.metadata.name, ready(node)]).sort((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1)),
    [
      ["e2e-control-plane", true],
      ["e2e-worker", true],
      ["e2e-worker2", true],
    ],
  );
  assert.equal(
    items.find((node) => node.metadata.name === "e2e-control-plane")?.spec?.taints?.[0]?.key,
    "node-role.kubernetes.io/control-plane",
  );
  assert.match(readFileSync(env.KUBECONFIG, "utf8"), /current-context: kind-e2e/);
  assert.match(succeed(["cluster", "kubeconfig", "--name", name]), /server: https:\/\/127\.7\.0\.10:\d+/);
});

test("a second cluster with the same name is refused", () => {
  const again = serin(["cluster", "create", "--config", "-"], config);
  assert.equal(again.status, 2);
  assert.match(again.stderr, /a cluster "e2e" exists already[\s\S]*serin cluster delete --name e2e/);
});

const program = "require('http').createServer((q, r) => r.end('hello from ' + process.env.WHO)).listen(8080)";

test("a pod runs, and a Service reaches it by its LoadBalancer address and its name in the shell, and by its URL on the loopback", async () => {
  const pod: Pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "web", namespace: "default", labels: { app: "web" } },
    spec: {
      containers: [
        {
          name: "web",
          image: "node",
          args: ["-e", program],
          env: [{ name: "WHO", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } }],
          readinessProbe: { tcpSocket: { port: 8080 } },
        },
      ],
    },
  };
  await eventually("the pod is accepted", async () => await client.create(podKind, pod));
  const running = await eventually("the pod is ready", async () => {
    const found = await client.get(podKind, "web", "default");
    return found?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true
      ? found
      : undefined;
  });
  assert.match(running.status?.podIP ?? "", /^10\.244\.[12]\./);
  for (const object of [
    {
      path: "/apis/metallb.io/v1beta1/namespaces/metallb-system/ipaddresspools",
      body: {
        apiVersion: "metallb.io/v1beta1",
        kind: "IPAddressPool",
        metadata: { name: "pool" },
        spec: { addresses: ["172.18.255.200-172.18.255.250"] },
      },
    },
    {
      path: "/apis/metallb.io/v1beta1/namespaces/metallb-system/l2advertisements",
      body: { apiVersion: "metallb.io/v1beta1", kind: "L2Advertisement", metadata: { name: "all" } },
    },
  ]) {
    await eventually(object.path, async () =>
      (await client.raw("POST", object.path, { body: object.body })).status < 300 ? true : undefined,
    );
  }
  await client.create(serviceKind, {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web", namespace: "default" },
    spec: { type: "LoadBalancer", selector: { app: "web" }, ports: [{ port: 80, targetPort: 8080 }] },
  } satisfies Service);
  for (const host of ["172.18.255.200", "web", "web.default.svc.cluster.local"])
    await eventually(`${host} answers in the shell`, async () => {
      const script = `fetch('http://${host}/').then((r) => r.text()).then(console.log)`;
      const { stdout } = serin(["cluster", "shell", "--name", name, "--", process.execPath, "-e", script]);
      return await Promise.resolve(stdout.includes(`hello from ${running.spec?.nodeName}`) ? true : undefined);
    });
  const url = await eventually("the URL is there", async () => {
    const urls = JSON.parse(succeed(["cluster", "urls", "--name", name, "--json"])) as { url: string }[];
    return await Promise.resolve(urls[0]?.url);
  });
  assert.match(url, /^http:\/\/127\.7\.255\.200:\d+$/);
  assert.equal(await (await fetch(url)).text(), `hello from ${running.spec?.nodeName}`);
});

for (const { title, file } of kubectls())
  test(`kubectl top shows what containers, pods and nodes use (${title})`, () => {
    assert.ok(file !== undefined, `${title} is missing`);
    const top = (...args: string[]): string => {
      const { status, stdout, stderr } = spawnSync(file, ["top", ...args], { encoding: "utf8", env });
      assert.equal(status, 0, stderr);
      return stdout;
    };
    const [, used = ""] = /^default +web +web +\d+m +(\d+)Mi/m.exec(top("pods", "-A", "--containers")) ?? [];
    assert.ok(Number(used) >= 5 && Number(used) < 500, `${used} MiB`);
    assert.match(top("pods", "-l", "app=web"), /^web +\d+m +\d+Mi *$/m);
    assert.doesNotMatch(top("pods", "-A", "-l", "app!=web"), /^default +web /m);
    for (const node of ["e2e-control-plane", "e2e-worker", "e2e-worker2"])
      assert.match(top("nodes"), new RegExp(`^${node} +\\d+m +\\d+% +\\d+Mi +\\d+% *$`, "m"));
  });

test("the lab's CA signs an approved certificate request", async () => {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: "CN=jane",
    keys,
    signingAlgorithm: algorithm,
  });
  const path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
  const spec = {
    request: Buffer.from(request.toString("pem")).toString("base64"),
    signerName: "kubernetes.io/kube-apiserver-client",
    usages: ["client auth"],
  };
  const made = await client.raw("POST", path, { body: { metadata: { name: "jane" }, spec } });
  const object = JSON.parse(made.text) as Record<string, unknown>;
  const status = { conditions: [{ type: "Approved", status: "True", reason: "Test" }] };
  const approved = await client.raw("PUT", `${path}/jane/approval`, { body: { ...object, status } });
  assert.equal(approved.status, 200, approved.text);
  const certificate = await eventually("the certificate", async () => {
    const { text } = await client.raw("GET", `${path}/jane`);
    return (JSON.parse(text) as { status: { certificate?: string } }).status.certificate;
  });
  assert.equal(new X509Certificate(Buffer.from(certificate, "base64")).subject, "CN=jane");
});

/** Uses about an eighth of a processor. */
const busyProgram = "setInterval(() => { const end = Date.now() + 12; while (Date.now() < end); }, 100)";

test("an autoscaler adds pods while the processor time of its Deployment's pods is above the target", async () => {
  const labels = { app: "busy" };
  const container = {
    name: "busy",
    image: "node",
    args: ["-e", busyProgram],
    resources: { requests: { cpu: "10m" } },
  };
  await client.create(deploymentKind, {
    metadata: { name: "busy", namespace: "default" },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [container] } },
    },
  });
  await client.create(horizontalPodAutoscalerKind, {
    metadata: { name: "busy", namespace: "default" },
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "busy" },
      maxReplicas: 2,
      metrics: [
        { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 60 } } },
      ],
    },
  });
  // The controller may look before the pod has been measured. It looks again only after 15 seconds, which may be longer
  // than one wait.
  await eventually("two replicas", scaled).catch(async () => await eventually("two replicas", scaled));
  await eventually("the condition", async () => {
    const found = await client.get(horizontalPodAutoscalerKind, "busy", "default");
    return found?.status?.conditions?.find(({ type, status }) => type === "ScalingActive" && status === "True");
  });
  await client.delete(horizontalPodAutoscalerKind, "busy", "default");
  await client.delete(deploymentKind, "busy", "default");
});

async function scaled(): Promise<true | undefined> {
  return (await client.get(deploymentKind, "busy", "default"))?.spec?.replicas === 2 ? true : undefined;
}

test("an unknown image ends as ErrImagePull with the remedy", async () => {
  await client.create(podKind, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "unknown", namespace: "default" },
    spec: { containers: [{ name: "a", image: "nginx:1.27" }] },
  });
  const waiting = await eventually(
    "the image is refused",
    async () => (await client.get(podKind, "unknown", "default"))?.status?.containerStatuses?.[0]?.state?.waiting,
  );
  assert.match(waiting.reason ?? "", /ErrImagePull|ImagePullBackOff|ContainerCreating/);
  const message = await eventually("the remedy", async () => {
    const state = (await client.get(podKind, "unknown", "default"))?.status?.containerStatuses?.[0]?.state?.waiting;
    return state?.message?.includes("images.yaml") === true ? state.message : undefined;
  });
  assert.match(message, /no program for image "nginx:1\.27"/);
  await client.delete(podKind, "unknown", "default");
});

test("the API server and a node process restart by themselves after kill -9, and the pod keeps running", async () => {
  const before = await client.get(podKind, "web", "default");
  const namespace = labNamespace();
  const victims = readdirSync("/proc").filter((entry) => {
    try {
      const words = readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0");
      return (
        readlinkSync(`/proc/${entry}/ns/user`) === namespace &&
        (words.includes("cluster-apiserver") || words.includes("cluster-node")) &&
        words[0]?.endsWith("/node") === true
      );
    } catch {
      return false;
    }
  });
  assert.equal(victims.length, 4);
  for (const pid of victims) process.kill(Number(pid), "SIGKILL");
  const path = "/api/v1/namespaces/default/pods/web/log?tailLines=1";
  await eventually("the node answers for its pod", async () =>
    (await client.raw("GET", path)).status === 200 ? true : undefined,
  );
  const now = await client.get(podKind, "web", "default");
  assert.deepEqual(
    [
      now?.status?.podIP,
      now?.status?.containerStatuses?.[0]?.containerID,
      now?.status?.containerStatuses?.[0]?.restartCount,
    ],
    [before?.status?.podIP, before?.status?.containerStatuses?.[0]?.containerID, 0],
  );
});

test("an occupied API server port gives a clear message and leaves nothing", async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.7.0.10", resolve));
  const address = taken.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  const refused = await new Promise<Ran>((resolve) => {
    const child = spawn(join(root, "bin/serin"), ["cluster", "create", "--config", "-", "--name", "other"], {
      env,
      stdio: "pipe",
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.on("close", (status) => resolve({ status, stdout, stderr }));
    child.stdin.end(`${config}networking: {apiServerPort: ${port}}\n`);
  });
  taken.close();
  assert.equal(refused.status, 2, refused.stdout);
  assert.match(refused.stderr, new RegExp(`port ${port} on 127\\.7\\.0\\.10 is in use`));
  assert.equal(existsSync(join(env.XDG_STATE_HOME, "serin/clusters/other")), false);
});

test("kill -9 of the launcher leaves no process, and the next creation works", async () => {
  client.close();
  const namespace = labNamespace();
  assert.ok(labProcesses(namespace) > 5);
  process.kill(clusterFile().launcher.pid, "SIGKILL");
  await eventually(
    "every process of the lab is gone",
    async () => await Promise.resolve(labProcesses(namespace) === 0 ? true : undefined),
  );
  assert.match(succeed(["cluster", "list"]), /e2e\tstopped/);
  succeed(["cluster", "create", "--config", "-"], config);
  await connect();
  assert.equal((await client.list(nodeKind)).items.length, 3);
});

test("delete leaves no process and no file, and restores the former context", async () => {
  client.close();
  const namespace = labNamespace();
  succeed(["cluster", "delete", "--name", name]);
  await eventually(
    "every process of the lab is gone",
    async () => await Promise.resolve(labProcesses(namespace) === 0 ? true : undefined),
  );
  assert.equal(existsSync(directory), false);
  assert.match(readFileSync(env.KUBECONFIG, "utf8"), /current-context: mine/);
  assert.equal(succeed(["cluster", "list"]), "");
});
