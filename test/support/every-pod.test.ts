// PodSecurity's judgement of each of our pods: level `restricted` accepts all except the two that change a node.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { PodSpec } from "../../src/api/kubernetes/index.ts";
import { podSecurityViolations } from "../../src/api/pod-security/index.ts";
import { everyPod, injectedApplication, injectedGateway } from "./every-pod.ts";

const release = { hub: "hub.example/serin", version: "1.2.3" };
/** These pods write a node's rules, and enter the namespaces of its pods. */
const nodeAgents = /DaemonSet (istio-cni-node|ztunnel)/;
/** Applications from upstream's samples, which do not belong to the mesh. */
const applications = /^samples\/(?!addons\/)/;

const pods = everyPod(release);

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
      podSecurityViolations("restricted", pod.spec as PodSpec, pod.metadata.annotations).map(
        (violation) => `${name}: ${violation}`,
      ),
    );
  assert.deepEqual(refused, []);
});

test("with the CNI agent a sidecar needs nothing that `restricted` forbids, and without it `baseline` refuses the redirect", () => {
  assert.deepEqual(podSecurityViolations("restricted", application), []);
  const withAgent = injectedApplication(release, application, true);
  assert.deepEqual(podSecurityViolations("restricted", withAgent.spec as PodSpec), []);
  const alone = injectedApplication(release, application, false);
  assert.deepEqual(podSecurityViolations("baseline", alone.spec as PodSpec), [
    "initContainers[istio-init].securityContext.capabilities.add: must not have NET_ADMIN",
    "initContainers[istio-init].securityContext.capabilities.add: must not have NET_RAW",
  ]);
});

test("a hand-written gateway without security settings equals a generated one", () => {
  const { spec } = injectedGateway(release, { containers: [{ name: "istio-proxy", image: "auto" }] });
  assert.deepEqual(podSecurityViolations("restricted", spec as PodSpec), []);
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
