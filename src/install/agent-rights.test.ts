import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIstioOperator } from "../api/istio/index.ts";
import { renderInstall, resolveSettings } from "./index.ts";

interface AgentContainer {
  readonly securityContext: object;
  readonly volumeMounts: readonly { readonly readOnly?: boolean; readonly mountPath: string }[];
}

/** Returns the CNI agent's container of an installation with these values of `cni`. */
function agentOf(cni: object): AgentContainer {
  const spec = { profile: "ambient", values: { cni } };
  const operator = parseIstioOperator({ apiVersion: "install.istio.io/v1alpha1", kind: "IstioOperator", spec });
  const { value } = resolveSettings({ specs: [operator.value?.spec ?? {}] }, { hub: "hub.example", tag: "1.2.3" });
  assert.ok(value);
  const { components } = renderInstall(value, { istio: [], rollout: [] });
  const objects = components.flatMap((component) => component.objects);
  const found = objects.find(({ kind, metadata }) => kind === "DaemonSet" && metadata.name === "istio-cni-node");
  const set = found as unknown as { spec: { template: { spec: { containers: AgentContainer[] } } } } | undefined;
  return set?.spec.template.spec.containers[0] ?? assert.fail("there is no agent");
}

const usual = {
  privileged: false,
  capabilities: { drop: ["ALL"], add: ["DAC_OVERRIDE", "NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE"] },
  readOnlyRootFilesystem: true,
  runAsUser: 0,
  runAsGroup: 0,
  runAsNonRoot: false,
  appArmorProfile: { type: "Unconfined" },
  seLinuxOptions: { type: "spc_t" },
  seccompProfile: { type: "RuntimeDefault" },
};

test("the CNI agent is not privileged: it has four capabilities, and may write no kernel settings except the network's", () => {
  const { securityContext, volumeMounts } = agentOf({});
  assert.deepEqual(securityContext, usual);
  const writable = volumeMounts.filter(({ readOnly }) => readOnly !== true).map(({ mountPath }) => mountPath);
  assert.deepEqual(writable.toSorted(), [
    "/host/etc/cni/net.d",
    "/host/opt/cni/bin",
    "/host/proc/sys/net",
    "/var/run/istio-cni",
    "/var/run/ztunnel",
  ]);
});

test("the CNI agent takes SELinux options and a seccomp profile from its values, and stays unconfined without a type", () => {
  const own = { seLinuxOptions: { type: "own_t" }, seccompProfile: { type: "Unconfined" } };
  assert.deepEqual(agentOf(own).securityContext, { ...usual, ...own });
  assert.deepEqual(agentOf({ seLinuxOptions: { level: "s0" } }).securityContext, {
    ...usual,
    seLinuxOptions: { type: "spc_t", level: "s0" },
  });
});
