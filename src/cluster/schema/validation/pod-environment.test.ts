import { test } from "node:test";
import { pod, refuses } from "./testing/refuses.ts";

test("the name of a variable is printable ASCII without =", () => {
  refuses([
    [
      pod({}, { env: [{ name: "" }, { name: "a=b" }, { name: "1" }, { name: "a b" }, { name: "ä" }] }),
      [
        "spec.containers[0].env[0].name: Required value",
        "spec.containers[0].env[1].name: Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII characters other than '='",
        "spec.containers[0].env[4].name: Invalid value: \"ä\": a valid environment variable name must consist only of printable ASCII characters other than '='",
      ],
    ],
  ]);
});

test("a variable has a value or one source", () => {
  refuses([
    [
      pod({}, { env: [{ name: "A", valueFrom: {} }] }),
      [
        'spec.containers[0].env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fil',
      ],
    ],
    [
      pod({}, { env: [{ name: "A", value: "x", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }] }),
      ['spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty'],
    ],
  ]);
});

test("a variable shows only some fields of its pod, and one label or annotation by its key", () => {
  refuses([
    [pod({}, { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }] }), []],
    [pod({}, { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "metadata.labels['a']" } } }] }), []],
    [pod({}, { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "metadata.annotations['b/c']" } } }] }), []],
    [pod({}, { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } }] }), []],
    [pod({}, { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "spec.serviceAccountName" } } }] }), []],
    [pod({}, { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "status.hostIP" } } }] }), []],
    [pod({}, { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "status.podIPs" } } }] }), []],
    [
      pod({}, { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "metadata.labels['a b']" } } }] }),
      ['spec.containers[0].env[0].valueFrom.fieldRef: Invalid value: "a b": name part'],
    ],
    [
      pod({}, { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "metadata.labels" } } }] }),
      [
        'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "metadata.labels": supported values: "metadata.name", "metadata.namespace",',
      ],
    ],
    [
      pod({}, { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "status.phase" } } }] }),
      [
        'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "status.phase": supported values: "metadata.name", "metadata.namespace", "m',
      ],
    ],
    [
      pod({}, { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "spec.foo" } } }] }),
      [
        'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.foo": error converting fieldPath: field label not supported: spec.foo',
      ],
    ],
    [
      pod({}, { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "" } } }] }),
      ["spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Required value"],
    ],
    [
      pod({}, { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "metadata.name", apiVersion: "v2" } } }] }),
      [
        'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.name": error converting fieldPath: unsupported pod version: v2',
      ],
    ],
  ]);
});

test("a variable shows a request or a limit, divided by a whole unit", () => {
  refuses([
    [pod({}, { env: [{ name: "A", valueFrom: { resourceFieldRef: { resource: "limits.cpu" } } }] }), []],
    [pod({}, { env: [{ name: "A", valueFrom: { resourceFieldRef: { resource: "requests.memory" } } }] }), []],
    [pod({}, { env: [{ name: "A", valueFrom: { resourceFieldRef: { resource: "requests.hugepages-2Mi" } } }] }), []],
    [
      pod({}, { env: [{ name: "A", valueFrom: { resourceFieldRef: { resource: "limits.foo" } } }] }),
      [
        'spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: Unsupported value: "limits.foo": supported values: "limits.cpu", "limits.ephemeral-stor',
      ],
    ],
    [
      pod({}, { env: [{ name: "A", valueFrom: { resourceFieldRef: { resource: "cpu" } } }] }),
      [
        'spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: Unsupported value: "cpu": supported values: "limits.cpu", "limits.ephemeral-storage", "',
      ],
    ],
    [
      pod({}, { env: [{ name: "A", valueFrom: { resourceFieldRef: { resource: "" } } }] }),
      ["spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: Required value"],
    ],
    [
      pod(
        {},
        {
          env: [
            { name: "A", valueFrom: { resourceFieldRef: { resource: "limits.cpu", divisor: "1m" } } },
            { name: "B", valueFrom: { resourceFieldRef: { resource: "limits.cpu", divisor: "2m" } } },
            { name: "C", valueFrom: { resourceFieldRef: { resource: "limits.memory", divisor: "1Mi" } } },
            { name: "D", valueFrom: { resourceFieldRef: { resource: "limits.memory", divisor: "3Mi" } } },
          ],
        },
      ),
      [
        'spec.containers[0].env[1].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only divisor\'s values 1m and 1 are supported with the cpu r',
        'spec.containers[0].env[3].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.memory": only divisor\'s values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1M',
      ],
    ],
  ]);
});

test("a reference to a key needs the name of an object and the key, which is the name of a file", () => {
  refuses([
    [
      pod(
        {},
        {
          env: [
            { name: "A", valueFrom: { configMapKeyRef: { name: "", key: "" } } },
            { name: "B", valueFrom: { secretKeyRef: { name: "A_B", key: "a/b" } } },
            { name: "C", valueFrom: { configMapKeyRef: { name: "ok", key: ".." } } },
          ],
        },
      ),
      [
        "spec.containers[0].env[0].valueFrom.configMapKeyRef.key: Required value",
        'spec.containers[0].env[0].valueFrom.configMapKeyRef.name: Invalid value: "": a lowercase RFC 1123 subdomain',
        "spec.containers[0].env[1].valueFrom.secretKeyRef.key: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.",
        'spec.containers[0].env[1].valueFrom.secretKeyRef.name: Invalid value: "A_B": a lowercase RFC 1123 subdomain',
        "spec.containers[0].env[2].valueFrom.configMapKeyRef.key: Invalid value: \"..\": must not be '..'",
      ],
    ],
  ]);
});

test("a source of many variables is one ConfigMap or one Secret", () => {
  refuses([
    [
      pod(
        {},
        {
          envFrom: [
            {},
            { configMapRef: { name: "a" }, secretRef: { name: "b" } },
            { configMapRef: { name: "" } },
            { secretRef: { name: "B_" } },
            { prefix: "a=", configMapRef: { name: "a" } },
            { prefix: "1-", configMapRef: { name: "a" } },
          ],
        },
      ),
      [
        'spec.containers[0].envFrom: Invalid value: "": may not have more than one field specified at a time',
        'spec.containers[0].envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`',
        "spec.containers[0].envFrom[2].configMapRef.name: Required value",
        'spec.containers[0].envFrom[3].secretRef.name: Invalid value: "B_": a lowercase RFC 1123 subdomain',
        'spec.containers[0].envFrom[4].prefix: Invalid value: "a=": a valid environment variable name must consist only of printable ASCII characters other tha',
      ],
    ],
  ]);
});
