import assert from "node:assert/strict";
import { test } from "node:test";
import type { SecretStore } from "./secret-store.ts";
import { TlsContexts } from "./tls-contexts.ts";
import type { TlsSpec } from "./tls-spec.ts";

test("roots that there never are fail a connection at once, and are not asked for", async () => {
  const store = { certificate: () => undefined, roots: () => undefined, trouble: () => "it has not come", changed: async () => await new Promise(() => undefined) } as unknown as SecretStore;
  const spec = { key: "k", certificates: [], roots: { kind: "sds", name: "invalid://-cacert" } } as unknown as TlsSpec;
  await assert.rejects(new TlsContexts(store).get(spec, 3_600_000), { code: "secret-missing" });
});
