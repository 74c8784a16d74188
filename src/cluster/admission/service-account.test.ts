import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryStore } from "../store/testing/memory-store.ts";
import { serviceAccountAdmission } from "./service-account.ts";
import { admissionRequest, answerOf } from "./testing/admission-request.ts";

const mountPath = "/var/run/secrets/kubernetes.io/serviceaccount";
const name = "kube-api-access-bbbbb";
const mount = { name, readOnly: true, mountPath };

interface Spec {
  readonly serviceAccountName?: string;
  readonly imagePullSecrets?: unknown;
  readonly volumes?: readonly { readonly name: string }[];
  readonly containers: readonly { readonly volumeMounts?: readonly object[] }[];
  readonly initContainers?: readonly { readonly volumeMounts?: readonly object[] }[];
}

const account = (accountName: string, fields: object = {}): object => ({
  metadata: { name: accountName, namespace: "shop" },
  ...fields,
});
const pod = (spec: object = {}, metadata: object = {}): object => ({
  metadata: { name: "web", ...metadata },
  spec: { containers: [{ name: "c" }], ...spec },
});

/** The pod's spec after admission, or the refusal. */
async function admitted(given: object, accounts: object[] = [account("default")]): Promise<Spec | string> {
  const store = await memoryStore({ "/serviceaccounts": accounts });
  const request = admissionRequest("/pods", given);
  const answer = await answerOf(serviceAccountAdmission({ store, random: () => 0 }), request);
  return answer === "allowed" ? ((request.object?.["spec"] ?? {}) as Spec) : answer.replace(/^.*forbidden: /, "");
}

async function specOf(given: object, accounts?: object[]): Promise<Spec> {
  const found = await admitted(given, accounts);
  assert.ok(typeof found !== "string", JSON.stringify(found));
  return found;
}

test("a pod without an account is that of default, and each of its containers gets the token", async () => {
  const spec = await specOf(pod({ initContainers: [{ name: "i" }] }));
  assert.equal(spec.serviceAccountName, "default");
  assert.deepEqual(
    [...spec.containers, ...(spec.initContainers ?? [])].map(({ volumeMounts }) => volumeMounts),
    [[mount], [mount]],
  );
  assert.deepEqual(spec.volumes, [
    {
      name,
      projected: {
        defaultMode: 0o644,
        sources: [
          { serviceAccountToken: { expirationSeconds: 3607, path: "token" } },
          { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
          {
            downwardAPI: {
              items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
            },
          },
        ],
      },
    },
  ]);
});

test("a pod of an account that does not exist is refused", async () => {
  assert.equal(
    await admitted(pod({ serviceAccountName: "robot" })),
    'error looking up service account shop/robot: serviceaccount "robot" not found',
  );
  assert.equal((await specOf(pod({ serviceAccount: "robot" }), [account("robot")])).serviceAccountName, "robot");
});

test("the pod's word about the token counts before that of its account", async () => {
  const off = account("default", { automountServiceAccountToken: false });
  for (const [spec, accounts, isMounted] of [
    [{}, [account("default")], true],
    [{}, [off], false],
    [{ automountServiceAccountToken: true }, [off], true],
    [{ automountServiceAccountToken: false }, [account("default")], false],
  ] as const)
    assert.equal((await specOf(pod(spec), [...accounts])).volumes !== undefined, isMounted);
});

test("a container with a mount of its own at the token's path keeps that, and no unused volume is added", async () => {
  const own = { name: "mine", mountPath };
  const alone = await specOf(pod({ containers: [{ name: "c", volumeMounts: [own] }] }));
  assert.deepEqual([alone.containers[0]?.volumeMounts, alone.volumes], [[own], undefined]);
  const two = await specOf(pod({ containers: [{ name: "c", volumeMounts: [own] }, { name: "d" }] }));
  assert.deepEqual(
    two.containers.map(({ volumeMounts }) => volumeMounts),
    [[own], [mount]],
  );
});

test("a token volume that is already there is used", async () => {
  const volumes = [{ name: "kube-api-access-xyz", projected: {} }];
  const spec = await specOf(pod({ volumes }));
  assert.deepEqual(spec.volumes, volumes);
  assert.deepEqual(spec.containers[0]?.volumeMounts, [{ ...mount, name: "kube-api-access-xyz" }]);
});

test("a pod without image pull secrets gets those of its account", async () => {
  const accounts = [account("default", { imagePullSecrets: [{ name: "registry" }] })];
  assert.deepEqual((await specOf(pod(), accounts)).imagePullSecrets, [{ name: "registry" }]);
  const own = { imagePullSecrets: [{ name: "own" }] };
  assert.deepEqual((await specOf(pod(own), accounts)).imagePullSecrets, own.imagePullSecrets);
});

test("a mirror pod refers to no account, Secret or token, whoever creates it", async () => {
  const mirror = async (spec: object): Promise<Spec | string> =>
    await admitted(pod({ nodeName: "n", ...spec }, { annotations: { "kubernetes.io/config.mirror": "x" } }), []);
  const secret = "a mirror pod may not reference secrets";
  const env = { name: "A", valueFrom: { secretKeyRef: { name: "s", key: "k" } } };
  for (const [spec, refusal] of [
    [{ serviceAccountName: "default" }, "a mirror pod may not reference service accounts"],
    [{ volumes: [{ name: "v", secret: { secretName: "s" } }] }, secret],
    [{ containers: [{ name: "c", env: [env] }] }, secret],
    [{ containers: [{ name: "c", envFrom: [{ secretRef: { name: "s" } }] }] }, secret],
    [{ imagePullSecrets: [{ name: "s" }] }, secret],
    [
      { volumes: [{ name: "v", projected: { sources: [{ serviceAccountToken: { path: "t" } }] } }] },
      "a mirror pod may not use ServiceAccountToken volume projections",
    ],
  ] as const)
    assert.equal(await mirror(spec), refusal);
  const plain = { containers: [{ name: "c" }], nodeName: "n" };
  assert.deepEqual(await mirror({}), plain, "and it stays as its node made it");
});
