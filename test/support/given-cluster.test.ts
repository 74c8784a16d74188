import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { GivenCluster, givenFacts } from "./given-cluster.ts";

const facts = { kubeconfig: "/k", nodes: ["n1", "n2"], addresses: "10.240.1" } as const;
const env = { SERIN_TEST_KUBECONFIG: "/k", SERIN_TEST_NODES: "n1,n2", SERIN_TEST_ADDRESSES: "10.240.1" };

test("the environment states the facts of a given cluster; without a kubeconfig the test makes a lab", () => {
  assert.deepEqual(givenFacts(env), facts);
  assert.equal(givenFacts({}), undefined);
  assert.throws(() => givenFacts({ ...env, SERIN_TEST_NODES: "n1" }), /SERIN_TEST_NODES/);
  assert.throws(() => givenFacts({ ...env, SERIN_TEST_ADDRESSES: "10.240.1.0/24" }), /SERIN_TEST_ADDRESSES/);
});

test("a line runs in its own HOME, with the kubeconfig where the guide expects it, and only that HOME is removed at the end", async () => {
  const directory = mkdtempSync(join(tmpdir(), "serin-given-test-"));
  const kubeconfig = join(directory, "admin.conf");
  writeFileSync(kubeconfig, "the cluster's\n");
  const cluster = new GivenCluster("given", { ...facts, kubeconfig });
  try {
    await cluster.create();
    const line = 'cat ~/.kube/config "$KUBECONFIG"; command -v istioctl; pwd; cat';
    const { code, output } = await cluster.shell(line, { input: "an answer\n" });
    assert.equal(code, 0, output);
    const home = dirname(cluster.directory);
    assert.equal(
      output,
      `the cluster's\nthe cluster's\n${join(home, "programs/istioctl")}\n${cluster.directory}\nan answer\n`,
    );
    assert.equal((await cluster.shell("echo no >&2; exit 3")).code, 3);
    await cluster.delete();
    assert.ok(!existsSync(home));
    assert.ok(existsSync(kubeconfig));
  } finally {
    rmSync(directory, { recursive: true });
  }
});
