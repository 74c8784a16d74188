import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldTypes, withFieldTypes } from "./index.ts";

const { always, list, number, numberOrText, object, text, textMap, texts } = fieldTypes;

const types = {
  metadata: always(object({ labels: textMap }), {}),
  spec: object({ ports: list({ port: always(number, 0), targetPort: numberOrText }), hosts: texts, name: text }),
};

test("fields of a wrong type are reported and absent, null is absent, and other fields stay as they are", () => {
  const { value, faults } = withFieldTypes(
    {
      metadata: { labels: { app: "web", tier: 3 } },
      spec: {
        ports: [{ port: "80", targetPort: "http" }, null, { targetPort: true }],
        hosts: null,
        name: [],
        other: 7,
      },
    },
    types,
  );
  assert.deepEqual(value, {
    metadata: { labels: { app: "web" } },
    spec: { ports: [{ port: 0, targetPort: "http" }, { port: 0 }, { port: 0 }], other: 7 },
  });
  assert.deepEqual(
    faults.map(({ path, message }) => `${path} ${message}`),
    [
      "metadata.labels.tier must be a string, got 3",
      'spec.ports[0].port must be a number, got "80"',
      "spec.ports[2].targetPort must be a number or a string, got true",
      "spec.name must be a string, got []",
    ],
  );
});

test("a field that always exists has its zero value in an object without it", () => {
  assert.deepEqual(withFieldTypes({ spec: 3 }, types).value, { metadata: {} });
  assert.deepEqual(withFieldTypes({}, types), { value: { metadata: {} }, faults: [] });
});
