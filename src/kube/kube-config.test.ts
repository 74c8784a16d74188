import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { describeError, systemClock, type Clock } from "../base/index.ts";
import { Credentials } from "./credentials.ts";
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

/** A kubeconfig whose user has these fields. */
const withUser = (name: string, user: object): string =>
  write(
    name,
    JSON.stringify({
      "current-context": "a",
      clusters: [{ name: "c", cluster: { server: "https://x", "certificate-authority-data": "Q0E=" } }],
      users: [{ name: "u", user }],
      contexts: [{ name: "a", context: { cluster: "c", user: "u" } }],
    }),
  );

test("an auth provider, impersonation, an unknown context and a missing file are refused with the remedy", async () => {
  const path = withUser("provider", { "auth-provider": { name: "gcp" } });
  await assert.rejects(loadKubeConfig(path), { kind: "user", code: "kubeconfig-invalid", message: /auth-provider/ });
  // Without this, the requests would have the rights of the user itself.
  for (const field of ["as", "as-uid", "as-groups", "as-user-extra"])
    await assert.rejects(loadKubeConfig(withUser(field, { token: "t", [field]: "viewer" })), {
      code: "kubeconfig-invalid",
      message: `user "u" of ${join(directory, field)} acts as another user (${field}), which Serin does not support`,
    });
  await assert.rejects(loadKubeConfig(path, "b"), { code: "kubeconfig-invalid", hint: "it has: a" });
  await assert.rejects(loadKubeConfig(join(directory, "absent")), { code: "kubeconfig-missing" });
});

test("a credential plugin runs once for all connections, and again when its token has expired or is refused", async () => {
  const runs = join(directory, "runs");
  const script = `#!/bin/sh
echo "$PROFILE $* $KUBERNETES_EXEC_INFO" >> ${runs}
n=$(wc -l < ${runs})
echo "{\\"apiVersion\\":\\"client.authentication.k8s.io/v1\\",\\"kind\\":\\"ExecCredential\\",\\"status\\":{\\"token\\":\\"t$n\\",\\"expirationTimestamp\\":\\"2026-01-01T00:10:00Z\\"}}"
`;
  chmodSync(write("plugin", script), 0o755);
  const exec = {
    apiVersion: "client.authentication.k8s.io/v1",
    command: "./plugin",
    args: ["get-token"],
    env: [{ name: "PROFILE", value: "me" }],
    interactiveMode: "IfAvailable",
    provideClusterInfo: true,
  };
  const path = withUser("exec", { exec });
  let nowMs = Date.parse("2026-01-01T00:00:00Z");
  const clock: Clock = { ...systemClock, nowMs: () => nowMs };
  const connection = async (): Promise<Credentials> => new Credentials(await loadKubeConfig(path), clock);
  const first = await connection();
  assert.equal(first.authorization(), "Bearer t1");
  assert.equal((await connection()).authorization(), "Bearer t1");
  assert.deepEqual(
    /^me get-token (.+)\n$/.exec(readFileSync(runs, "utf8"))?.[1],
    JSON.stringify({
      apiVersion: exec.apiVersion,
      kind: "ExecCredential",
      spec: { interactive: false, cluster: { server: "https://x", "certificate-authority-data": "Q0E=" } },
    }),
  );
  nowMs += 595_000;
  assert.equal(first.authorization(), "Bearer t2");
  assert.equal(first.rotates, true);
  nowMs -= 595_000;
  assert.equal(first.authorization(), "Bearer t2");
  first.forget();
  assert.equal(first.authorization(), "Bearer t3");
});

test("a credential plugin that is missing, fails or prints no token is the user's error, with the kubeconfig's hint", async () => {
  const apiVersion = "client.authentication.k8s.io/v1beta1";
  const errorOf = async (name: string, exec: object): Promise<string> => {
    const read = async (): Promise<unknown> =>
      new Credentials(await loadKubeConfig(withUser(name, { exec })), systemClock).authorization();
    return await read().then(() => assert.fail("it gave a token"), describeError);
  };
  const by = (name: string): string => `user "u" of ${join(directory, name)}`;
  assert.equal(
    await errorOf("missing", { apiVersion, command: "no-such-plugin", installHint: "Install it from example.org.\n" }),
    `the credential plugin no-such-plugin of ${by("missing")} is not installed\n  hint: Install it from example.org.`,
  );
  const sh = (line: string): object => ({ apiVersion, command: "sh", args: ["-c", line] });
  assert.match(
    await errorOf("failing", sh("exit 3")),
    /sh of user "u" of .* ended with code 3\n {2}hint: kubectl runs/,
  );
  assert.match(await errorOf("silent", sh("echo hello")), /did not print an ExecCredential with a status/);
  assert.match(await errorOf("certificate", sh(`echo '{"kind":"ExecCredential","status":{}}'`)), /no status\.token/);
  assert.match(await errorOf("unnamed", { apiVersion }), /exec\.command of user "u" of .* must name a program/);
  assert.match(await errorOf("old", { command: "sh" }), /exec\.apiVersion of user .* is "": expected .*\/v1 or /);
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
