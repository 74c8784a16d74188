import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import { encodeObject, parseRowKey, rowKey, StoredRecord } from "./record.ts";

const object = (): UntypedObject => ({
  data: { a: "b" },
  metadata: { namespace: "shop", name: "x", uid: "u", labels: { app: "web" } },
  apiVersion: "v1",
  kind: "ConfigMap",
});
const key = { collection: "/configmaps", namespace: "shop", name: "x" };

test("the key of a row can be read back, also for objects of the whole cluster and names with the key's own characters", () => {
  for (const given of [
    key,
    { collection: "rbac.authorization.k8s.io/clusterroles", namespace: "", name: "system:node|a/b" },
    { collection: "example.com/things", namespace: "", name: "a" },
  ])
    assert.deepEqual(parseRowKey(rowKey(given)), given);
});

test("an object is stored with its version, and with kind, apiVersion and metadata first, which encoders rely on", () => {
  const bytes = encodeObject(object(), 7);
  assert.equal(
    bytes.toString(),
    '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"namespace":"shop","name":"x","uid":"u","labels":{"app":"web"},"resourceVersion":"7"},"data":{"a":"b"}}',
  );
});

test("readers share the object of a record, and a copy may be changed without them", () => {
  const record = new StoredRecord(key, 7, encodeObject(object(), 7), object());
  assert.equal(record.object, record.object);
  const copy = record.copy();
  copy["data"] = { changed: "yes" };
  assert.deepEqual(record.object["data"], { a: "b" });
  assert.deepEqual([record.uid, record.labels, record.apiVersion], ["u", { app: "web" }, "v1"]);
});

test("the same state at another version has that version in its bytes too", () => {
  const record = new StoredRecord(key, 7, encodeObject(object(), 7), object());
  const later = record.at(9);
  assert.equal(later.revision, 9);
  assert.equal((JSON.parse(later.bytes.toString()) as UntypedObject).metadata.resourceVersion, "9");
  assert.equal(record.revision, 7);
  assert.equal((JSON.parse(record.bytes.toString()) as UntypedObject).metadata.resourceVersion, "7");
});
