import assert from "node:assert/strict";
import { test } from "node:test";
import type { KindDefinition } from "../../api/index.ts";
import { serviceKind, type Secret } from "../../api/kubernetes/index.ts";
import { withoutSecretPaths } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { AuthorKey } from "./author-key.ts";

test("all engines share one key and one path, which are created once and deleted with the Service", async () => {
  let stored: Secret | undefined;
  const services: object[] = [];
  const client = {
    get: async (kind: KindDefinition) => await Promise.resolve(kind === serviceKind ? services[0] : stored),
    create: async (_kind: unknown, secret: Secret) => await Promise.resolve((stored = secret)),
  } as unknown as KubeClient;
  const first = new AuthorKey(client, "serin-system");
  await assert.rejects(first.get(), /there is no Service serin-system\/serin-rollout/);
  services.push({ metadata: { name: "serin-rollout", uid: "u1" } });
  const second = new AuthorKey(client, "serin-system");
  assert.deepEqual(await first.get(), await second.get());
  assert.equal((await first.get()).length, 32);
  assert.equal(stored?.metadata.ownerReferences?.[0]?.uid, "u1");
  const path = await first.path("author");
  assert.match(path, /^\/author\/[0-9a-f]{64}$/);
  assert.equal(await second.isPath("author", path), true);
  assert.equal(await second.isPath("review", await first.path("review")), true);
  assert.notEqual((await first.path("review")).slice(-64), path.slice(-64));
  for (const other of ["/author", "/author/", `${path}0`, path.replace(/.$/, (last) => (last === "0" ? "1" : "0"))])
    assert.equal(await second.isPath("author", other), false, other);
  const shown = withoutSecretPaths(`Post "https://serin-rollout.serin-system.svc:443${path}?timeout=10s": refused`);
  assert.equal(
    shown,
    'Post "https://serin-rollout.serin-system.svc:443/author/<redacted>?timeout=10s": refused',
    "files that people pass on do not contain it",
  );
});
