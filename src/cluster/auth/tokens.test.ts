import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { HandClock } from "../../base/testing/index.ts";
import type { Store } from "../store/index.ts";
import { ServiceAccountTokens } from "./tokens.ts";

test("a token becomes invalid a minute after the deletion of the object that it is bound to, even while a finalizer keeps the object", () => {
  const clock = new HandClock();
  const records = new Map<string, { uid: string; object: { metadata: { deletionTimestamp?: string } } }>();
  const put = (collection: string, name: string): void =>
    void records.set(`${collection} shop ${name}`, { uid: name, object: { metadata: {} } });
  const store = {
    get: (collection: string, namespace: string, name: string) => records.get(`${collection} ${namespace} ${name}`),
  } as unknown as Store;
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const tokens = new ServiceAccountTokens(privateKey.export({ type: "pkcs8", format: "pem" }).toString(), store, clock);
  for (const [collection, name] of [
    ["/serviceaccounts", "robot"],
    ["/pods", "web"],
  ] as const) {
    put("/serviceaccounts", "robot");
    put("/pods", "web");
    const { token } = tokens.issue({
      namespace: "shop",
      serviceAccount: "robot",
      serviceAccountUid: "robot",
      audiences: [],
      expirationSeconds: 3_600,
      bound: { kind: "Pod", name: "web", uid: "web" },
    });
    const record = records.get(`${collection} shop ${name}`);
    assert.ok(record !== undefined);
    record.object.metadata.deletionTimestamp = new Date(clock.nowMs()).toISOString();
    clock.pass(60_000);
    assert.notEqual(tokens.verify(token), undefined, collection);
    clock.pass(1_000);
    assert.equal(tokens.verify(token), undefined, collection);
  }
});
