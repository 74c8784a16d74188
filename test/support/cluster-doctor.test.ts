// `serin doctor --kubernetes` as a process, with the lab's API server in this one.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { ClusterFinding } from "../../src/cli/cluster-readiness/index.ts";
import { ServerHarness } from "../../src/cluster/apiserver/testing/index.ts";

const serin = join(import.meta.dirname, "../../bin/serin");

let server: ServerHarness;
before(async () => {
  server = await new ServerHarness().start();
});
after(() => server.remove());

function kubeconfig(user: object): string {
  const path = join(server.directory, "kubeconfig.json");
  const cluster = { server: `https://127.0.0.1:${server.port}`, "certificate-authority": server.pki.caCertificate };
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    clusters: [{ name: "test", cluster }],
    users: [{ name: "test", user }],
    contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

interface Ended {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

async function doctor(user: object, ...more: readonly string[]): Promise<Ended> {
  const args = ["doctor", "--kubernetes", "--kubeconfig", kubeconfig(user), ...more];
  return await new Promise((resolve) => {
    execFile(serin, args, { timeout: 60_000 }, (error, output, errors) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      resolve({ code, output, errors });
    });
  });
}

test("an administrator's doctor finds no obstacle to an installation, and names missing optional features", async () => {
  const { admin } = server.pki;
  const user = { "client-certificate": admin.certificate, "client-key": admin.key };
  const { code, output, errors } = await doctor(user, "--json");
  assert.equal(code, 0, errors);
  const findings = JSON.parse(output) as readonly ClusterFinding[];
  assert.deepEqual(
    findings.map(({ subject, level }) => `${level} ${subject}`),
    [
      "ok Kubernetes version",
      "ok rights",
      "ok PodSecurity",
      "ok network plugin",
      "warning Gateway API",
      "warning LoadBalancer",
    ],
  );
  assert.ok(findings.every(({ object, level, remedy }) => object !== "" && (remedy === "") === (level === "ok")));
  const enforce = { "pod-security.kubernetes.io/enforce": "baseline" };
  await server.call("POST", "/api/v1/namespaces", { metadata: { name: "mesh", labels: enforce } });
  const refused = await doctor(user, "-i", "mesh");
  assert.equal(refused.code, 1);
  assert.match(refused.output, /^✗ PodSecurity \(Namespace mesh\): .*\n {4}remedy: kubectl label namespace mesh /m);
});

test("an account without rights gets a list of the missing rights, and of what could not be judged", async () => {
  await server.call("POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "nobody" } });
  const path = "/api/v1/namespaces/default/serviceaccounts/nobody/token";
  const { token } = (await server.call("POST", path, { spec: {} })).body.status;
  const { code, output } = await doctor({ token });
  assert.equal(code, 1);
  assert.match(
    output,
    /^✗ rights \(User system:serviceaccount:default:nobody\): may not list, create, patch clusterroles\.rbac\.authorization\.k8s\.io$/m,
  );
  assert.match(output, /^ {4}remedy for these \d+: .*--serviceaccount=default:nobody$/m);
  assert.match(
    output,
    /^! nodes \(Cluster\): cannot be checked: nodes is forbidden: .*\n {4}remedy: .* can-i list nodes$/m,
  );
});

test("rejected credentials are named with what to check", async () => {
  const { code, output, errors } = await doctor({ token: "nonsense" });
  assert.equal(code, 2);
  assert.equal(output, "");
  assert.match(errors, /^serin: the API server does not accept the credentials \(401, GET \/version\)/);
  assert.match(errors, /hint: .*kubectl config view --minify/);
});

test("foreign flags, and flags that need --kubernetes, are rejected, and the error names them", async () => {
  assert.match((await doctor({}, "--frob")).errors, /^serin: doctor: there is no flag --frob\n/);
  const alone = await new Promise<string>((resolve) => {
    execFile(serin, ["doctor", "-i", "mesh"], (_error, _output, errors) => resolve(errors));
  });
  assert.match(alone, /^serin: doctor: --istioNamespace needs --kubernetes\n/);
});
