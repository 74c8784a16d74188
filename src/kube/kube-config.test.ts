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

/** A kubeconfig with one context, as a file. */
function configFile(name: string, user: object, cluster: object = {}): string {
  return write(
    name,
    JSON.stringify({
      "current-context": "a",
      clusters: [{ name: "c", cluster: { server: "https://api.example.com:6443", ...cluster } }],
      users: [{ name: "u", user }],
      contexts: [{ name: "a", context: { cluster: "c", user: "u" } }],
    }),
  );
}

test("the error of a kubeconfig that cannot be parsed quotes no secret of it", async () => {
  const yaml = "users:\n- name: me\n  user: {token: s3cret, x: [}\n";
  const quoted = ["*s3cret", "|s3cret"].map((token) => `users:\n- user:\n    token: ${token}\n`);
  for (const text of ['{"users":[{"token":"s3cret"}', '{"token":s3cret}', '{"token":"s3\ncret"}', yaml, ...quoted])
    await assert.rejects(loadKubeConfig(write("broken", text)), (error: Error) => {
      assert.match(error.message, /not valid YAML: .+/);
      assert.doesNotMatch(error.message, /s3|cret/);
      return true;
    });
});

test("a kubeconfig with an unknown tag of YAML writes no warning, which would quote its token", async () => {
  const warnings: Error[] = [];
  const listen = (warning: Error): void => void warnings.push(warning);
  process.on("warning", listen);
  const yaml = `current-context: a
clusters: [{name: c, cluster: {server: "https://x"}}]
contexts: [{name: a, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: !tagged s3cret}}]
`;
  assert.deepEqual((await loadKubeConfig(write("tagged", yaml))).token, { type: "literal", token: "s3cret" });
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", listen);
  assert.deepEqual(warnings, []);
});

test("a kubeconfig in JSON or YAML may begin with a byte order mark", async () => {
  const fields = { contexts: [{ name: "a", context: { cluster: "c" } }], "current-context": "a" };
  const json = JSON.stringify({ ...fields, clusters: [{ name: "c", cluster: { server: "https://x" } }] });
  for (const text of [
    json,
    `current-context: a\r\ncontexts: ${JSON.stringify(fields.contexts)}\r\nclusters: [{name: c, cluster: {server: "https://x"}}]\r\n`,
  ])
    assert.equal((await loadKubeConfig(write("marked", `\uFEFF${text}`))).server, "https://x");
});

test("a field of another type is refused by its name and not quoted, as kubectl refuses it", async () => {
  const fields = (context: object, cluster: object, user: object): Readonly<Record<string, unknown>> => ({
    "current-context": "a",
    contexts: [{ name: "a", context: { cluster: "c", user: "u", ...context } }],
    clusters: [{ name: "c", cluster: { server: "https://x", ...cluster } }],
    users: [{ name: "u", user }],
  });
  const exec = { command: "login", apiVersion: "client.authentication.k8s.io/v1", interactiveMode: "Never" };
  const faults: readonly (readonly [config: object, fault: string])[] = [
    [fields({ namespace: 5_309 }, {}, {}), 'namespace of context "a" of PATH must be a string'],
    [fields({}, { server: ["https://5309"] }, {}), 'server of cluster "c" of PATH must be a string'],
    [fields({}, { "tls-server-name": {} }, {}), 'tls-server-name of cluster "c" of PATH must be a string'],
    [
      fields({}, { "insecure-skip-tls-verify": "5309" }, {}),
      'insecure-skip-tls-verify of cluster "c" of PATH must be true or false',
    ],
    [fields({}, {}, { token: 5_309 }), 'token of user "u" of PATH must be a string'],
    [fields({}, {}, { username: "me", password: 5_309 }), 'password of user "u" of PATH must be a string'],
    [fields({}, {}, { "client-key-data": true }), 'client-key-data of user "u" of PATH must be a string'],
    [fields({}, {}, { exec: { ...exec, command: 5_309 } }), 'command of exec of user "u" of PATH must be a string'],
    [
      fields({}, {}, { exec: { ...exec, provideClusterInfo: "yes" } }),
      'provideClusterInfo of exec of user "u" of PATH must be true or false',
    ],
    [{ ...fields({}, {}, {}), users: [{ name: "u", user: "5309" }] }, 'user of user "u" of PATH must be an object'],
    [{ ...fields({}, {}, {}), users: [{ name: 5_309 }] }, "name of an entry of users of PATH must be a string"],
    [{ ...fields({}, {}, {}), contexts: { a: {} } }, "contexts of PATH must be a list of objects"],
    [{ ...fields({}, {}, {}), "current-context": 5_309 }, "current-context of PATH must be a string"],
  ];
  for (const [config, fault] of faults) {
    const path = write("typed", JSON.stringify(config));
    const message = fault.replace("PATH", path);
    await assert.rejects(loadKubeConfig(path), { kind: "user", code: "kubeconfig-invalid", message });
  }
  const program = { ...exec, args: null, env: null, provideClusterInfo: true };
  const withNulls = fields({ namespace: null }, { extensions: [null] }, { token: null, exec: program });
  const path = write("nulls", JSON.stringify({ ...withNulls, users: [null, ...(withNulls["users"] as unknown[])] }));
  assert.notEqual((await loadKubeConfig(path)).plugin, undefined);
});

test("an unknown context, user or file is refused with the remedy", async () => {
  const path = configFile("unknown", { token: "t" });
  await assert.rejects(loadKubeConfig(path, "b"), { code: "kubeconfig-invalid", hint: "it has: a" });
  await assert.rejects(loadKubeConfig(join(directory, "absent")), { code: "kubeconfig-missing" });
  const nobody = write(
    "nobody",
    JSON.stringify({
      "current-context": "a",
      clusters: [{ name: "c", cluster: { server: "https://x" } }],
      contexts: [{ name: "a", context: { cluster: "c", user: "nobody" } }],
    }),
  );
  await assert.rejects(loadKubeConfig(nobody), /names the user "nobody", which does not exist/);
});

test("a user with wrong settings of a program, an auth-provider or an incomplete impersonation is refused by field", async () => {
  const exec = { command: "login", apiVersion: "client.authentication.k8s.io/v1", interactiveMode: "Never" };
  const faults: readonly (readonly [user: object, message: RegExp])[] = [
    [{ exec: { ...exec, command: "" } }, /no exec\.command/],
    [
      { exec: { ...exec, apiVersion: "client.authentication.k8s.io/v1alpha1" } },
      /exec\.apiVersion .*v1alpha1, expected/,
    ],
    [{ exec: { command: "login", apiVersion: exec.apiVersion } }, /exec\.interactiveMode unset, expected Never/],
    [{ exec: { ...exec, args: "get-token" } }, /exec\.args, which must be a list/],
    [{ exec: { ...exec, env: [{ value: "x" }] } }, /exec\.env, which must be a list/],
    [{ "auth-provider": { name: "gcp" } }, /auth-provider, which Kubernetes has removed/],
    [{ token: "t", "as-groups": ["admins"] }, /without `as`/],
    [{ token: "t", as: "me", "as-groups": "admins" }, /as-groups, which must be a list/],
    [{ token: "t", as: "me", "as-user-extra": { reason: "x" } }, /as-user-extra, which must map/],
  ];
  for (const [user, message] of faults) {
    const path = configFile("faulty", user);
    await assert.rejects(loadKubeConfig(path), (error: Error) => {
      assert.match(error.message, /user "u" of .*faulty/);
      assert.match(error.message, message);
      return true;
    });
  }
});

test("a proxy comes from the kubeconfig, or from the environment unless NO_PROXY names the server", async () => {
  const proxyFor = async (env: Readonly<Record<string, string>>, cluster: object = {}): Promise<string | undefined> =>
    (await loadKubeConfig(configFile("proxied", { token: "t" }, cluster), undefined, env)).proxy?.href;
  const https = { HTTPS_PROXY: "http://proxy:3128" };
  assert.equal(await proxyFor({}), undefined);
  assert.equal(await proxyFor(https), "http://proxy:3128/");
  assert.equal(await proxyFor({ https_proxy: "proxy:3128" }), "http://proxy:3128/");
  assert.equal(await proxyFor(https, { "proxy-url": "https://other" }), "https://other/");
  assert.equal(await proxyFor(https, { "proxy-url": "socks5://localhost:1080" }), "socks5://localhost:1080");
  assert.equal(await proxyFor({ HTTPS_PROXY: "socks5h://bastion" }), "socks5h://bastion");
  for (const entry of ["*", "example.com", ".example.com", "*.example.com", "other, api.example.com:6443"])
    assert.equal(await proxyFor({ ...https, NO_PROXY: entry }), undefined, entry);
  for (const entry of ["ample.com", "api.example.com:443", "10.0.0.0/8", ".api.example.com"])
    assert.equal(await proxyFor({ ...https, NO_PROXY: entry }), "http://proxy:3128/", entry);
  assert.equal(await proxyFor({ ...https, NO_PROXY: "10.0.0.0/8" }, { server: "https://10.1.2.3" }), undefined);
  assert.equal(await proxyFor(https, { server: "https://127.0.0.1:6443" }), undefined);
  assert.equal(await proxyFor(https, { server: "https://[::1]:6443" }), undefined);
  await assert.rejects(
    proxyFor({}, { "proxy-url": "socks4://proxy" }),
    /proxy-url of cluster "c" of .* has the scheme socks4:/,
  );
  await assert.rejects(
    proxyFor({ HTTPS_PROXY: "http://me:50%@proxy" }),
    /the variable HTTPS_PROXY has a user or a password with a wrong percent sign/,
  );
  await assert.rejects(proxyFor({}, { "proxy-url": "socks5://" }), /proxy-url of cluster "c" of .* has no host/);
  await assert.rejects(
    proxyFor({}, { server: "http://plain", "proxy-url": "http://proxy" }),
    /needs a server with https/,
  );
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
  const file = { type: "file", path: "/var/token" };
  assert.deepEqual((await read({ tokenFile: "/var/token" }, "tokenFile")).token, file);
  // The file takes precedence over the invalid literal token, so that token does not matter.
  assert.deepEqual((await read({ tokenFile: "/var/token", token: "old\n" }, "tokenFile")).token, file);
  await assert.rejects(parseUntrustedKubeConfig("[not: yaml", "the secret", new Set()), /the secret is not valid YAML/);
});
