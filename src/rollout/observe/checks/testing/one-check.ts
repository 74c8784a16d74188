import { checkDefaults, type CheckSpec, type CheckType } from "../../../../api/serin/index.ts";
import type { KubeClient } from "../../../../kube/index.ts";
import type { CheckSubject } from "../../../decide/index.ts";

export const backends = {
  type: "backends",
  canary: { service: "next", namespace: "shop", workload: "next" },
  stable: { service: "now", namespace: "shop", workload: "now" },
  expectedShare: 10,
  atLeast: false,
} satisfies CheckSubject;
export const spec = (type: CheckType, more: Partial<CheckSpec> = {}): CheckSpec => ({
  ...checkDefaults,
  type,
  ...more,
});
export const noClient = {} as KubeClient;
export const origin = { rollout: "Canary shop/shop", step: "step-1" };
