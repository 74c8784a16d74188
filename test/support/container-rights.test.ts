// The rights of each of our containers on its node and in itself, in the manifests of every profile, chart, operator
// and addon.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container, PodSpec, SecurityContext } from "../../src/api/kubernetes/index.ts";
import { everyPod, injectedApplication } from "./every-pod.ts";

const release = { hub: "hub.example/serin", version: "1.2.3" };
/** Applications of Istio's samples, which are not part of the mesh. */
const applications = /^samples\/(?!addons\/)/;

/** What a container may do beyond the least, and why. */
const reasons: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "install-cni": {
    allowPrivilegeEscalation: "Kubernetes refuses its absence beside SYS_ADMIN",
    "capability DAC_OVERRIDE": "the node's CNI folders may belong to another user",
    "capability NET_ADMIN": "it writes the rules, routes and settings of the pods' networks",
    "capability SYS_ADMIN": "it enters the networks of pods",
    "capability SYS_PTRACE": "it opens the networks of the pods' processes",
    root: "the kernel gives capabilities to root alone when a program starts",
  },
  // The ztunnel. The containers of sidecars and gateways have the same name, but none of these rights.
  "ztunnel istio-proxy": {
    allowPrivilegeEscalation: "Kubernetes refuses its absence beside SYS_ADMIN",
    "capability NET_ADMIN": "it marks its connections",
    "capability NET_RAW": "it binds to the addresses of clients",
    "capability SYS_ADMIN": "it enters the networks of pods",
    root: "the kernel gives capabilities to root alone when a program starts",
  },
  "istio-init": {
    "a root that can be written": "a release of upstream's in its place writes the lock of iptables",
    "capability NET_ADMIN": "it writes the pod's rules",
    "capability NET_RAW": "upstream's, for the rules of older kernels",
    root: "the kernel gives capabilities to root alone when a program starts",
  },
};

const plainApplication: PodSpec = { containers: [{ name: "app", image: "app:1" }] };

function beyondTheLeast(container: Container, spec: PodSpec): string[] {
  const { securityContext: own = {} } = container;
  const pod: SecurityContext = spec.securityContext ?? {};
  const { add = [], drop = [] } = own.capabilities ?? {};
  return [
    ...(own.privileged === true ? ["privileged"] : []),
    ...(own.allowPrivilegeEscalation === false ? [] : ["allowPrivilegeEscalation"]),
    ...(own.readOnlyRootFilesystem === true ? [] : ["a root that can be written"]),
    ...(drop.includes("ALL") ? [] : ["capabilities that nobody dropped"]),
    ...add.map((name) => `capability ${name}`),
    ...((own.runAsNonRoot ?? pod.runAsNonRoot) === true && (own.runAsUser ?? pod.runAsUser) !== 0 ? [] : ["root"]),
    ...((own.seccompProfile ?? pod.seccompProfile)?.type === "RuntimeDefault" ? [] : ["no seccomp profile"]),
  ];
}

test("every container of ours has the least rights, except those in a short list with reasons", () => {
  const used = new Set<string>();
  const found = new Set<string>();
  const pods = [
    ...everyPod(release).filter(({ name }) => !applications.test(name)),
    { name: "an application without the agent", pod: injectedApplication(release, plainApplication, false) },
    { name: "an application with the agent", pod: injectedApplication(release, plainApplication, true) },
  ];
  for (const { name, pod } of pods) {
    const spec = pod.spec ?? assert.fail(name);
    for (const container of [...spec.containers, ...(spec.initContainers ?? [])]) {
      if (container.image === "app:1") continue;
      for (const right of beyondTheLeast(container, spec)) {
        const key = /DaemonSet ztunnel/.test(name) ? `ztunnel ${container.name}` : container.name;
        if (reasons[key]?.[right] === undefined) found.add(`${name}: ${key}: ${right}`);
        used.add(`${key} ${right}`);
      }
    }
  }
  assert.deepEqual([...found], []);
  const listed = Object.entries(reasons).flatMap(([container, rights]) =>
    Object.keys(rights).map((right) => `${container} ${right}`),
  );
  assert.deepEqual(
    listed.filter((each) => !used.has(each)),
    [],
    "reasons for rights that no longer exist",
  );
});
