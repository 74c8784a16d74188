// Drives the API server, which is a separate process, with this machine's kubectl.
import assert from "node:assert/strict";
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createClusterPki } from "../../src/cluster/apiserver/index.ts";

const root = join(import.meta.dirname, "..", "..");
const directory = mkdtempSync(join(tmpdir(), "serin-e2e-apiserver-"));
const pki = createClusterPki(join(directory, "pki"));
const kubeconfig = join(directory, "kubeconfig");
const kubectlProgram = process.env["KUBECTL"] ?? "kubectl";
let port = 0;
let child: ChildProcess | undefined;

async function startServer(): Promise<void> {
  const config = join(directory, "apiserver.json");
  const { caCertificate, serverCertificate, serverKey, serviceAccountKey, nodeClientCertificate, nodeClientKey } = pki;
  const files = {
    caCertificate,
    serverCertificate,
    serverKey,
    serviceAccountKey,
    nodeClientCertificate,
    nodeClientKey,
  };
  writeFileSync(
    config,
    JSON.stringify({
      ...files,
      stateDirectory: join(directory, "state"),
      listen: [{ host: "127.0.0.1", port }],
      serviceCidr: "10.96.0.0/16",
      advertise: { address: "127.0.0.1" },
    }),
  );
  const started = spawn(join(root, "bin/serin"), ["cluster-apiserver", config], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  child = started;
  port = await new Promise<number>((resolve, reject) => {
    let output = "";
    started.on("exit", (code) => reject(new Error(`the API server ended with ${code ?? "a signal"}`)));
    started.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      const ready = /^ready \S+:(\d+)/m.exec(output);
      if (ready !== null) resolve(Number(ready[1]));
    });
  });
  const base64 = (file: string): string => readFileSync(file).toString("base64");
  const cluster = { server: `https://127.0.0.1:${port}`, "certificate-authority-data": base64(pki.caCertificate) };
  const user = { "client-certificate-data": base64(pki.admin.certificate), "client-key-data": base64(pki.admin.key) };
  const context = { cluster: "test", user: "admin" };
  const content = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    contexts: [{ name: "test", context }],
    clusters: [{ name: "test", cluster }],
    users: [{ name: "admin", user }],
  };
  writeFileSync(kubeconfig, JSON.stringify(content), { mode: 0o600 });
}

interface Outcome {
  readonly status: number;
  readonly output: string;
}

function run(args: readonly string[], input?: string, env: NodeJS.ProcessEnv = {}): Outcome {
  const { status, stdout, stderr } = spawnSync(kubectlProgram, [...args], {
    encoding: "utf8",
    timeout: 60_000,
    env: { ...process.env, KUBECONFIG: kubeconfig, HOME: directory, ...env },
    ...(input === undefined ? {} : { input }),
  });
  return { status: status ?? 1, output: `${stdout}${stderr}` };
}

function kubectl(command: string, input?: string, env?: NodeJS.ProcessEnv): string {
  const { status, output } = run(words(command), input, env);
  assert.equal(status, 0, `kubectl ${command}: ${output}`);
  return output;
}

function refused(command: string, input?: string): string {
  const { status, output } = run(words(command), input);
  assert.notEqual(status, 0, `kubectl ${command} should have failed: ${output}`);
  return output;
}

function words(command: string): string[] {
  return [...command.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? "");
}

before(async () => {
  const probe = spawnSync(kubectlProgram, ["version", "--client"], { encoding: "utf8" });
  if (probe.error !== undefined)
    throw new Error(
      `this test needs kubectl in the PATH (Debian: apt install kubernetes-client), or KUBECTL=<path>: ${probe.error.message}`,
    );
  await startServer();
});

after(async () => {
  if (child !== undefined && child.exitCode === null) {
    const ended = new Promise((resolve) => child?.once("exit", resolve));
    child.kill("SIGTERM");
    await ended;
  }
  rmSync(directory, { recursive: true, force: true });
});

test("kubectl asks for version, resources, documentation and rights", () => {
  assert.match(kubectl("version"), /1\.36/);
  assert.match(kubectl("api-resources"), /deployments +deploy +apps\/v1 +true +Deployment/);
  assert.match(kubectl("api-versions"), /networking\.k8s\.io\/v1/);
  assert.match(kubectl("explain deployment.spec.replicas"), /[Nn]umber of desired pods/);
  assert.match(kubectl("auth can-i create pods"), /yes/);
  assert.match(refused("auth can-i create pods --as=nobody"), /no/);
  assert.match(refused("get pods --as=nobody"), /pods is forbidden: User "nobody" cannot list resource "pods"/);
});

test("kubectl creates, reads, changes and deletes built-in objects", () => {
  kubectl("create namespace shop");
  kubectl("create serviceaccount default -n shop");
  kubectl("create configmap settings -n shop --from-literal=a=1");
  kubectl("create secret generic secret -n shop --from-literal=password=hidden");
  kubectl("create deployment web -n shop --image=nginx");
  assert.match(kubectl("get deployment web -n shop"), /web +0\/1/);
  assert.match(kubectl("get all,configmaps -n shop -o wide"), /configmap\/settings +1/);
  kubectl("label configmap settings -n shop tier=front");
  kubectl("annotate configmap settings -n shop note=seen");
  assert.match(kubectl("get configmaps -n shop -l 'tier in (front)' -o name"), /configmap\/settings/);
  kubectl(
    `patch deployment web -n shop -p '{"spec":{"template":{"spec":{"containers":[{"name":"nginx","image":"nginx:2"}]}}}}'`,
  );
  kubectl(`patch deployment web -n shop --type=json -p '[{"op":"replace","path":"/spec/replicas","value":2}]'`);
  kubectl("scale deployment web -n shop --replicas=3");
  assert.equal(
    kubectl(
      "get deployment web -n shop -o 'jsonpath={.spec.replicas} {.spec.template.spec.containers[0].image} {.metadata.generation}'",
    ),
    "3 nginx:2 4",
  );
  kubectl("set image deployment/web -n shop nginx=nginx:3");
  kubectl("expose deployment web -n shop --port=80 --type=NodePort");
  assert.match(kubectl("get service web -n shop"), /NodePort +10\.96\.\d+\.\d+ +<none> +80:3\d{4}\/TCP/);
  assert.match(kubectl("describe deployment web -n shop"), /Image: +nginx:3/);
  assert.match(kubectl("rollout history deployment/web -n shop"), /deployment.apps\/web/);
  kubectl("run pod -n shop --image=nginx");
  assert.match(kubectl("get pod pod -n shop"), /pod +0\/1 +Pending/);
  kubectl("delete pod pod -n shop");
  kubectl("delete service,deployment --all -n shop");
  assert.match(refused("get deployment web -n shop"), /deployments.apps "web" not found/);
});

const manifest = (value: string, name = "applied"): string =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace: "shop" },
    data: { fixed: "1", value },
  });

test("kubectl applies on the client and on the server, shows the difference, and edits", () => {
  assert.match(kubectl("apply -f -", manifest("one")), /created/);
  assert.match(kubectl("apply -f -", manifest("one")), /unchanged/);
  assert.match(refused("diff -f -", manifest("two")), /\+ +value: two/);
  kubectl("diff -f -", manifest("one"));
  assert.match(kubectl("apply -f -", manifest("two")), /configured/);
  assert.match(kubectl("apply --server-side -f -", manifest("two")), /serverside-applied/);
  kubectl("apply --server-side -f -", manifest("one", "owned"));
  assert.match(
    refused("apply --server-side --field-manager=other -f -", manifest("two", "owned")),
    /conflict with "kubectl": .data.value/,
  );
  kubectl("apply --server-side --field-manager=other --force-conflicts -f -", manifest("two", "owned"));
  kubectl("apply --server-side --force-conflicts -f -", manifest("three"));
  kubectl("edit configmap applied -n shop", undefined, { KUBE_EDITOR: "sed -i s/three/four/" });
  assert.equal(kubectl("get configmap applied -n shop -o jsonpath={.data.value}"), "four");
  assert.match(refused("apply -f -", manifest("x").replace('"data"', '"nonsense"')), /nonsense/);
  kubectl("replace -f -", manifest("five"));
  assert.match(kubectl("create configmap dry -n shop --dry-run=server -o name"), /configmap\/dry/);
  assert.match(refused("get configmap dry -n shop"), /not found/);
});

test("kubectl waits and watches", async () => {
  const watching = spawn(kubectlProgram, ["get", "configmaps", "-n", "shop", "--watch", "-o", "name"], {
    env: { ...process.env, KUBECONFIG: kubeconfig, HOME: directory },
  });
  let output = "";
  const done = new Promise<void>((resolve) => {
    watching.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      if (/configmap\/late/.test(output)) resolve();
      else if (/configmap\/applied/.test(output) && !output.includes("late"))
        spawn(kubectlProgram, ["create", "configmap", "late", "-n", "shop"], {
          env: { ...process.env, KUBECONFIG: kubeconfig, HOME: directory },
        });
    });
  });
  await done;
  watching.kill();
  kubectl("delete configmap late -n shop --wait=true");
});

const definition = JSON.stringify({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "widgets.test.dev" },
  spec: {
    group: "test.dev",
    scope: "Namespaced",
    names: { plural: "widgets", kind: "Widget", shortNames: ["wd"] },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        subresources: { status: {}, scale: { specReplicasPath: ".spec.size", statusReplicasPath: ".status.size" } },
        additionalPrinterColumns: [{ name: "Color", type: "string", jsonPath: ".spec.color" }],
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: {
              spec: {
                type: "object",
                required: ["color"],
                properties: {
                  color: { type: "string", description: "What it looks like." },
                  size: { type: "integer", default: 2, minimum: 0 },
                },
                "x-kubernetes-validations": [{ rule: "self.color != 'grey'", message: "grey is no color" }],
              },
              status: { type: "object", properties: { size: { type: "integer" } } },
            },
          },
        },
      },
    ],
  },
});

const widget = (name: string, spec: object): string =>
  JSON.stringify({ apiVersion: "test.dev/v1", kind: "Widget", metadata: { name, namespace: "shop" }, spec });

test("kubectl works with custom resources: defaults, columns, validation, scale and deletion", () => {
  kubectl("apply -f -", definition);
  kubectl("wait --for=condition=established crd/widgets.test.dev --timeout=10s");
  assert.match(kubectl("apply -f -", widget("one", { color: "red" })), /created/);
  assert.match(kubectl("get wd -n shop"), /NAME +COLOR\none +red/);
  assert.equal(kubectl("get widget one -n shop -o jsonpath={.spec.size}"), "2");
  assert.match(refused("apply -f -", widget("two", {})), /spec.color|required field "color"/);
  assert.match(refused("apply -f -", widget("two", { color: "grey" })), /grey is no color/);
  assert.match(refused("apply -f -", widget("two", { color: "red", nonsense: 1 })), /nonsense/);
  kubectl("scale widget one -n shop --replicas=5");
  assert.equal(kubectl("get widget one -n shop -o jsonpath={.spec.size}"), "5");
  kubectl(`patch widget one -n shop --type=merge -p '{"spec":{"color":"blue"}}'`);
  kubectl("apply --server-side --force-conflicts -f -", widget("one", { color: "green" }));
  assert.match(kubectl("explain widget.spec.color"), /What it looks like/);
  kubectl("delete crd widgets.test.dev --timeout=20s");
  assert.match(
    refused("get widgets -n shop"),
    /the server doesn't have a resource type "widgets"|the server could not find the requested resource/,
  );
});

test("a namespace's tokens carry their account's rights", () => {
  kubectl("create role reader -n shop --verb=get,list --resource=configmaps");
  kubectl("create rolebinding reader -n shop --role=reader --serviceaccount=shop:default");
  assert.match(kubectl("auth can-i list configmaps -n shop --as=system:serviceaccount:shop:default"), /yes/);
  assert.match(refused("auth can-i list secrets -n shop --as=system:serviceaccount:shop:default"), /no/);
  assert.match(kubectl("auth can-i --list -n shop --as=system:serviceaccount:shop:default"), /configmaps/);
});

test("after kill -9 the server restarts with every object and version", async () => {
  const before = kubectl("get configmaps -n shop -o jsonpath={.items[*].metadata.resourceVersion}");
  const gone = new Promise((resolve) => child?.once("exit", resolve));
  child?.kill("SIGKILL");
  await gone;
  await startServer();
  assert.equal(kubectl("get configmaps -n shop -o jsonpath={.items[*].metadata.resourceVersion}"), before);
});
