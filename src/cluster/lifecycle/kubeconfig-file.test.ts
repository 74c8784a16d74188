import assert from "node:assert/strict";
import { lstatSync, mkdtempSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { readForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import { mergeIntoKubeconfig, removeFromKubeconfig } from "./kubeconfig-file.ts";

const access = { contextName: "kind-a", server: "https://127.7.0.10:6443", ca: "CA", certificate: "CERT", key: "KEY" };

test("a cluster is added and made current, and its removal restores the previous context", () => {
  const path = join(mkdtempSync(join(tmpdir(), "serin-kubeconfig-")), "deep", "config");
  assert.equal(mergeIntoKubeconfig(path, access), "");
  assert.equal(mergeIntoKubeconfig(path, { ...access, contextName: "kind-b" }), "kind-a");
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const merged = parse(readFileSync(path, "utf8")) as { "current-context": string; contexts: { name: string }[] };
  assert.equal(merged["current-context"], "kind-b");
  assert.deepEqual(
    merged.contexts.map(({ name }) => name),
    ["kind-a", "kind-b"],
  );
  removeFromKubeconfig(path, "kind-b", "kind-a");
  const left = parse(readFileSync(path, "utf8")) as { "current-context": string; users: unknown[] };
  assert.equal(left["current-context"], "kind-a");
  assert.equal(left.users.length, 1);
});

test("keys go only into a new file, even if somebody has put a link at the name of the temporary one", () => {
  const directory = mkdtempSync(join(tmpdir(), "serin-kubeconfig-"));
  const [path, target] = [join(directory, "config"), join(directory, "target")];
  writeFileSync(target, "old");
  symlinkSync(target, `${path}.${process.pid}`);
  mergeIntoKubeconfig(path, access);
  assert.equal(readFileSync(target, "utf8"), "old");
  const written = lstatSync(path);
  assert.deepEqual([written.isFile(), written.mode & 0o777], [true, 0o600]);
});

test("the user's own kubeconfig entries stay, and a damaged file is not overwritten", () => {
  const path = join(mkdtempSync(join(tmpdir(), "serin-kubeconfig-")), "config");
  writeFileSync(
    path,
    "apiVersion: v1\nkind: Config\ncurrent-context: prod\npreferences: {colors: true}\nclusters: [{name: prod, cluster: {server: https://prod}}]\ncontexts: [{name: prod, context: {cluster: prod, user: me}}]\nusers: [{name: me, user: {token: t}}]\n",
  );
  assert.equal(mergeIntoKubeconfig(path, access), "prod");
  removeFromKubeconfig(path, "kind-a", "prod");
  const left = parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  assert.equal(left["current-context"], "prod");
  assert.deepEqual(left["preferences"], { colors: true });
  assert.deepEqual(left["users"], [{ name: "me", user: { token: "t" } }]);
  writeFileSync(path, "clusters: [");
  assert.throws(() => mergeIntoKubeconfig(path, access), /cannot read the kubeconfig/);
  assert.equal(readFileSync(path, "utf8"), "clusters: [");
});

test("the user's own entries keep the values that kubectl reads, and a fault of the file is named without its secrets", () => {
  const path = join(mkdtempSync(join(tmpdir(), "serin-kubeconfig-")), "config");
  const own = `clusters: [{name: "on", cluster: {server: "https://x", insecure-skip-tls-verify: yes}}]
contexts: [{name: "no", context: {cluster: "on", user: "y", namespace: "off"}}]
users: [{name: "y", user: {username: "yes", password: "1_000"}}]
current-context: "no"
`;
  writeFileSync(path, own);
  mergeIntoKubeconfig(path, access);
  removeFromKubeconfig(path, "kind-a", "no");
  const left = parse(readFileSync(path, "utf8"), readForKubernetes) as Record<string, unknown>;
  assert.deepEqual(left, { apiVersion: "v1", kind: "Config", ...(parse(own, readForKubernetes) as object) });
  for (const [text, message] of [
    ["users: [{user: {token: s3cret}, x: [}]", /^cannot read the kubeconfig .+ at line 1, column \d+$/],
    ["users: {token: s3cret}", /^users of the kubeconfig .+ must be a list of objects$/],
    ["contexts: [s3cret]", /^contexts of the kubeconfig .+ must be a list of objects$/],
    ["clusters: [null]", /^clusters of the kubeconfig .+ must be a list of objects$/],
  ] as const) {
    writeFileSync(path, text);
    assert.throws(
      () => mergeIntoKubeconfig(path, access),
      (error: Error) => {
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /s3cret/);
        return true;
      },
    );
    assert.equal(readFileSync(path, "utf8"), text);
  }
});
