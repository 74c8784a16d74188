import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { loadInClusterConfig, loadKubeConfig, parseUntrustedKubeConfig } from "./kube-config.ts";

const directory = mkdtempSync(join(tmpdir(), "serin-kubeconfig-"));
after(() => rmSync(directory, { recursive: true }));
const write = (name: string, text: string): string => {
  writeFileSync(join(directory, name), text);
  return join(directory, name);
};

test("files of KUBECONFIG are merged, the first definition wins, and paths are relative to their file", async () => {
  write("client.crt", "CERT");
  write("client.key", "KEY");
  const first = write(
    "first",
    "current-context: two\nclusters:\n- name: one\n  cluster: {server: https://first:6443/, certificate-authority-data: Q0E=}\n",
  );
  const second = write(
    "second",
    `current-context: other
clusters:
- {name: one, cluster: {server: "https://second"}}
users:
- {name: me, user: {client-certificate: client.crt, client-key: client.key}}
contexts:
- {name: two, context: {cluster: one, user: me, namespace: shop}}
`,
  );
  const config = await loadKubeConfig({ KUBECONFIG: `${first}:${join(directory, "missing")}:${second}` });
  assert.deepEqual(config, {
    server: "https://first:6443",
    context: "two",
    namespace: "shop",
    ca: "CA",
    clientCertificate: { certificate: "CERT", key: "KEY" },
  });
});

test("an exec plugin, an unknown context and a missing file are refused with the remedy", async () => {
  const path = write(
    "exec",
    '{"current-context":"a","clusters":[{"name":"c","cluster":{"server":"https://x"}}],"users":[{"name":"u","user":{"exec":{"command":"aws"}}}],"contexts":[{"name":"a","context":{"cluster":"c","user":"u"}}]}',
  );
  await assert.rejects(loadKubeConfig(path), { kind: "user", code: "kubeconfig-invalid" });
  await assert.rejects(loadKubeConfig(path, "b"), { code: "kubeconfig-invalid", hint: "it has: a" });
  await assert.rejects(loadKubeConfig(join(directory, "absent")), { code: "kubeconfig-missing" });
});

test("a pod's config names the service account's files, and the token is read from its file each time", async () => {
  write("ca.crt", "CA");
  write("namespace", "shop\n");
  const config = await loadInClusterConfig({
    KUBERNETES_SERVICE_HOST: "10.96.0.1",
    KUBERNETES_SERVICE_PORT: "443",
    SERVICE_ACCOUNT_DIR: directory,
  });
  assert.deepEqual(config, {
    server: "https://10.96.0.1:443",
    context: "in-cluster",
    namespace: "shop",
    ca: "CA",
    token: { type: "file", path: join(directory, "token") },
  });
});

test("a kubeconfig from others cannot run a program, and reads only files that are allowed by name", async () => {
  const text = (user: object): string =>
    JSON.stringify({
      "current-context": "c",
      clusters: [{ name: "c", cluster: { server: "https://one:6443" } }],
      contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
      users: [{ name: "u", user }],
    });
  const read = (user: object, ...allowed: readonly string[]) =>
    parseUntrustedKubeConfig(text(user), "the secret", new Set(allowed));
  assert.deepEqual((await read({ token: "secret" })).token, { type: "literal", token: "secret" });
  await assert.rejects(read({ exec: { command: "sh" } }, "exec"), { code: "kubeconfig-invalid" });
  await assert.rejects(read({ "auth-provider": { name: "gcp" } }), { code: "kubeconfig-invalid" });
  for (const [field, option] of [
    ["client-key", "clientKey"],
    ["client-certificate", "clientCertificate"],
    ["tokenFile", "tokenFile"],
  ] as const) {
    await assert.rejects(read({ [field]: "/etc/passwd" }), new RegExp(`${option} is not allowed`));
  }
  const byFile = JSON.stringify({
    "current-context": "c",
    clusters: [{ name: "c", cluster: { server: "https://one:6443", "certificate-authority": "/dev/zero" } }],
    contexts: [{ name: "c", context: { cluster: "c" } }],
  });
  await assert.rejects(
    parseUntrustedKubeConfig(byFile, "the secret", new Set()),
    /certificateAuthority is not allowed: cluster "c" of the secret would read a file through certificate-authority/,
  );
  assert.deepEqual((await read({ tokenFile: "/var/token" }, "tokenFile")).token, { type: "file", path: "/var/token" });
  await assert.rejects(parseUntrustedKubeConfig("[not: yaml", "the secret", new Set()), /the secret is not valid YAML/);
});
