import type { ErrorEntry } from "./error-entry.ts";
import { controlPlaneErrors } from "./control-plane-errors.ts";
import { dataPlaneErrors } from "./data-plane-errors.ts";
import { inputErrors } from "./input-errors.ts";
import { installationErrors } from "./installation-errors.ts";
import { kubernetesErrors } from "./kubernetes-errors.ts";
import { labErrors } from "./lab-errors.ts";
import { networkErrors } from "./network-errors.ts";
import { ownErrors } from "./own-errors.ts";
import { rolloutErrors } from "./rollout-errors.ts";
import { telemetryErrors } from "./telemetry-errors.ts";
import { trustErrors } from "./trust-errors.ts";

/**
 * The codes of all `SerinError`s, by area. They are all in `base`, so that no part has to import another one for a
 * code. `docs/errors.md` is generated from this table.
 */
export const errorAreas = [
  { title: "Command lines, environment and files", codes: inputErrors },
  { title: "Kubernetes' API", codes: kubernetesErrors },
  { title: "Network", codes: networkErrors },
  { title: "Certificates and identities", codes: trustErrors },
  { title: "Control plane and injection", codes: controlPlaneErrors },
  { title: "Installation and releases", codes: installationErrors },
  { title: "Rollouts", codes: rolloutErrors },
  { title: "Proxies, ztunnel and CNI", codes: dataPlaneErrors },
  { title: "Lab clusters and images", codes: labErrors },
  { title: "Metrics, queries and inspection", codes: telemetryErrors },
  { title: "Serin itself", codes: ownErrors },
] as const satisfies readonly { readonly title: string; readonly codes: Readonly<Record<string, ErrorEntry>> }[];

type KeysOf<Area> = Area extends unknown ? keyof Area : never;
/**
 * A code by which tests and programs recognise an error, such as `address-in-use`. It does not change between releases.
 */
export type ErrorCode = KeysOf<(typeof errorAreas)[number]["codes"]>;

/** The remedy to print for the error. Undefined if the message already contains it. */
export function remedyOf(code: ErrorCode): string | undefined {
  for (const { codes } of errorAreas) {
    const entry = (codes as Readonly<Record<string, ErrorEntry>>)[code];
    if (entry !== undefined) return entry.silent === true ? undefined : entry.remedy;
  }
  return undefined;
}
