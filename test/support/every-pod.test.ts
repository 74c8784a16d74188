// How PodSecurity judges each of our pods: the level `restricted` admits all but the two kinds that change a node.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { PodSpec } from "../../src/api/kubernetes/index.ts";
import { violationsOf } from "../../src/cluster/admission/pod-security/checks.ts";
import type { CheckedSpec } from "../../src/cluster/admission/pod-security/pod.ts";
import type { Level } from "../../src/cluster/admission/pod-security/policy.ts";
import { everyPod, injectedApplication, injectedGateway } from "./every-pod.ts";

const release = { hub: "hub.example/serin", version: "1.2.3" };
/** The pods that write a node's rules, and enter the namespaces of its pods. */
const nodeAgents = /DaemonSet (istio-cni-node|ztunnel)/;
/** Applications of Istio's samples, which are not part of the mesh. */
const applications = /^samples\/(?!addons\/)/;

const pods = everyPod(release);

/** The rules of a level, in the latest version, that a pod violates. */
function violationsAt(level: Level, spec: PodSpec | undefined, annotations: Readonly<Record<string, string>> = {}) {
  return violationsOf({ annotations, spec: (spec ?? {}) as CheckedSpec }, { level, version: "latest" });
}

const application: PodSpec = {
  containers: [
    {
      name: "app",
      image: "app:1",
      securityContext: {
        allowPrivilegeEscalation: false,
        capabilities: { drop: ["ALL"] },
        runAsNonRoot: true,
        seccompProfile: { type: "RuntimeDefault" },
      },
    },
  ],
};

test("PodSecurity's `restricted` accepts every pod of ours except the CNI agent's and ztunnel's", () => {
  assert.ok(pods.length > 40, `${pods.length} pods`);
  const refused = pods
    .filter(({ name }) => !nodeAgents.test(name) && !applications.test(name))
    .flatMap(({ name, pod }) =>
      violationsAt("restricted", pod.spec, pod.metadata.annotations).map(
        ({ reason, detail }) => `${name}: ${reason}: ${detail}`,
      ),
    );
  assert.deepEqual(refused, []);
});

test("with the CNI agent a sidecar needs nothing that `restricted` forbids, and without it `baseline` refuses the redirect", () => {
  assert.deepEqual(violationsAt("restricted", application), []);
  const withAgent = injectedApplication(release, application, true);
  assert.deepEqual(violationsAt("restricted", withAgent.spec), []);
  const alone = injectedApplication(release, application, false);
  assert.deepEqual(violationsAt("baseline", alone.spec), [
    {
      reason: "non-default capabilities",
      detail: 'container "istio-init" must not include "NET_ADMIN", "NET_RAW" in securityContext.capabilities.add',
    },
  ]);
});

test("a hand-written gateway without security settings equals a generated one", () => {
  const { spec } = injectedGateway(release, { containers: [{ name: "istio-proxy", image: "auto" }] });
  assert.deepEqual(violationsAt("restricted", spec), []);
  const asRoot = injectedGateway(release, {
    containers: [{ name: "istio-proxy", image: "auto", securityContext: { runAsUser: 0 } }],
  });
  assert.equal(asRoot.spec?.containers[0]?.securityContext?.runAsUser, 0);
  assert.equal(asRoot.spec?.containers[0]?.securityContext?.runAsNonRoot, undefined, "the kubelet would refuse both");
});

test("every container that must not run as root has a numeric user, in the pod or in the image", () => {
  for (const { name, pod } of pods) {
    const { spec } = pod;
    for (const container of [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])]) {
      const user = container.securityContext?.runAsUser ?? spec?.securityContext?.runAsUser;
      const nonRoot = { ...spec?.securityContext, ...container.securityContext }.runAsNonRoot;
      if (nonRoot === true) assert.notEqual(user, 0, `${name}: ${container.name}`);
    }
  }
});
