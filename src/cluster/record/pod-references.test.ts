import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../api/kubernetes/index.ts";
import { podReferences } from "./pod-references.ts";

function namesOf(spec: object): Readonly<Record<string, readonly string[]>> {
  const references = podReferences({ metadata: { name: "web" }, spec } as unknown as Pod);
  return Object.fromEntries(Object.entries(references).map(([kind, names]) => [kind, [...names]]));
}

const none = { configMap: [], persistentVolumeClaim: [], secret: [] };

test("variables of all kinds of containers refer to ConfigMaps and Secrets", () => {
  const reads = (name: string): object => ({
    env: [
      { name: "A", valueFrom: { configMapKeyRef: { name: `${name}-map`, key: "a" } } },
      { name: "B", valueFrom: { secretKeyRef: { name: `${name}-secret`, key: "b" } } },
      { name: "C", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
      { name: "D", value: "plain" },
    ],
    envFrom: [{ configMapRef: { name: `${name}-maps` } }, { secretRef: { name: `${name}-secrets` } }],
  });
  const spec = { containers: [reads("main")], initContainers: [reads("init")], ephemeralContainers: [reads("late")] };
  assert.deepEqual(namesOf(spec), {
    configMap: ["init-map", "init-maps", "main-map", "main-maps", "late-map", "late-maps"],
    persistentVolumeClaim: [],
    secret: ["init-secret", "init-secrets", "main-secret", "main-secrets", "late-secret", "late-secrets"],
  });
});

test("volumes refer to claims, ConfigMaps and Secrets, also those of a projected volume", () => {
  const volumes = [
    { name: "a", persistentVolumeClaim: { claimName: "data" } },
    { name: "b", configMap: { name: "settings" } },
    { name: "c", secret: { secretName: "password" } },
    {
      name: "d",
      projected: {
        sources: [
          { configMap: { name: "more-settings" } },
          { secret: { name: "more-passwords" } },
          { serviceAccountToken: { path: "token" } },
        ],
      },
    },
    { name: "e", emptyDir: {} },
  ];
  assert.deepEqual(namesOf({ containers: [], volumes }), {
    configMap: ["settings", "more-settings"],
    persistentVolumeClaim: ["data"],
    secret: ["password", "more-passwords"],
  });
});

test("a name counts once, and an absent or empty one not at all, because it would open every object to the node", () => {
  const env = [
    { name: "A", valueFrom: { configMapKeyRef: { name: "settings", key: "a" } } },
    { name: "B", valueFrom: { configMapKeyRef: { name: "settings", key: "b" } } },
    { name: "C", valueFrom: { secretKeyRef: { name: "", key: "c" } } },
    { name: "D", valueFrom: { secretKeyRef: { key: "d" } } },
  ];
  const volumes = [{ name: "v", secret: {} }];
  assert.deepEqual(namesOf({ containers: [{ env }], volumes }), { ...none, configMap: ["settings"] });
});

test("a pod without a spec, and the pull secrets of one, refer to nothing, because the lab pulls no images", () => {
  assert.deepEqual(namesOf({ containers: [], imagePullSecrets: [{ name: "registry" }] }), none);
  assert.deepEqual(
    Object.values(podReferences({ metadata: { name: "web" } })).map(({ size }) => size),
    [0, 0, 0],
  );
});
